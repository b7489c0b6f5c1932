// Promise: when an introspection endpoint cannot be asked, or answers what is no answer, requests get 503 (never 401:
// clients would throw good tokens away), nothing passes, the log says whose fault it is, and all is well again afterwards.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
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

/** What is added to a good answer, and what the request gets. `undefined` takes the member out. */
const ANSWERS = {
  'active as text': [{ active: 'true' }, UNAVAILABLE],
  'active as a number': [{ active: 1 }, UNAVAILABLE],
  'active as null': [{ active: null }, UNAVAILABLE],
  'no active': [{ active: undefined }, UNAVAILABLE],
  'exp as text': [() => ({ exp: String(now() + 60) }), UNAVAILABLE],
  'nbf as text': [{ nbf: 'now' }, UNAVAILABLE],
  'a number as sub': [{ sub: 7 }, UNAVAILABLE],
  'another issuer': [{ iss: 'https://evil.example' }, refusedBy('mcp_oauth_token_issuer')],
  'exp in the past': [() => ({ exp: now() - 3600 }), refusedBy('mcp_oauth_token_expired')],
  'a negative exp': [{ exp: -5 }, refusedBy('mcp_oauth_token_expired')],
  'nbf in the future': [() => ({ nbf: now() + 3600 }), refusedBy('mcp_oauth_token_not_yet_valid')],
  'another audience': [{ aud: 'https://other.example' }, refusedBy('mcp_oauth_token_audience')],
  'no audience': [{ aud: undefined }, refusedBy('mcp_oauth_token_audience')],
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

const cases = [];
async function add(what, expected, answer) {
  const endpoint = await startEndpoint();
  const path = `/case-${cases.length}`;
  const good = (resource) => ({ active: true, iss: endpoint.issuer, sub: 'alice', client_id: 'c', scope: 'mcp:read', aud: resource, exp: now() + 60 });
  cases.push({ what, expected, path, endpoint, good, answer });
}
for (const [what, fault] of Object.entries(FAULTS)) await add(what, UNAVAILABLE, fault && (() => fault));
for (const [what, text] of Object.entries(TEXTS)) await add(`answers ${what}`, UNAVAILABLE, () => sendsText(text));
for (const code of [400, 401, 403, 404, 429])
  await add(`answers ${code}`, UNAVAILABLE, () => refuses(code, code === 401 ? 'invalid_client' : 'invalid_request'));
for (const [what, [changes, expected]] of Object.entries(ANSWERS))
  await add(`answers ${what}`, expected, (good) => ({ ...good, ...(typeof changes === 'function' ? changes() : changes) }));

const stack = await useStack({
  logLevel: 'debug',
  workers: 1,
  edit: (bootstrap, { authorization_servers, resources }) => {
    setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
    const [first] = authorization_servers;
    resources[0].authorization_servers = [first.issuer];
    const { origin } = new URL(resources[0].resource);
    for (const { endpoint, path } of cases) {
      endpoint.issuer = `${first.issuer}${path}`;
      bootstrap.static_resources.clusters.push(cluster(path, endpoint.port));
      authorization_servers.push({
        issuer: endpoint.issuer,
        cluster: 'authorization_server',
        jwks: { keys: [] },
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
const reached = (path) => stack.mcpServer.requests().filter(({ url }) => url.startsWith(path)).length;

describe('an introspection endpoint that', { concurrency: 4 }, () => {
  for (const { what, expected, path, endpoint, good, answer } of cases) {
    it(what, async () => {
      const url = stack.origin + path;
      const token = randomBytes(32).toString('base64url');
      if (answer) endpoint.answer = () => answer(good(url));
      else await endpoint.close();
      const { status, error, reason } = expected;
      const refusal = await send(`${url}/refused`, { token });
      const challenge = status === 401 ? challenges(stack.origin, path).invalidToken : undefined;
      assertRefusal(refusal, { status, error, challenge });
      assert.equal(await reasonFor(stack, `${path}/refused`), reason);
      assert.equal(reached(path), 0, 'requests that the MCP server got');
      if (status === 503) {
        assert.match(refusal.header('retry-after'), /^[1-9]\d?$/);
        await until(
          `a log line names ${endpoint.url}`,
          () => stack.envoy.output.split('\n').some((line) => line.includes(`${endpoint.url}\``) && /warning/.test(line)),
          { seconds: 10 },
        );
      }
      // what was wrong was the answer, and a right one is believed
      endpoint.answer = () => good(url);
      if (!answer) await endpoint.listen();
      const fresh = status === 503 ? token : randomBytes(32).toString('base64url');
      await until('it is served', async () => (await send(url, { token: fresh })).status === 200, { every: 250, seconds: 15 });
      assert.ok(!stack.envoy.output.includes(token) && !stack.envoy.output.includes(GATEWAY.secret), 'a secret is in the log');
    });
  }
});

it('answers that take too long for one do not keep others waiting', async () => {
  const [slow, other] = [cases[1], cases[2]];
  slow.endpoint.answer = () => () => {};
  other.endpoint.answer = () => other.good(stack.origin + other.path);
  const waiting = send(`${stack.origin}${slow.path}/waits`, { token: randomBytes(32).toString('base64url') });
  const began = performance.now();
  assert.equal((await send(stack.origin + other.path, { token: randomBytes(32).toString('base64url') })).status, 200);
  assert.ok(performance.now() - began < 400);
  assert.equal((await waiting).status, 503);
});

itStillServes(stack);
