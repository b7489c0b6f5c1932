// Promise: with token exchange (RFC 8693) the MCP server gets a token that was issued for it, on behalf of the caller, and
// never the client's; when there is none to be had, the request is refused and says why.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { dpop, jose } from '../../testbed/packages.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { header } from '../../testbed/record.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { dpopToken, forge, goodClaims, logIn, machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { FAULTS, startEndpoint } from './support/endpoint.mjs';
import { send } from './support/http.mjs';
import { introduce, request } from './support/mcp.mjs';
import { assertRefusal } from './support/replies.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { startReplica } from './support/sessions.mjs';
import { itStillServes, keysFile, reasonFor, useStack } from './support/stack.mjs';
import { basicOf, GATEWAY, setVariables } from './support/variables.mjs';

const UPSTREAM = 'https://upstream.internal/mcp';
const GRANT = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const UNAVAILABLE = { status: 503, error: 'temporarily_unavailable', reason: 'mcp_oauth_upstream_credential_unavailable' };
const REFUSED = { status: 502, error: 'bad_gateway', reason: 'mcp_oauth_upstream_credential_refused' };
const issued = { access_token: 'made-by-hand', issued_token_type: ACCESS_TOKEN, token_type: 'Bearer', expires_in: 60 };

/** What a token endpoint answers that is not what was asked for. A function gets the response, all else goes out as JSON. */
const ANSWERS = {
  'no access_token': [{ ...issued, access_token: undefined }, UNAVAILABLE],
  'an empty access_token': [{ ...issued, access_token: '' }, UNAVAILABLE],
  'a number as access_token': [{ ...issued, access_token: 7 }, UNAVAILABLE],
  'a line end in access_token': [{ ...issued, access_token: 'a\r\nx-admin: 1' }, UNAVAILABLE],
  'a space in access_token': [{ ...issued, access_token: 'a b' }, UNAVAILABLE],
  'no token_type': [{ ...issued, token_type: undefined }, UNAVAILABLE],
  'a token of the type DPoP': [{ ...issued, token_type: 'DPoP' }, UNAVAILABLE],
  'a token of the type N_A': [{ ...issued, token_type: 'N_A' }, UNAVAILABLE],
  'a refresh token': [{ ...issued, issued_token_type: 'urn:ietf:params:oauth:token-type:refresh_token' }, UNAVAILABLE],
  'an ID token': [{ ...issued, issued_token_type: 'urn:ietf:params:oauth:token-type:id_token' }, UNAVAILABLE],
  'a negative lifetime': [{ ...issued, expires_in: -5 }, UNAVAILABLE],
  'a lifetime in text': [{ ...issued, expires_in: 'soon' }, UNAVAILABLE],
  'two tokens': [
    (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(`${JSON.stringify(issued).slice(0, -1)},"access_token":"other"}`),
    UNAVAILABLE,
  ],
};
const refuses = (code, body) => (response) =>
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body));
for (const error of ['invalid_grant', 'invalid_target', 'invalid_scope', 'unauthorized_client', 'unsupported_grant_type'])
  ANSWERS[error] = [refuses(400, { error, error_description: 'secret "words"\r\n' }), REFUSED];
ANSWERS['invalid_client'] = [refuses(401, { error: 'invalid_client' }), REFUSED];
ANSWERS['400 without an error'] = [refuses(400, {}), UNAVAILABLE];
ANSWERS['429'] = [refuses(429, { message: 'slow down' }), UNAVAILABLE];

const cases = [];
const add = async (what, expected, answer) =>
  cases.push({ what, expected, answer, path: `/case-${cases.length}`, endpoint: await startEndpoint(() => issued) });
for (const [what, fault] of Object.entries(FAULTS)) await add(what, UNAVAILABLE, fault);
for (const [what, [answer, expected]] of Object.entries(ANSWERS)) await add(`answers ${what}`, expected, answer);

const directory = runDirectory('e2e');
const ports = await choosePorts();
const origin = `http://127.0.0.1:${ports.listen}`;
const issuer = `http://127.0.0.1:${ports.authorizationServer}`;
const key = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'known', alg: 'ES256', use: 'sig' };
const rsa = { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid: 'rsa', alg: 'RS256', use: 'sig' };
writeFileSync(keysFile(directory), JSON.stringify({ keys: [key, rsa] }));
const token = (resource, changes) => forge(key, { alg: 'ES256', kid: 'known', typ: 'at+jwt' }, { ...goodClaims(issuer, resource), ...changes });
const actor = token(`${origin}/mcp`, { sub: 'the-gateway' });

