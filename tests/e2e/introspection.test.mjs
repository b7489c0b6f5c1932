// Promise: a token that says nothing by itself is worth what its authorization server says of it (RFC 7662): that is
// asked once, believed no longer than configured, and asked about nothing that need not be shown to it.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { after, describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { choosePorts, startAuthorizationServer } from '../../testbed/stack.mjs';
import { freePort } from '../../testbed/ports.mjs';
import { forge, goodClaims, logIn, machineToken, revoke } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { CLIENTS } from './support/clients.mjs';
import { startEndpoint } from './support/endpoint.mjs';
import { send } from './support/http.mjs';
import { introduce, messageOf, request } from './support/mcp.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { startReplica } from './support/sessions.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';
import { startStandIn } from './support/stand-in.mjs';
import { basicOf, GATEWAY, setVariables } from './support/variables.mjs';

const [MAX_AGE, INACTIVE_MAX_AGE] = [2000, 1000];
const STATIC = randomBytes(32).toString('base64url');
const ports = await choosePorts();
const origin = `http://127.0.0.1:${ports.listen}`;

// A second issuer with the same users, which is asked in the other way, a third whose tokens are JWTs that it can take back,
// and one of whose tokens the test says what becomes of them.
const another = async (...resources) =>
  startAuthorizationServer({ directory: runDirectory('e2e'), port: await freePort(), resources });
const second = await another(`${origin}/second=opaque`, `${origin}/mcp=opaque`);
after(() => second.stop());
const third = await another(`${origin}/third=ES256`, `${origin}/mcp=ES256`);
after(() => third.stop());
const signing = await startStandIn();
const verdicts = await startEndpoint(({ form }) => verdicts.of(form.token));
verdicts.of = () => ({ active: true });
const google = await startEndpoint();

const introspection = (endpoint, more) => ({
  endpoint,
  client_id: GATEWAY.client_id,
  client_secret_variable: 'INTROSPECTION_SECRET',
  max_age: `${MAX_AGE}ms`,
  inactive_max_age: `${INACTIVE_MAX_AGE}ms`,
  ...more,
});
const stack = await useStack({
  alg: 'opaque',
  ports,
  workers: 1, // so that what is remembered is remembered once
  resources: ['/other=opaque', '/jwt=ES256'],
  logLevel: 'debug', // the filter tells every refusal, and still no token
  edit: (bootstrap, { authorization_servers, resources }) => {
    setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
    const [first] = authorization_servers;
    first.introspection = introspection(`${first.issuer}/token/introspection`);
    resources[0].authorization_servers = [first.issuer];
    resources[0].static_tokens = [
      { name: 'ci', sha256: createHash('sha256').update(STATIC).digest('hex'), scopes: ['mcp:read'], expires: 'never' },
    ];
    for (const [path, server, more] of [
      ['/second', second, { introspection: introspection(`${second.issuer}/token/introspection`, { client_id: 'gateway-post', client_authentication: 'client_secret_post' }) }],
      ['/third', third, { introspect: 'always', introspection: introspection(`${third.issuer}/token/introspection`) }],
      ['/signed', signing, { introspect: 'always', introspection: introspection(verdicts.url, { cluster: 'verdicts' }) }],
    ]) {
      const { port } = new URL(server.issuer);
      bootstrap.static_resources.clusters.push(cluster(path, Number(port)));
      authorization_servers.push({ issuer: server.issuer, cluster: path, ...more });
      resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, authorization_servers: [server.issuer] });
    }
    bootstrap.static_resources.clusters.push(cluster('verdicts', verdicts.port), cluster('google', google.port));
    const issuer = 'https://accounts.google.com';
    authorization_servers.push({ issuer, cluster: 'google', jwks: signing.jwks, introspection: { endpoint: google.url, form: 'google_tokeninfo' } });
    resources.push({ resource: `${origin}/google`, audiences: ['7.apps.example'], scopes: { required: ['openid'] }, authorization_servers: [issuer] });
  },
});
// The same resource behind Envoys that read bodies, in both ways to hold a request.
const RULES = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }, {}] };
const replicas = await Promise.all(
  HOLDS.map((hold) =>
    startReplica(
      stack,
      withRules(hold, RULES, (bootstrap, { authorization_servers: [server] }) => {
        setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
        server.introspection = introspection(`${server.issuer}/token/introspection`);
      }),
    ),
  ),
);
const [ecKey] = keysOf(stack).filter(({ alg }) => alg === 'ES256');
const asked = (server = stack.authorizationServer) => server.forms('introspection');
const received = () => stack.mcpServer.requests();
const identity = ({ headers }) => Object.fromEntries(headers.filter(([name]) => /^x.mcp/i.test(name)));
const challenge = challenges(origin).invalidToken;

