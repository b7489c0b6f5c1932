// Promise: when an introspection endpoint cannot be asked, or answers what is no answer, requests get 503 (never 401:
// clients would throw good tokens away), nothing passes, the log says whose fault it is, and all is well again afterwards.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { until } from '../../testbed/until.mjs';
import { FAULTS, startEndpoint } from './support/endpoint.mjs';
import { send } from './support/http.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { itStillServes, reasonFor, useStack } from './support/stack.mjs';
import { GATEWAY, setVariables } from './support/variables.mjs';

const UNAVAILABLE = { status: 503, error: 'temporarily_unavailable', reason: 'mcp_oauth_introspection_unavailable' };
const refusedBy = (reason) => ({ status: 401, error: 'invalid_token', reason });
const now = () => Math.floor(Date.now() / 1000);
const jwks = { keys: [generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({ format: 'jwk' })] }; // never used

/** What is changed in a good answer, and what the request gets. `undefined` takes the member out. */
const ANSWERS = {
  'active as text': [{ active: 'true' }, UNAVAILABLE],
  'active as a number': [{ active: 1 }, UNAVAILABLE],
  'active as null': [{ active: null }, UNAVAILABLE],
  'no active': [{ active: undefined }, UNAVAILABLE],
  'exp as text': [() => ({ exp: String(now() + 60) }), refusedBy('mcp_oauth_token_claim')],
  'nbf as text': [{ nbf: 'now' }, refusedBy('mcp_oauth_token_claim')],
  'a number as sub': [{ sub: 7 }, refusedBy('mcp_oauth_token_claim')],
  'another issuer': [{ iss: 'https://evil.example' }, refusedBy('mcp_oauth_token_issuer')],
  'exp in the past': [() => ({ exp: now() - 3600 }), refusedBy('mcp_oauth_token_expired')],
  'a negative exp': [{ exp: -5 }, refusedBy('mcp_oauth_token_claim')],
  'nbf in the future': [() => ({ nbf: now() + 3600 }), refusedBy('mcp_oauth_token_not_yet_valid')],
  'another audience': [{ aud: 'https://other.example' }, refusedBy('mcp_oauth_token_audience')],
  'no audience': [{ aud: undefined }, refusedBy('mcp_oauth_token_claim')],
  'a key it is bound to': [{ cnf: { jkt: 'x'.repeat(43) } }, refusedBy('mcp_oauth_token_sender_constrained')],
  'a binding that nobody knows': [{ cnf: { kid: 'x' } }, refusedBy('mcp_oauth_token_sender_constrained')],
  'inactive, and all else': [{ active: false }, refusedBy('mcp_oauth_token_inactive')],
};
/** Answers that are not made of members, or of more than JSON can be made to have. */
const TEXTS = {
  'two verdicts': '{"active":false,"active":true}',
  'a text behind it': '{"active":true} true',
  'a byte order mark': '\ufeff{"active":true}',
  'true alone': 'true',
  'null': 'null',
};
const sendsText = (text) => (response) => response.writeHead(200, { 'content-type': 'application/json' }).end(text);
const refuses = (code, error) => (response) =>
  response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify({ error }));

// A fault of the endpoint has an endpoint, an issuer and a resource of its own; an answer about one token needs only a token.
const faulty = [];
for (const [what, fault] of Object.entries(FAULTS))
  faulty.push({ what, fault, path: `/fault-${faulty.length}`, endpoint: await startEndpoint(() => fault) });
const answering = { path: '/answers', endpoint: await startEndpoint(({ form }) => answering.about.get(form.token)()), about: new Map() };

const stack = await useStack({
  logLevel: 'debug',
  workers: 1,
  edit: (bootstrap, { authorization_servers, resources }) => {
    setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
    const [first] = authorization_servers;
    resources[0].authorization_servers = [first.issuer];
    const { origin } = new URL(resources[0].resource);
    for (const { endpoint, path } of [...faulty, answering]) {
      endpoint.issuer = `${first.issuer}${path}`;
      bootstrap.static_resources.clusters.push(cluster(path, endpoint.port));
      authorization_servers.push({
        issuer: endpoint.issuer,
        cluster: 'authorization_server',
        jwks,
        introspection: {
          endpoint: endpoint.url,
          cluster: path,
          client_id: GATEWAY.client_id,
          client_secret_variable: 'INTROSPECTION_SECRET',
          timeout: '500ms',
          inactive_max_age: '1s',
        },
      });
      resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, authorization_servers: [endpoint.issuer] });
    }
  },
});
const newToken = () => randomBytes(32).toString('base64url');
const good = ({ path, endpoint }) => ({
  active: true, iss: endpoint.issuer, sub: 'alice', client_id: 'c', scope: 'mcp:read', aud: stack.origin + path, exp: now() + 60,
});

