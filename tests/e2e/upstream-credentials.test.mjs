// Promise: what the MCP server gets in place of the client's token is what the operator chose: nothing, a key, a token of
// the gateway's own, a statement about the caller that it can verify, or, if someone insists, the client's token.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { jose } from '../../testbed/packages.mjs';
import { header } from '../../testbed/record.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { forge, goodClaims, logIn } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { withRules } from './support/rules.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';
import { basicOf, GATEWAY, setVariables } from './support/variables.mjs';

const API_KEY = 'k-3f9c1a7e55d04b8d';
process.env.API_KEY = API_KEY; // Envoy inherits it
const UPSTREAM = 'https://upstream.internal/mcp';
const STATEMENTS = 'https://gateway.example';
const JWKS_PATH = '/.well-known/mcp-oauth/jwks.json';
const OTHER_JWKS_PATH = '/.well-known/mcp-oauth/others.json';
const newKey = (kid) => ({ ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' });
const [first, next, another] = ['first', 'next', 'another'].map(newKey);

const ports = await choosePorts();
const origin = `http://127.0.0.1:${ports.listen}`;
const issuer = `http://127.0.0.1:${ports.authorizationServer}`;
const statement = { issuer: STATEMENTS, audience: UPSTREAM, keys_variable: 'IDENTITY_KEYS', jwks_path: JWKS_PATH };
const own = { endpoint: `${issuer}/token`, cluster: 'authorization_server', client_id: GATEWAY.client_id, client_secret_variable: 'OWN_SECRET', resource: UPSTREAM };
const CREDENTIALS = {
  '/default': undefined,
  '/none': 'none',
  '/forwarded': 'insecure_forward_client_token',
  '/key': { header: { name: 'x-api-key', value_variable: 'API_KEY' } },
  '/prefixed': { header: { name: 'x-api-key', prefix: 'Key ', value_variable: 'API_KEY' } },
  '/bearer': { header: { name: 'authorization', prefix: 'Bearer ', value_variable: 'API_KEY' } },
  '/own': { client_credentials: { ...own, scopes: ['mcp:write'] } },
  '/own-brief': { client_credentials: { ...own, client_id: 'gateway-post', client_authentication: 'client_secret_post', max_age: '2s' } },
  '/stated': { identity_jwt: statement },
  '/stated-aside': { identity_jwt: { ...statement, header: 'x-caller', keys_variable: 'OTHER_KEYS', jwks_path: OTHER_JWKS_PATH, max_age: '10s' } },
};
/** Those that a request without a token gets, where some need none. */
const OPEN = ['/forwarded', '/key', '/own', '/stated'];
const stack = await useStack({
  ports,
  workers: 1,
  resources: [UPSTREAM, ...Object.keys(CREDENTIALS)],
  logLevel: 'debug',
  edit: withRules('headers', {}, (bootstrap, { resources }) => {
    // headers with underscores reach the filter, which has to know them by itself
    connectionManagerOf(bootstrap).common_http_protocol_options.headers_with_underscores_action = 'ALLOW';
    const { vm_config } = connectionManagerOf(bootstrap).http_filters[0].typed_config.config;
    vm_config.environment_variables = { host_env_keys: ['API_KEY'], key_values: {} };
    setVariables(bootstrap, {
      OWN_SECRET: GATEWAY.secret,
      IDENTITY_KEYS: JSON.stringify({ keys: [first, next] }),
      OTHER_KEYS: JSON.stringify({ keys: [another] }),
    });
    for (const [path, upstream_credential] of Object.entries(CREDENTIALS))
      resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, upstream_credential });
    for (const path of OPEN)
      resources.push({ resource: `${origin}/open${path}`, upstream_credential: CREDENTIALS[path], anonymous_methods: ['initialize'] });
  }),
});
const [key] = keysOf(stack);
const token = (path, changes) => forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(issuer, origin + path), ...changes });
const received = () => stack.mcpServer.requests();
const granted = () => stack.authorizationServer.forms('token').filter(({ form }) => form.client_id?.startsWith('gateway') || form.scope === 'mcp:write' || /^Basic Z2F0ZXdhe/.test(form.authorization));

/** The headers of a request whose names look as if they held a credential. */
const credentialsOf = ({ headers }) => headers.filter(([name]) => /authorization|key|caller|token|^x-mcp$/i.test(name));

/** Those that the MCP server got with a request of `mine`. */
async function arrives(path, mine, headers = {}) {
  const answer = await send(origin + path, { token: mine, headers });
  assert.equal(answer.status, 200, answer.body);
  const last = received().at(-1);
  if (path !== '/forwarded') assert.ok(!JSON.stringify(last).includes(mine.split('.')[2]), "the client's token reached the MCP server");
  return credentialsOf(last);
}
const SPOOFED = { 'x-api-key': 'evil', 'X_API_KEY': 'evil', 'x-api_key': 'evil', 'X-Caller': 'evil', 'x_caller': 'evil', 'proxy-authorization': 'Basic evil' };