/** Sends what must be refused, and makes sure that nothing of it went through. */
async function refused(url, request) {
  const before = received().length;
  const answer = await send(url, request);
  assert.equal(received().length, before, 'the MCP server got the request');
  return answer;
}

describe('an opaque token', () => {
  it('of a user opens the server, which reads whose it is and never the token', async () => {
    const { access_token: token } = await logIn(stack.issuer, { resource: stack.url, scope: 'mcp:read mcp:write', user: 'bob' });
    const answer = await send(stack.url, { token, headers: { 'x-mcp-subject': 'mallory', 'x-mcp-issuer': 'https://evil.example' } });
    assert.equal(answer.status, 200, answer.body);
    const last = received().at(-1);
    const { client_id } = asked().at(-1).answer;
    assert.deepEqual(identity(last), {
      'x-mcp-subject': 'bob',
      'x-mcp-client-id': client_id,
      'x-mcp-scopes': 'mcp:read mcp:write',
      'x-mcp-issuer': stack.issuer,
    });
    assert.ok(!JSON.stringify(last).includes(token));
  });

  it('of a client alone does too', async () => {
    assert.equal((await send(stack.url, { token: await machineToken(stack.issuer, stack.url) })).status, 200);
    assert.equal(identity(received().at(-1))['x-mcp-client-id'], 'machine');
  });

  it('is asked about as RFC 7662 says, by a client that authenticates as RFC 6749 says', async () => {
    const token = await machineToken(stack.issuer, stack.url);
    const before = asked().length;
    await send(stack.url, { token });
    const [question, ...more] = asked().slice(before);
    assert.deepEqual(more, []);
    assert.deepEqual(question.form, { token, token_type_hint: 'access_token' });
    assert.equal(question.authorization, basicOf(GATEWAY));
    assert.equal(question.status, 200);
  });

  it('or with its secret in the form, at another issuer', async () => {
    const url = `${origin}/second`;
    const token = await machineToken(second.issuer, url);
    assert.equal((await send(url, { token })).status, 200);
    const { form, authorization } = asked(second).at(-1);
    assert.deepEqual(form, { token, token_type_hint: 'access_token', client_id: 'gateway-post', client_secret: GATEWAY.secret });
    assert.equal(authorization, '');
    assert.ok(!asked().some(({ form }) => form.token === token), 'the first issuer was shown a token of the second');
  });

  for (const [language, use] of Object.entries(CLIENTS)) {
    it(`is nothing that the ${language} client notices`, async () => {
      const { calls, tools } = await use(stack.url, '2026-07-28', { calls: [['echo', { message: 'hello' }]] });
      assert.deepEqual([calls, tools], [[{ text: 'hello' }], ['echo', 'slow']]);
    });
  }
});

