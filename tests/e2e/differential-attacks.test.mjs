// Promise: whatever a request's headers and the spelling of its body pretend, a token that may only `echo` never runs
// `slow`: the answer is 4xx, and neither of the real MCP servers gets the payload, in either era.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { attacksOf } from './support/attacks.mjs';
import { send } from './support/http.mjs';
import { ERAS, VERSION_CLAIM, introduce, request } from './support/mcp.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

// The rest is allowed to everyone: what the filter takes for something else than `slow` gets through.
const RULES = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }] };
const SERVERS = ['typescript', 'python'];
const combinations = SERVERS.flatMap((kind) => HOLDS.map((hold) => ({ kind, hold })));
const stacks = await Promise.all(combinations.map(({ kind, hold }) => useStack({ kind, edit: withRules(hold, RULES) })));

let last = 1000;
const nextMark = () => ++last;

/** What the MCP server got of a request of its own while `act` was running: requests, and runs with this mark. */
async function watch({ mcpServer }, mark, act) {
  const before = mcpServer.requests().length;
  const answer = await act();
  const runs = mcpServer.runs().filter(({ arguments: { ms } }) => ms === mark);
  return { answer, requests: mcpServer.requests().length - before, runs: runs.map(({ ran }) => ran) };
}

/** Sends an attack through Envoy and makes sure of the promise. */
async function assertRefused(stack, hold, token, attack, status) {
  const mark = nextMark();
  const { answer, requests, runs } = await watch(stack, mark, () => send(stack.url, { token, ...attack.send(mark) }));
  assert.deepEqual(runs, [], `${attack.what}: ran`);
  assert.equal(answer.status, status, `${attack.what}: ${answer.body}`);
  // Envoy's own buffer is full at the same length, and it may be the one who says so
  if (status !== 413) assert.equal(answer.header('content-type'), 'application/json', attack.what);
  if (hold === 'headers') assert.equal(requests, 0, `${attack.what}: the MCP server got something`);
}

/** Sends all of them; then a good request, and by its answer a run that is only late would be there too. */
async function assertAllRefused(stack, hold, token, client, attacks) {
  const first = last;
  for (const attack of attacks) await assertRefused(stack, hold, token, attack, attack.status);
  const echo = request(client, 'tools/call', { name: 'echo', arguments: { message: 'x' } });
  assert.equal((await send(stack.url, { token, ...echo })).status, 200);
  assert.deepEqual(stack.mcpServer.runs().filter(({ arguments: { ms } }) => ms > first), []);
}

/** The attacks that run `slow` at the MCP server where nothing is in front of it. */
async function dangerous(stack, attacks) {
  const ran = [];
  for (const attack of attacks) {
    const mark = nextMark();
    const url = `http://127.0.0.1:${stack.ports.mcpServer}/mcp`;
    const { runs } = await watch(stack, mark, () => send(url, attack.send(mark)).catch(() => {}));
    if (runs.includes('slow')) ran.push(attack.what);
  }
  return ran;
}

const VERSIONS = [undefined, '2024-11-05', '2025-03-26', '2025-11-25', '2026-07-28', '2027-01-01', 'junk', ''];
const CLAIMS = [undefined, '2025-11-25', '2026-07-28', '2027-01-01'];
const LIES = [
  [true, {}],
  [true, { 'mcp-method': 'tools/call', 'mcp-name': 'slow' }],
  [false, { 'mcp-method': 'tools/list' }],
  [false, { 'mcp-name': 'echo' }],
  [false, { 'mcp-method': 'tools/call', 'mcp-name': 'echo' }],
];

/** Every version header with every claim in `_meta`, with and without the headers that repeat the body or contradict it. */
function eraAttacks(client) {
  const session = { 'mcp-session-id': client.headers['mcp-session-id'] };
  const of = (version, claim, [honest, lie]) => {
    const meta = { 'io.modelcontextprotocol/clientCapabilities': {}, [VERSION_CLAIM]: claim };
    const params = (ms) => ({ name: 'slow', arguments: { steps: 0, ms }, ...(claim && { _meta: meta }) });
    const headers = { 'mcp-protocol-version': version, ...session, ...lie };
    const fits = honest && (version === undefined || claim === undefined || version === claim);
    const isModern = claim !== undefined || version >= '2026-07-28' && version !== 'junk';
    const isComplete = !isModern || ('mcp-name' in lie && (version !== undefined || claim === undefined));
    return {
      what: JSON.stringify({ version, claim, ...lie }),
      status: fits && isComplete ? 403 : 400,
      send: (mark) => ({ headers, body: JSON.stringify({ jsonrpc: '2.0', id: 7, method: 'tools/call', params: params(mark) }) }),
    };
  };
  return VERSIONS.flatMap((version) => CLAIMS.flatMap((claim) => LIES.map((lie) => of(version, claim, lie))));
}