/** A request to `path` of a resource is refused as expected; nothing of it passes, and the log says whose fault it is. */
async function isRefused(resource, path, token, { status, error, reason }) {
  const url = stack.origin + resource.path + path;
  const refusal = await send(url, { token });
  assertRefusal(refusal, { status, error, challenge: status === 401 ? challenges(stack.origin, resource.path).invalidToken : undefined });
  assert.equal(await reasonFor(stack, resource.path + path), reason);
  assert.deepEqual(stack.mcpServer.requests().filter((seen) => seen.url === resource.path + path), []);
  assert.ok(!stack.envoy.output.includes(token) && !stack.envoy.output.includes(GATEWAY.secret), 'a secret is in the log');
  if (status === 503) assert.match(refusal.header('retry-after'), /^[1-9]\d?$/);
}
const isServed = (resource, token) =>
  until('it is served', async () => (await send(stack.origin + resource.path, { token })).status === 200, { every: 250, seconds: 15 });
const linesOf = (text) => stack.envoy.output.split('\n').filter((line) => line.includes(text) && line.includes('[error]'));

describe('an introspection endpoint that', { concurrency: 4 }, () => {
  for (const resource of faulty) {
    const { what, fault, endpoint } = resource;
    it(what, async () => {
      const token = newToken();
      if (!fault) await endpoint.close();
      await isRefused(resource, '/refused', token, UNAVAILABLE);
      await until(`a line names ${endpoint.url}`, () => linesOf(endpoint.url).length > 0, { seconds: 10 });
      await isRefused(resource, '/again', newToken(), UNAVAILABLE);
      assert.equal(linesOf(endpoint.url).length, 1, 'and no further one, until it is well again');
      endpoint.answer = () => good(resource);
      if (!fault) await endpoint.listen();
      await isServed(resource, token);
    });
  }
});

describe('an introspection endpoint that answers', () => {
  const answers = [
    ...Object.entries(TEXTS).map(([what, text]) => [what, () => sendsText(text), UNAVAILABLE]),
    ...[400, 401, 403, 404, 429].map((code) => [String(code), () => refuses(code, code === 401 ? 'invalid_client' : 'invalid_request'), UNAVAILABLE]),
    ...Object.entries(ANSWERS).map(([what, [changes, expected]]) => [
      what,
      () => ({ ...good(answering), ...(typeof changes === 'function' ? changes() : changes) }),
      expected,
    ]),
  ];
  for (const [what, answer, expected] of answers) {
    it(what, async () => {
      const token = newToken();
      answering.about.set(token, answer);
      await isRefused(answering, `/${what.replaceAll(/[ ,]+/g, '-')}`, token, expected);
      // what was wrong was the answer, and a right one is believed; an answer about the token itself may be remembered
      const next = expected === UNAVAILABLE ? token : newToken();
      answering.about.set(next, () => good(answering));
      await isServed(answering, next);
    });
  }
});

it('answers that take too long for one do not keep others waiting', async () => {
  const [slow, fine] = [newToken(), newToken()];
  answering.about.set(slow, () => () => {});
  answering.about.set(fine, () => good(answering));
  const answered = [];
  const note = (what) => ({ status }) => answered.push([what, status]);
  await Promise.all([
    send(`${stack.origin}/answers/waits`, { token: slow }).then(note('slow')),
    send(`${stack.origin}/answers`, { token: fine }).then(note('fine')),
  ]);
  assert.deepEqual(answered, [['fine', 200], ['slow', 503]]);
});

it('a client that does not wait for the answer leaves it to others', async () => {
  const token = newToken();
  let answerNow;
  answering.about.set(token, () => (response) => {
    answerNow = () => sendsText(JSON.stringify(good(answering)))(response);
  });
  const impatient = send(`${stack.origin}/answers/gone`, { token, onOpen: (request) => setTimeout(() => request.destroy(new Error('gone')), 150) });
  const patient = send(`${stack.origin}/answers/stays`, { token });
  await assert.rejects(impatient, /gone/);
  answerNow();
  assert.equal((await patient).status, 200);
  assert.equal(stack.mcpServer.requests().filter(({ url }) => url === '/answers/gone').length, 0);
  assert.equal((await send(`${stack.origin}/answers`, { token })).status, 200);
});

itStillServes(stack);