describe('what is asked', () => {
  it('once, for many requests at the same time', async () => {
    const token = await machineToken(stack.issuer, stack.url);
    const before = asked().length;
    const answers = await Promise.all(Array.from({ length: 30 }, () => send(stack.url, { token })));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(asked().length, before + 1);
  });

  it('once, for many requests with a token that is nobody’s', async () => {
    const token = randomBytes(32).toString('base64url');
    const before = asked().length;
    const answers = await Promise.all(Array.from({ length: 30 }, () => refused(stack.url, { token })));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [401]);
    assert.equal(asked().length, before + 1);
  });

  const nothing = {
    'a static token': [STATIC, 200],
    'a token that no token can look like': ['not a token', 400],
    'a JWT of the issuer that does not say so': [() => forge(ecKey, { alg: 'ES256', kid: ecKey.kid, typ: 'at+jwt' }, { ...goodClaims('https://evil.example', stack.url) }), 401],
    'a JWT with a broken signature': [() => `${forge(ecKey, { alg: 'ES256', kid: ecKey.kid, typ: 'at+jwt' }, goodClaims(stack.issuer, stack.url)).slice(0, -8)}AAAAAAAA`, 401],
    'a token that is too long': ['x'.repeat(20_000), 400],
  };
  for (const [what, [make, status]] of Object.entries(nothing)) {
    it(`nothing, about ${what}`, async () => {
      const token = typeof make === 'string' ? make : make();
      const before = asked().length;
      assert.equal((await send(stack.url, { token })).status, status);
      assert.equal(asked().length, before);
      if (token === STATIC) assert.equal(identity(received().at(-1))['x-mcp-subject'], 'static:ci');
    });
  }
  it('nothing, about a JWT that can be verified without', async () => {
    const token = forge(ecKey, { alg: 'ES256', kid: ecKey.kid, typ: 'at+jwt' }, goodClaims(stack.issuer, stack.url));
    const before = asked().length;
    assert.equal((await send(stack.url, { token })).status, 200);
    assert.equal(asked().length, before);
  });
});

describe('what is refused', () => {
  const cases = {
    'nobodys': [() => randomBytes(32).toString('base64url'), 'mcp_oauth_token_inactive'],
    'of-another-issuer': [() => machineToken(second.issuer, stack.url), 'mcp_oauth_token_inactive'],
    'for-another-resource': [() => machineToken(stack.issuer, `${origin}/other`), 'mcp_oauth_token_audience'],
  };
  for (const [name, [make, reason]] of Object.entries(cases)) {
    it(`401: a token ${name}, first and remembered`, async () => {
      const token = await make();
      for (const time of ['first', 'remembered']) {
        const answer = await refused(`${stack.url}/${name}-${time}`, { token });
        assertRefusal(answer, { status: 401, error: 'invalid_token', challenge });
        assert.equal(await reasonFor(stack, `/mcp/${name}-${time}`), reason);
      }
    });
  }
  it('403: a token without the scopes, which the challenge names', async () => {
    const token = await machineToken(stack.issuer, stack.url, 'mcp:write');
    const answer = await refused(`${stack.url}/scopes`, { token });
    assertRefusal(answer, { status: 403, error: 'insufficient_scope', challenge: challenges(origin).insufficientScope });
    assert.equal(await reasonFor(stack, '/mcp/scopes'), 'mcp_oauth_insufficient_scope');
  });
});

describe('a token that is taken back', () => {
  it('is refused when its answer is too old, and not before', async () => {
    const token = await machineToken(stack.issuer, stack.url);
    const url = `${stack.url}/revoked`;
    assert.equal((await send(stack.url, { token })).status, 200);
    const began = performance.now();
    await revoke(stack.issuer, token);
    const before = asked().length;
    assert.equal((await send(stack.url, { token })).status, 200, 'for as long as the operator allows');
    assert.equal(asked().length, before);
    const answer = await until('it is refused', async () => {
      const answer = await send(url, { token });
      return answer.status !== 200 && answer;
    }, { every: 100 });
    const took = performance.now() - began;
    assert.ok(took > MAX_AGE - 1100 && took < MAX_AGE + 3000, `after ${took} ms`);
    assertRefusal(answer, { status: 401, error: 'invalid_token', challenge });
    const before401 = received().length;
    assert.equal((await send(`${url}/again`, { token })).status, 401);
    assert.equal(received().length, before401);
    assert.equal(await reasonFor(stack, '/mcp/revoked/again'), 'mcp_oauth_token_inactive');
  });

  it('and given again is served when that answer is too old', async () => {
    const url = `${origin}/signed`;
    const token = signing.token(url);
    verdicts.of = () => ({ active: false });
    assert.equal((await refused(url, { token })).status, 401);
    verdicts.of = () => ({ active: true });
    assert.equal((await refused(url, { token })).status, 401, 'remembered');
    await until('it is served', async () => (await send(url, { token })).status === 200, { every: 100, seconds: 5 });
  });
});