const exchange = (endpoint, more) => ({
  token_exchange: {
    endpoint,
    cluster: 'authorization_server',
    client_id: GATEWAY.client_id,
    client_secret_variable: 'EXCHANGE_SECRET',
    ...more,
  },
});
const stack = await useStack({
  directory,
  ports,
  workers: 1,
  resources: ['/posted', '/brief', '/bound', '/bound-opaque=opaque', UPSTREAM],
  logLevel: 'debug',
  edit: (bootstrap, { authorization_servers: [server], resources }) => {
    setVariables(bootstrap, { EXCHANGE_SECRET: GATEWAY.secret, ACTOR_TOKEN: actor });
    resources[0].upstream_credential = exchange(`${issuer}/token`, { audience: UPSTREAM });
    const scopes = { required: ['mcp:read'] };
    resources.push({
      resource: `${origin}/posted`,
      scopes,
      upstream_credential: exchange(`${issuer}/token`, {
        resource: UPSTREAM,
        scopes: ['mcp:read'],
        actor_token_variable: 'ACTOR_TOKEN',
        client_id: 'gateway-post',
        client_authentication: 'client_secret_post',
      }),
    });
    resources.push({ resource: `${origin}/brief`, scopes, upstream_credential: exchange(`${issuer}/token`, { audience: UPSTREAM, max_age: '2s' }) });
    server.introspection = { endpoint: `${issuer}/token/introspection`, client_id: GATEWAY.client_id, client_secret_variable: 'EXCHANGE_SECRET' };
    for (const path of ['/bound', '/bound-opaque'])
      resources.push({ resource: origin + path, scopes, dpop: {}, upstream_credential: exchange(`${issuer}/token`, { audience: UPSTREAM }) });
    for (const { path, endpoint } of cases) {
      bootstrap.static_resources.clusters.push(cluster(path, endpoint.port));
      const upstream_credential = exchange(endpoint.url, { audience: UPSTREAM, cluster: path, timeout: '500ms' });
      resources.push({ resource: origin + path, scopes, upstream_credential });
    }
  },
});
// The first resource behind Envoys that read bodies.
const RULES = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }, {}], upstream_credential: exchange(`${issuer}/token`, { audience: UPSTREAM }) };
const secret = (bootstrap) => setVariables(bootstrap, { EXCHANGE_SECRET: GATEWAY.secret });
const reading = await Promise.all(HOLDS.map((hold) => startReplica(stack, withRules(hold, RULES, secret), { workers: 1 })));
const keySet = jose.createRemoteJWKSet(new URL(`${issuer}/jwks`));
const received = () => stack.mcpServer.requests();
const receivedAt = (path) => received().filter(({ url }) => url === path || url.startsWith(`${path}/`));
const exchanges = () => stack.authorizationServer.forms('token').filter(({ form }) => form.grant_type === GRANT);

/** The credential that reached the MCP server with the last request, and nothing of the client's. */
function credential(clientToken) {
  const last = received().at(-1);
  const lines = last.headers.filter(([name]) => name === 'authorization');
  assert.equal(lines.length, 1);
  assert.ok(!JSON.stringify(last).includes(clientToken.split('.').at(-1)), "the client's token reached the MCP server");
  return header(last, 'authorization').replace(/^Bearer /, '');
}
const verified = async (jwt) => (await jose.jwtVerify(jwt, keySet, { issuer, audience: UPSTREAM, typ: 'at+jwt' })).payload;