describe('the MCP server gets', () => {
  for (const path of ['/default', '/none']) {
    it(`nothing: ${path}`, async () => assert.deepEqual(await arrives(path, token(path)), []));
  }
  it('the client’s token, of one who insists', async () => {
    const mine = token('/forwarded');
    assert.deepEqual(await arrives('/forwarded', mine, { 'proxy-authorization': 'Basic evil' }), [['authorization', `Bearer ${mine}`]]);
  });
  for (const [path, expected] of [
    ['/key', ['x-api-key', API_KEY]],
    ['/prefixed', ['x-api-key', `Key ${API_KEY}`]],
    ['/bearer', ['authorization', `Bearer ${API_KEY}`]],
  ]) {
    it(`a key, and none that a client made up: ${path}`, async () => {
      const { 'X-Caller': _1, 'x_caller': _2, ...spoofed } = SPOOFED;
      if (path === '/bearer') for (const name of ['x-api-key', 'X_API_KEY', 'x-api_key']) delete spoofed[name];
      assert.deepEqual(await arrives(path, token(path), spoofed), [expected]);
      // `Connection: x-api-key` asks a proxy to remove that header before it forwards (RFC 9110 section 7.6.1)
      if (path !== '/bearer') assert.deepEqual(await arrives(path, token(path), { ...spoofed, connection: 'x-api-key' }), [expected]);
    });
  }
});

describe('a request that needs no token', () => {
  for (const [path, expected] of [
    ['/forwarded', /^\[\]$/],
    ['/stated', /^\[\]$/],
    ['/key', /^\[\["x-api-key","k-3f9c1a7e55d04b8d"\]\]$/],
    ['/own', /^\[\["authorization","Bearer eyJ[\w.-]+"\]\]$/],
  ]) {
    it(`says nothing of a caller, and passes nothing of the client's: ${path}`, async () => {
      for (const authorization of [undefined, 'Basic YTpi', 'Negotiate abc']) {
        const { 'X-Caller': _1, 'x_caller': _2, ...spoofed } = SPOOFED;
        for (const name of path === '/key' ? [] : ['x-api-key', 'X_API_KEY', 'x-api_key']) delete spoofed[name];
        const answer = await send(`${origin}/open${path}`, { headers: { ...spoofed, authorization } });
        assert.equal(answer.status, 200, answer.body);
        assert.match(JSON.stringify(credentialsOf(received().at(-1))), expected);
      }
    });
  }
});

describe('a token of the gateway’s own', () => {
  const keySet = jose.createRemoteJWKSet(new URL(`${issuer}/jwks`));
  const bearer = ([[name, value], ...more]) => {
    assert.deepEqual([name, more], ['authorization', []]);
    return /^Bearer (\S+)$/.exec(value)[1];
  };
  it('is for the MCP server, and one for all callers', async () => {
    const before = granted().length;
    const users = await Promise.all(Array.from({ length: 20 }, (_, i) => token('/own', { sub: `user-${i}` })));
    const answers = await Promise.all(users.map((mine) => send(`${origin}/own`, { token: mine })));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const theirs = bearer(await arrives('/own', users[0]));
    const { payload } = await jose.jwtVerify(theirs, keySet, { issuer, audience: UPSTREAM, typ: 'at+jwt' });
    assert.deepEqual([payload.sub, payload.scope], ['gateway', 'mcp:write']);
    const [{ form, authorization }, ...more] = granted().slice(before);
    assert.deepEqual(form, { grant_type: 'client_credentials', resource: UPSTREAM, scope: 'mcp:write' });
    assert.deepEqual([authorization, more], [basicOf(GATEWAY), []]);
    const seen = received().filter(({ url }) => url === '/own').map((entry) => header(entry, 'authorization'));
    assert.deepEqual([...new Set(seen)], [`Bearer ${theirs}`]);
  });
  it('is had anew when it is too old, here with the secret in the form', async () => {
    const mine = token('/own-brief');
    const one = bearer(await arrives('/own-brief', mine));
    assert.equal(bearer(await arrives('/own-brief', mine)), one);
    const { form, authorization } = granted().at(-1);
    assert.deepEqual([form.client_id, form.client_secret, authorization], ['gateway-post', GATEWAY.secret, '']);
    await until('there is another', async () => bearer(await arrives('/own-brief', mine)) !== one, { every: 200, seconds: 8 });
  });
});

