// Promise: what the filter knows of a request is there for Envoy's access log, for its access control, its rate limits and its
// header formatters, and it is what was verified. Runs examples/filter-state.yaml.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectionManagerOf, readExample } from '../../testbed/envoy.mjs';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { INITIALIZE, send } from './support/http.mjs';
import { toolCall } from './support/rules.mjs';
import { itStillServes, keysOf, useStack } from './support/stack.mjs';

const example = readExample('examples/filter-state.yaml');
const headers = await useStack({ example });
const body = await useStack({
  example,
  edit: (bootstrap, plugin) => {
    plugin.hold_requests = 'body';
    connectionManagerOf(bootstrap).http_filters[0].typed_config.config.allow_on_headers_stop_iteration = false;
  },
});

function tokenFor(stack, changes) {
  const [key] = keysOf(stack);
  return forge(
    key,
    { alg: key.alg, kid: key.kid, typ: 'at+jwt' },
    { ...goodClaims(stack.issuer, stack.url), ...changes },
  );
}

const linesOf = (stack) =>
  stack.envoy.output
    .split('\n')
    .filter((line) => line.startsWith('{"'))
    .map((line) => JSON.parse(line));

/** The answer to a request, and what the access log says of it. */
async function logged(stack, request) {
  const before = linesOf(stack).length;
  const answer = await send(stack.url, request);
  const line = await until('the access log has the request', () => linesOf(stack)[before], { seconds: 15 });
  return { answer, line: Object.fromEntries(Object.entries(line).filter(([, value]) => value !== null)) };
}

for (const [hold, stack] of Object.entries({ headers, body })) {
  const who = { subject: 'alice', client_id: 'forged-client', issuer: stack.issuer, scopes: 'mcp:read' };
  describe(`hold_requests: ${hold}`, () => {
    it('a request that goes on is allowed, and who sent it is known to log and formatters', async () => {
      const spoofed = { 'x-mcp-subject': 'mallory', 'x-caller': 'mallory' };
      const { answer, line } = await logged(stack, { token: tokenFor(stack), headers: spoofed });
      assert.equal(answer.status, 200, answer.body);
      assert.deepEqual(line, {
        ...who,
        status: 200,
        details: 'via_upstream',
        decision: 'allow',
        method: 'initialize',
      });
      const received = stack.mcpServer.requests().at(-1).headers.filter(([name]) => name === 'x-caller');
      assert.deepEqual(received, [['x-caller', 'alice']]);
    });

    it('the access control behind the filter refuses by the verified subject', async () => {
      const before = stack.mcpServer.requests().length;
      const { answer, line } = await logged(stack, { token: tokenFor(stack, { sub: 'mallory' }) });
      assert.equal(answer.status, 403);
      assert.match(line.details, /^rbac_access_denied/);
      assert.equal(line.subject, 'mallory');
      assert.equal(stack.mcpServer.requests().length, before);
    });

    it('a tool that a rule denies is in the log with its caller', async () => {
      const { answer, line } = await logged(stack, { token: tokenFor(stack), body: toolCall('delete_all') });
      assert.equal(answer.status, 403, answer.body);
      const reason = 'mcp_oauth_denied';
      assert.deepEqual(line, {
        ...who,
        status: 403,
        details: reason,
        reason,
        decision: 'deny',
        method: 'tools/call',
        tool: 'delete_all',
      });
    });

    it('a subject that would break the line is encoded as in the headers', async () => {
      const { line } = await logged(stack, { token: tokenFor(stack, { sub: 'a"\r\nb ü' }) });
      assert.equal(line.subject, 'a"%0D%0Ab%20%C3%BC');
    });

    it('of a request without a good token only the refusal is known', async () => {
      for (const [token, reason] of [
        [undefined, 'mcp_oauth_missing_token'],
        [tokenFor(stack, { aud: 'https://other.example' }), 'mcp_oauth_token_audience'],
      ]) {
        const { line } = await logged(stack, { token, body: INITIALIZE });
        assert.deepEqual(line, { status: 401, details: reason, reason, decision: 'deny' });
      }
    });

    it('the rate limit behind the filter counts by the verified subject', async () => {
      const before = stack.mcpServer.requests().length;
      const began = performance.now();
      const busy = (client_id) => ({
        token: tokenFor(stack, { sub: 'busy', client_id }),
        headers: { 'x-mcp-subject': client_id },
      });
      const answers = await Promise.all(
        Array.from({ length: 100 }, (_, i) => send(stack.url, busy(`c${i}`))),
      );
      const seconds = Math.ceil((performance.now() - began) / 1000);
      const count = (status) => answers.filter((answer) => answer.status === status).length;
      assert.equal(count(200) + count(429), 100);
      assert.ok(count(200) >= 60 && count(200) <= 60 + seconds, `${count(200)} of 60 in ${seconds} s`);
      assert.equal(stack.mcpServer.requests().length - before, count(200));
      assert.equal((await send(stack.url, { token: tokenFor(stack, { sub: 'quiet' }) })).status, 200, 'another one is served');
      const lines = await until('the log has them all', () => {
        const lines = linesOf(stack).filter(({ subject }) => subject === 'busy');
        return lines.length === 100 && lines;
      }, { seconds: 15 });
      const limited = lines.filter(({ status }) => status === 429).map(({ details, decision }) => `${details}, ${decision}`);
      assert.deepEqual([...new Set(limited)], ['local_rate_limited, allow']);
    });
  });
}

itStillServes(headers, () => tokenFor(headers));