describe('the MCP server gets', () => {
  it('a token for itself, of the same user', async () => {
    const { access_token } = await logIn(issuer, { resource: stack.url, user: 'bob' });
    const answer = await send(stack.url, { token: access_token });
    assert.equal(answer.status, 200, answer.body);
    const { sub, client_id, scope } = await verified(credential(access_token));
    assert.deepEqual({ sub, client_id, scope }, { sub: 'bob', client_id: 'gateway', scope: 'mcp:read' });
    assert.equal(header(received().at(-1), 'x-mcp-subject'), 'bob', 'who calls is told as ever');
  });

  it('after a question as RFC 8693 says', async () => {
    const mine = await machineToken(issuer, stack.url);
    const before = exchanges().length;
    assert.equal((await send(stack.url, { token: mine })).status, 200);
    const [{ form, authorization }, ...more] = exchanges().slice(before);
    assert.deepEqual(more, []);
    const { requested_token_type = ACCESS_TOKEN, ...rest } = form;
    assert.equal(requested_token_type, ACCESS_TOKEN);
    assert.deepEqual(rest, { grant_type: GRANT, subject_token: mine, subject_token_type: ACCESS_TOKEN, audience: UPSTREAM });
    assert.equal(authorization, basicOf(GATEWAY));
  });

  it('with an actor, for a resource, with fewer scopes, and with the secret in the form', async () => {
    const url = `${origin}/posted`;
    const mine = await machineToken(issuer, url, 'mcp:read mcp:write');
    const answer = await send(url, { token: mine });
    assert.equal(answer.status, 200, answer.body);
    const { sub, act, scope, client_id } = await verified(credential(mine));
    assert.deepEqual({ sub, act, scope, client_id }, { sub: 'machine', act: { sub: 'the-gateway' }, scope: 'mcp:read', client_id: 'gateway-post' });
    const { form, authorization } = exchanges().at(-1);
    const { requested_token_type: _, ...rest } = form;
    assert.equal(authorization, '');
    assert.deepEqual(rest, {
      grant_type: GRANT,
      subject_token: mine,
      subject_token_type: ACCESS_TOKEN,
      actor_token: actor,
      actor_token_type: rest.actor_token_type,
      resource: UPSTREAM,
      scope: 'mcp:read',
      client_id: 'gateway-post',
      client_secret: GATEWAY.secret,
    });
    assert.match(rest.actor_token_type, /^urn:ietf:params:oauth:token-type:(access_token|jwt)$/);
  });

  it('one line of it, whatever the client adds', async () => {
    const mine = token(stack.url);
    const headers = { 'proxy-authorization': 'Bearer mine', 'x-forwarded-authorization': 'Bearer mine' };
    assert.equal((await send(stack.url, { token: mine, headers })).status, 200);
    await verified(credential(mine));
  });
});

describe('a token that is bound to a key is exchanged', () => {
  for (const path of ['/bound', '/bound-opaque']) {
    it(`by who proves to have it, with each proof once: ${path}`, async () => {
      const url = origin + path;
      const keys = await dpop.generateKeyPair('ES256');
      const mine = await dpopToken(issuer, url, keys);
      const prove = async () => ({ authorization: `DPoP ${mine}`, dpop: await dpop.generateProof(keys, url, 'POST', undefined, mine) });
      const before = exchanges().length;
      const proofs = await Promise.all(Array.from({ length: 10 }, prove));
      const answers = await Promise.all(proofs.map((headers) => send(url, { headers })));
      assert.deepEqual(answers.map(({ status }) => status), Array(10).fill(200));
      assert.equal(exchanges().length, before + 1);
      assert.equal((await verified(credential(mine))).sub, 'machine');
      for (const headers of proofs) assert.equal((await send(url, { headers })).status, 401, 'again');
      assert.equal((await send(url, { token: mine })).status, 401, 'as Bearer');
    });
  }
});

describe('a token is exchanged', () => {
  it('once, for many requests', async () => {
    const mine = token(stack.url);
    const before = exchanges().length;
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(stack.url, { token: mine })));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const first = credential(mine);
    assert.equal((await send(stack.url, { token: mine })).status, 200);
    assert.equal(credential(mine), first);
    assert.equal(exchanges().length, before + 1);
  });
  it('for nobody else', async () => {
    const [alice, bob] = [token(stack.url), token(stack.url, { sub: 'bob' })];
    for (const [mine, sub] of [[alice, 'alice'], [bob, 'bob'], [alice, 'alice']]) {
      assert.equal((await send(stack.url, { token: mine })).status, 200);
      assert.equal((await verified(credential(mine))).sub, sub);
    }
  });
  it('again for another resource, though it is for the same server', async () => {
    const both = token([stack.url, `${origin}/brief`]);
    const before = exchanges().length;
    for (const url of [stack.url, `${origin}/brief`, stack.url]) assert.equal((await send(url, { token: both })).status, 200);
    assert.equal(exchanges().length, before + 2);
  });
  it('again when that is too old', async () => {
    const mine = token(`${origin}/brief`);
    const before = exchanges().length;
    assert.equal((await send(`${origin}/brief`, { token: mine })).status, 200);
    await until('it is exchanged again', async () => {
      assert.equal((await send(`${origin}/brief`, { token: mine })).status, 200);
      return exchanges().length === before + 2;
    }, { every: 200, seconds: 8 });
  });
  it('never for a request that is refused', async () => {
    const before = exchanges().length;
    assert.equal((await send(stack.url, { token: token(stack.url, { exp: 1 }) })).status, 401);
    assert.equal((await send(stack.url, { token: token(stack.url, { scope: 'mcp:write' }) })).status, 403);
    assert.equal((await send(stack.url)).status, 401);
    assert.equal(exchanges().length, before);
  });
});