/** Some that the servers are known to run: without them this file would prove nothing. */
const DOUBLED = ['the plain call', 'two names, the harmless first', 'two params, the harmless first', 'two methods, the harmless first'];
const LIED = ['Mcp-Method: tools/list', 'Mcp-Name: echo', 'two lines of Mcp-Method, the good one first'];
const KNOWN = {
  'typescript 2025-11-25': [...DOUBLED, ...LIED, 'a byte order mark', 'an array of one', 'an array of two, the harmless first'],
  'typescript 2026-07-28': [...DOUBLED, 'a byte order mark'],
  'python 2025-11-25': [...DOUBLED, ...LIED],
  'python 2026-07-28': [...DOUBLED, 'a byte order mark', 'UTF-16, little end first'],
};

for (const [i, { kind, hold }] of combinations.entries()) {
  const stack = stacks[i];
  const tokenFor = (scope) => machineToken(stack.issuer, stack.url, scope);
  for (const era of ERAS) {
    describe(`the ${kind} server, ${era}, hold_requests: ${hold}`, () => {
      it('runs what a token may: `echo` with the base scope, `slow` with mcp:admin', async () => {
        const poor = await tokenFor('mcp:read');
        const client = await introduce(stack.url, era, { token: poor });
        const [plain] = attacksOf(client);
        for (const [scope, tool, status, ran] of [
          ['mcp:read', 'echo', 200, ['echo']],
          ['mcp:read', 'slow', 403, []],
          ['mcp:read mcp:admin', 'slow', 200, ['slow']],
        ]) {
          const token = await tokenFor(scope);
          const mark = nextMark();
          const call = tool === 'slow' ? plain.send(mark) : request(client, 'tools/call', { name: tool, arguments: { message: 'x', ms: mark } });
          const before = stack.mcpServer.runs().length;
          const answer = await send(stack.url, { token, ...call });
          assert.equal(answer.status, status, `${tool} with ${scope}: ${answer.body}`);
          assert.deepEqual(stack.mcpServer.runs().slice(before).map((run) => run.ran), ran);
          if (tool === 'slow' && status === 200) assert.equal(stack.mcpServer.runs().at(-1).arguments.ms, mark);
        }
      });

      it('no spelling of a call gets through', async () => {
        const token = await tokenFor('mcp:read');
        const client = await introduce(stack.url, era, { token });
        await assertAllRefused(stack, hold, token, client, attacksOf(client));
      });

      it('no combination of version, claim and headers gets through', async () => {
        const token = await tokenFor('mcp:read');
        const client = await introduce(stack.url, era, { token });
        await assertAllRefused(stack, hold, token, client, eraAttacks(client));
      });

      if (hold === 'headers') {
        it('many of these run at the server where no filter is in front of it', async (context) => {
          const client = await introduce(`http://127.0.0.1:${stack.ports.mcpServer}/mcp`, era);
          const ran = await dangerous(stack, attacksOf(client));
          const lies = (await dangerous(stack, eraAttacks(client))).filter((what) => what.includes('tools/list'));
          context.diagnostic(`${kind}, ${era}: ${ran.join(' | ')}`);
          context.diagnostic(`${kind}, ${era}: with Mcp-Method: tools/list: ${lies.join(' | ')}`);
          assert.deepEqual(KNOWN[`${kind} ${era}`].filter((what) => !ran.includes(what)), []);
          // the Python server believes the version header, and of a modern one it compares the rest
          assert.equal(lies.length > 0, !(kind === 'python' && era === '2026-07-28'), 'with Mcp-Method: tools/list');
        });
      }
    });
  }
  itStillServes(stack);
}