describe('introspect: always', () => {
  const url = `${origin}/signed`;
  it('asks about a JWT that was verified, once', async () => {
    verdicts.of = () => ({ active: true });
    const token = signing.token(url);
    const before = verdicts.asked.length;
    for (let time = 0; time < 3; time++) assert.equal((await send(url, { token })).status, 200);
    assert.equal(identity(received().at(-1))['x-mcp-subject'], 'alice');
    const [{ form, headers }, ...more] = verdicts.asked.slice(before);
    assert.deepEqual([form.token, headers.authorization, more], [token, basicOf(GATEWAY), []]);
    assert.equal(headers.host, new URL(verdicts.url).host);
  });
  it('never about one that cannot be verified', async () => {
    const before = verdicts.asked.length;
    const token = signing.token(url);
    assert.equal((await refused(url, { token: `${token.slice(0, -8)}AAAAAAAA` })).status, 401);
    assert.equal((await refused(url, { token: signing.token(url, { claims: { exp: 1 } }) })).status, 401);
    assert.equal(verdicts.asked.length, before);
  });
  it('refuses a JWT that was taken back', async () => {
    const token = signing.token(url);
    verdicts.of = () => ({ active: true });
    assert.equal((await send(url, { token })).status, 200);
    verdicts.of = () => ({ active: false });
    await until('it is refused', async () => (await send(`${url}/jwt-revoked`, { token })).status === 401, { every: 100, seconds: 10 });
    await send(`${url}/jwt-revoked/again`, { token });
    assert.equal(await reasonFor(stack, '/signed/jwt-revoked/again'), 'mcp_oauth_token_inactive');
  });
  it('goes from the login of a user until the authorization server takes the JWT back', async () => {
    const url = `${origin}/third`;
    const tokens = [
      ['bob', (await logIn(third.issuer, { resource: url, user: 'bob' })).access_token],
      ['machine', await machineToken(third.issuer, url)],
    ];
    for (const [subject, token] of tokens) {
      const before = asked(third).length;
      for (let time = 0; time < 3; time++) assert.equal((await send(url, { token })).status, 200, subject);
      assert.equal(identity(received().at(-1))['x-mcp-subject'], subject);
      const [{ form, authorization, status, answer }, ...more] = asked(third).slice(before);
      assert.deepEqual([form, authorization, more], [{ token, token_type_hint: 'access_token' }, basicOf(GATEWAY), []]);
      assert.deepEqual([status, answer.active, answer.sub ?? answer.client_id], [200, true, subject]);
    }
    const [[, kept], [, token]] = tokens;
    await revoke(third.issuer, token);
    await until('it is refused', async () => (await send(`${url}/revoked`, { token })).status === 401, { every: 100, seconds: 10 });
    const challenge = challenges(origin, '/third').invalidToken;
    assertRefusal(await refused(`${url}/revoked/again`, { token }), { status: 401, error: 'invalid_token', challenge });
    assert.equal(await reasonFor(stack, '/third/revoked/again'), 'mcp_oauth_token_inactive');
    assert.equal(asked(third).at(-1).answer.active, false);
    assert.equal((await send(url, { token: kept })).status, 200, 'the other one is as good as before');
  });
  it('refuses a JWT of the same authorization server for another resource, and asks nothing', async () => {
    const before = asked(third).length;
    assert.equal((await refused(`${origin}/third`, { token: await machineToken(third.issuer, stack.url) })).status, 401);
    assert.equal(asked(third).length, before);
  });
  it('takes nothing from the answer that the JWT does not say', async () => {
    verdicts.of = () => ({ active: true, sub: 'mallory', scope: 'mcp:admin mcp:read mcp:write', aud: url, client_id: 'evil' });
    assert.equal((await send(url, { token: signing.token(url) })).status, 200);
    const told = identity(received().at(-1));
    assert.deepEqual([told['x-mcp-subject'], told['x-mcp-scopes']], ['alice', 'mcp:read']);
  });
});