describe('where bodies are read', () => {
  for (const [i, hold] of HOLDS.entries()) {
    it(`a request waits for its credential and for its end, and the rules count: ${hold}`, async () => {
      const { url, host } = reading[i];
      const mine = token(stack.url);
      const client = await introduce(stack.url, '2026-07-28');
      const call = (name, args) => {
        const { headers, body } = request(client, 'tools/call', { name, arguments: args });
        return send(url, { token: mine, headers: { ...headers, host }, body });
      };
      const [runs, before] = [stack.mcpServer.runs().length, received().length];
      const message = 'x'.repeat(100_000);
      const [allowed, denied] = await Promise.all([call('echo', { message }), call('slow', { steps: 0, ms: 0 })]);
      assert.equal(allowed.status, 200, allowed.body);
      assert.equal(denied.status, 403, denied.body);
      assert.deepEqual(stack.mcpServer.runs().slice(runs), [{ ran: 'echo', arguments: { message } }]);
      assert.equal(received().length, before + 1);
      assert.equal((await verified(credential(mine))).sub, 'alice');
    });
  }
});

describe('a token endpoint that', { concurrency: 4 }, () => {
  for (const { what, expected, path, endpoint, answer } of cases) {
    it(what, async () => {
      const url = origin + path;
      const mine = token(url);
      if (answer) endpoint.answer = () => answer;
      else await endpoint.close();
      const { status, error, reason } = expected;
      const refusal = await send(`${url}/refused`, { token: mine });
      assertRefusal(refusal, { status, error });
      assert.doesNotMatch(refusal.body, /secret/, 'the client is not told the endpoint’s words');
      assert.equal(await reasonFor(stack, `${path}/refused`), reason);
      assert.deepEqual(receivedAt(path), [], 'requests that the MCP server got');
      if (status === 503) assert.match(refusal.header('retry-after'), /^[1-9]\d?$/);
      await until(`a log line names ${endpoint.url}`, () => stack.envoy.output.split('\n').some((line) => line.includes(`${endpoint.url}\``)), { seconds: 10 });
      endpoint.answer = () => issued;
      if (!answer) await endpoint.listen();
      const next = status === 503 ? mine : token(url); // what was refused is remembered for a while
      await until('it is served', async () => (await send(url, { token: next })).status === 200, { every: 250, seconds: 15 });
      assert.deepEqual(receivedAt(path).map((seen) => header(seen, 'authorization')), ['Bearer made-by-hand']);
    });
  }
});

it('a client that does not wait for the exchange leaves it to others', async () => {
  const { path, endpoint } = cases[3];
  const url = origin + path;
  const mine = token(url);
  let answerNow;
  endpoint.answer = () => (response) => {
    answerNow = () => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(issued));
  };
  const impatient = send(`${url}/gone`, { token: mine, onOpen: (request) => setTimeout(() => request.destroy(new Error('gone')), 150) });
  const patient = send(`${url}/stays`, { token: mine });
  await assert.rejects(impatient, /gone/);
  answerNow();
  assert.equal((await patient).status, 200);
  assert.deepEqual(received().filter((seen) => seen.url === `${path}/gone`), []);
});

it('no token and no secret is in the log', () => {
  const words = exchanges().flatMap(({ form, answer }) => [form.subject_token, form.actor_token, answer.access_token]);
  for (const word of [...words, GATEWAY.secret, 'made-by-hand'].filter(Boolean)) assert.ok(!stack.envoy.output.includes(word), word);
});

itStillServes(stack);