describe('a statement about the caller', () => {
  const keySet = jose.createRemoteJWKSet(new URL(origin + JWKS_PATH));
  const others = jose.createRemoteJWKSet(new URL(origin + OTHER_JWKS_PATH));
  const verified = (jwt, keys = keySet) => jose.jwtVerify(jwt, keys, { issuer: STATEMENTS, audience: UPSTREAM });

  it('is a JWT that the MCP server can verify with what Envoy serves', async () => {
    const { access_token } = await logIn(issuer, { resource: `${origin}/stated`, user: 'bob', scope: 'mcp:read mcp:write' });
    const [[name, value], ...more] = await arrives('/stated', access_token, SPOOFED).then((all) => all.filter(([name]) => name === 'authorization'));
    assert.deepEqual([name, more], ['authorization', []]);
    const { payload, protectedHeader } = await verified(/^Bearer (\S+)$/.exec(value)[1]);
    assert.deepEqual([protectedHeader.alg, protectedHeader.kid], ['ES256', 'first']);
    assert.equal(payload.sub, 'bob');
    assert.equal(payload.scope, 'mcp:read mcp:write');
    assert.deepEqual(payload.sub_id, { format: 'iss_sub', iss: issuer, sub: 'bob' });
    const age = Math.floor(Date.now() / 1000) - payload.iat;
    assert.ok(age >= -1 && age < 10, `iat ${payload.iat}`);
    assert.ok(payload.exp - payload.iat > 0 && payload.exp - payload.iat <= 60, `${payload.exp - payload.iat} s`);
  });
  it('in a header of its own, bare, and signed with a key of its own', async () => {
    const lines = await arrives('/stated-aside', token('/stated-aside'), SPOOFED);
    const callers = lines.filter(([name]) => /^x.caller$/i.test(name));
    assert.equal(callers.length, 1, JSON.stringify(lines));
    const { payload, protectedHeader } = await verified(callers[0][1], others);
    assert.deepEqual([protectedHeader.alg, protectedHeader.kid, payload.sub], ['ES256', 'another', 'alice']);
    assert.equal(lines.find(([name]) => name === 'authorization'), undefined);
    await assert.rejects(verified(callers[0][1]), /no applicable key/, 'the keys of the other resource');
  });
  it('is made anew when it is too old', async () => {
    const mine = token('/stated-aside');
    const statements = new Set();
    await until('there is another', async () => {
      const [[, value]] = (await arrives('/stated-aside', mine)).filter(([name]) => name === 'x-caller');
      await verified(value, others);
      statements.add(value);
      return statements.size > 1;
    }, { every: 200, seconds: 8 });
  });
  it('is one for each caller', async () => {
    for (const sub of ['alice', 'bob', 'alice']) {
      const [[, value]] = (await arrives('/stated', token('/stated', { sub }))).filter(([name]) => name === 'authorization');
      assert.equal((await verified(value.slice(7))).payload.sub, sub);
    }
  });
  it('has its public keys at an address that anyone may read, and no other', async () => {
    const answer = await send(`${origin}${JWKS_PATH}`, { method: 'GET' });
    assert.equal(answer.status, 200);
    assert.equal(answer.header('access-control-allow-origin'), '*');
    assert.match(answer.header('content-type'), /^application\/(jwk-set\+)?json$/);
    const publicOnly = ({ kty, crv, x, y, kid, alg, use }) => ({ kty, crv, x, ...(y && { y }), kid, alg, use });
    const sorted = (keys) => keys.map((each) => JSON.stringify(Object.entries(each).sort())).sort();
    assert.deepEqual(sorted(answer.json.keys), sorted([first, next].map(publicOnly)));
    assert.equal((await send(`${origin}${JWKS_PATH}`, { method: 'HEAD' })).status, 200);
    assert.equal((await send(`${origin}${JWKS_PATH}`, { method: 'POST' })).status, 405);
    assert.equal((await send(`${origin}${JWKS_PATH}/more`, { method: 'GET' })).status, 404);
    assert.notEqual(await reasonFor(stack, JWKS_PATH), 'via_upstream');
    assert.match(await reasonFor(stack, JWKS_PATH), /^mcp_oauth_/);
    assert.equal(received().filter(({ url }) => url.startsWith('/.well-known/mcp-oauth')).length, 0);
  });
});

it('a secret of Envoy’s environment is not in what its admin interface shows', async () => {
  const dump = await (await fetch(`http://127.0.0.1:${ports.admin}/config_dump`)).text();
  assert.ok(dump.includes('host_env_keys') && !dump.includes(API_KEY));
});

it('no key, no secret and no token is in the log', () => {
  const secrets = [API_KEY, GATEWAY.secret, first.d, next.d, another.d, ...granted().map(({ answer }) => answer.access_token)];
  for (const secret of secrets.filter(Boolean)) assert.ok(!stack.envoy.output.includes(secret), secret);
});

itStillServes(stack);