describe('Google’s tokeninfo', () => {
  const url = `${origin}/google`;
  const info = (changes) => ({
    azp: '7.apps.example', aud: '7.apps.example', sub: '1001', scope: 'openid email', exp: String(Math.floor(Date.now() / 1000) + 60), expires_in: '60', ...changes,
  });
  const invalid = (response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"error_description":"Invalid Value"}');
  it('tells whose a token is, without that the gateway authenticates', async () => {
    google.answer = () => info();
    const token = `ya29.${randomBytes(32).toString('base64url')}`;
    for (let time = 0; time < 2; time++) assert.equal((await send(url, { token })).status, 200);
    const told = identity(received().at(-1));
    assert.deepEqual([told['x-mcp-subject'], told['x-mcp-scopes'], told['x-mcp-issuer']], ['1001', 'email openid', 'https://accounts.google.com']);
    const [{ form, headers }, ...more] = google.asked;
    assert.deepEqual([form, headers.authorization, more], [{ access_token: token }, undefined, []]);
  });
  for (const [what, answer, status] of [
    ['a token that it does not know', () => invalid, 401],
    ['a token of another application', () => info({ aud: '8.apps.example', azp: '8.apps.example' }), 401],
    ['a token that expired', () => info({ exp: '1' }), 401],
    ['a token without the scopes', () => info({ scope: 'email' }), 403],
  ]) {
    it(`refuses ${what}`, async () => {
      google.answer = answer;
      assert.equal((await refused(url, { token: `ya29.${randomBytes(32).toString('base64url')}` })).status, status);
    });
  }
});

describe('a request whose body is read', () => {
  for (const [i, hold] of HOLDS.entries()) {
    it(`waits for the answer, and then for its own end: ${hold}`, async () => {
      const { url, host } = replicas[i];
      const token = await machineToken(stack.issuer, stack.url);
      const client = await introduce(stack.url, '2026-07-28');
      const call = (name, args) => {
        const { headers, body } = request(client, 'tools/call', { name, arguments: args });
        return send(url, { token, headers: { ...headers, host }, body });
      };
      const runs = stack.mcpServer.runs().length;
      const [allowed, denied] = await Promise.all([call('echo', { message: hold }), call('slow', { steps: 0, ms: 0 })]);
      assert.equal(allowed.status, 200, allowed.body);
      assert.equal(messageOf(allowed).result.content[0].text, hold);
      assert.equal(denied.status, 403, denied.body);
      assert.deepEqual(stack.mcpServer.runs().slice(runs), [{ ran: 'echo', arguments: { message: hold } }]);
      const { status } = await send(url, { token: randomBytes(32).toString('base64url'), headers: { host }, body: 'x'.repeat(100_000) });
      assert.equal(status, 401);
    });
  }
});

it('a flood of tokens that are nobody’s asks so many questions at a time, and what comes afterwards gets through', async () => {
  const url = `${origin}/signed`;
  const newToken = () => randomBytes(32).toString('base64url');
  const [before, answer] = [verdicts.asked.length, verdicts.answer];
  let [open, most] = [0, 0];
  verdicts.answer = () => (response) => {
    most = Math.max(most, (open += 1));
    setTimeout(() => {
      open -= 1;
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"active":false}');
    }, 300);
  };
  const answers = await Promise.all(Array.from({ length: 200 }, () => send(`${url}/flood`, { token: newToken() })));
  verdicts.answer = answer;
  const count = (status) => answers.filter((each) => each.status === status).length;
  assert.equal(count(401) + count(503), 200);
  const share = Math.floor(128 / 5); // as many servers are asked here, and each has its share
  assert.ok(count(401) >= share, `${count(401)} were answered`);
  assert.ok(most <= share, `${most} questions at a time`);
  assert.equal(verdicts.asked.length - before, count(401), 'each was asked about once');
  assert.equal(received().filter((seen) => seen.url === '/signed/flood').length, 0);
  verdicts.of = () => ({ active: true, sub: 'alice', scope: 'mcp:read', aud: url, exp: Math.floor(Date.now() / 1000) + 60 });
  assert.equal((await send(url, { token: newToken() })).status, 200);
});

it('neither a token nor the secret is in the log', () => {
  const tokens = [...asked(), ...asked(second), ...asked(third)].map(({ form }) => form.token);
  for (const secret of [...tokens, STATIC, GATEWAY.secret, basicOf(GATEWAY).slice(6)]) assert.ok(!stack.envoy.output.includes(secret), secret);
});

itStillServes(stack);
