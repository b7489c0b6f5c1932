// Promise: a client that may not use a tool yet is told the scopes that the tool needs, logs in again for them by itself
// and gets its answer; a tool that no scope can open ends in an error, without another login.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { CLIENTS, scopesAskedFor } from './support/clients.mjs';
import { send } from './support/http.mjs';
import { ERAS, introduce, request } from './support/mcp.mjs';
import { challenges } from './support/replies.mjs';
import { withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const RULES = {
  rules: [
    { tools: ['slow'], scopes: ['mcp:admin'] },
    { tools: ['secret*'], deny: true },
    { tools: ['echo'], claims: [{ claim: 'sub', equals: 'nobody' }], deny: true },
    { tools: ['echo'], any_of: ['mcp:write', 'mcp:admin'] },
  ],
};
const SLOW = ['slow', { steps: 0, ms: 1 }];
const ECHO = ['echo', { message: 'hello' }];
const SECRET = ['secret_one', {}];
const BASE = ['mcp:read', 'offline_access'];

const combinations = [{ kind: 'typescript', hold: 'headers' }, { kind: 'python', hold: 'body' }];
const stacks = await Promise.all(combinations.map(({ kind, hold }) => useStack({ kind, edit: withRules(hold, RULES) })));

/** Runs a client; what it saw, the statuses of its POSTs, and the scopes that it asked for. */
async function run(stack, use, era, calls) {
  const before = stack.authorizationServer.requests().length;
  const runsBefore = stack.mcpServer.runs().length;
  const seen = await use(stack.url, era, { calls });
  assert.equal(seen.protocolVersion, era);
  return {
    ...seen,
    statuses: seen.exchanges.filter(({ method }) => method === 'POST').map(({ status }) => status),
    asked: scopesAskedFor(stack, before),
    ran: stack.mcpServer.runs().slice(runsBefore).map(({ ran }) => ran),
  };
}

/** How many of the statuses are refusals, and which, in order. */
const refusals = (statuses) => statuses.filter((status) => status >= 400);

for (const [i, { kind, hold }] of combinations.entries()) {
  const stack = stacks[i];
  for (const [language, use] of Object.entries(CLIENTS)) {
    for (const era of ERAS) {
      describe(`the ${language} client, ${era}, the ${kind} server, hold_requests: ${hold}`, () => {
        it('logs in again with the wider scope, and the call succeeds', async () => {
          const { calls, statuses, asked, ran, scope } = await run(stack, use, era, [SLOW, SLOW]);
          assert.deepEqual(calls, [{ text: 'done 0' }, { text: 'done 0' }]);
          assert.deepEqual(refusals(statuses), [401, 403], `all: ${statuses}`);
          assert.equal(statuses[0], 401);
          assert.deepEqual(statuses.slice(-2), [200, 200], 'the call again, and the next one at once');
          assert.deepEqual(asked, [BASE, ['mcp:admin', ...BASE].sort()]);
          assert.deepEqual(scope.split(' ').sort(), ['mcp:admin', 'mcp:read']);
          assert.deepEqual(ran, ['slow', 'slow'], 'the MCP server never got the refused call');
        });

        it('is told one of several scopes where one is enough, and keeps what it has', async () => {
          const { calls, statuses, asked, ran } = await run(stack, use, era, [ECHO, SLOW, ECHO]);
          assert.deepEqual(calls, [{ text: 'hello' }, { text: 'done 0' }, { text: 'hello' }]);
          assert.deepEqual(refusals(statuses), [401, 403, 403]);
          assert.deepEqual(asked, [BASE, ['mcp:write', ...BASE].sort(), ['mcp:admin', 'mcp:write', ...BASE].sort()]);
          assert.deepEqual(ran, ['echo', 'slow', 'echo']);
        });

        it('gets an error for a tool that is denied, and does not log in for it', async () => {
          const { calls, statuses, asked, ran } = await run(stack, use, era, [SECRET]);
          assert.equal(calls.length, 1);
          assert.match(calls[0].error, /this is not allowed to the caller/);
          assert.deepEqual(refusals(statuses), [401, 403]);
          assert.equal(statuses.at(-1), 403, 'it is not tried again');
          assert.deepEqual(asked, [BASE], 'one login');
          assert.deepEqual(ran, []);
        });
      });
    }
  }

  it(`the ${kind} server, hold_requests: ${hold}: the challenge names all that is needed, and a denial has none`, async () => {
    const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
    const modern = await introduce(stack.url, '2026-07-28');
    for (const [name, scope, error] of [
      ['slow', 'mcp:admin mcp:read', 'insufficient_scope'],
      ['echo', 'mcp:read mcp:write', 'insufficient_scope'],
      ['secret', undefined, 'access_denied'],
    ]) {
      const answer = await send(stack.url, { token, ...request(modern, 'tools/call', { name, arguments: {} }, 'seven') });
      assert.equal(answer.status, 403);
      const { id, error: rpc } = answer.json;
      assert.deepEqual([id, rpc.code, rpc.data.error], ['seven', 403, error], name);
      const challenge = scope && challenges(stack.origin, '/mcp', scope).insufficientScope(rpc.message);
      assert.equal(answer.header('www-authenticate'), challenge, name);
    }
  });
  itStillServes(stack);
}
