// Promise: requests that need keys wait for one fetch; then each gets its own answer, and who left meanwhile does no harm.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { until } from '../../testbed/until.mjs';
import { INITIALIZE, send } from './support/http.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startStandIn } from './support/stand-in.mjs';

let waiting = [];
const hold = (request, response) => request.url === '/jwks' && waiting.push(response);
const standIn = await startStandIn(hold);
const stack = await useStack({
  workers: 1,
  resources: [],
  edit: (bootstrap, plugin) => {
    bootstrap.static_resources.clusters.push(cluster('stand_in', standIn.port));
    plugin.authorization_servers = [{ issuer: standIn.issuer, cluster: 'stand_in', fetch_timeout: '60s' }];
    plugin.resources[0].audiences = ['held'];
  },
});

/** How many requests Envoy has not answered yet. */
async function active() {
  const text = await (
    await fetch(`http://127.0.0.1:${stack.ports.admin}/stats?filter=^http.mcp.downstream_rq_active$`)
  ).text();
  return Number(text.split(': ')[1]);
}
const release = () => {
  standIn.answer = () => false;
  for (const response of waiting.splice(0))
    response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(standIn.jwks));
};

it('many at once, good and bad, some of whose clients leave', async () => {
  const good = standIn.token('held');
  const stranger = {
    ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
    alg: 'ES256',
  };
  const large = INITIALIZE + ' '.repeat(2_000_000); // more than Envoy keeps in memory for one request
  const kinds = [
    [30, 200, { token: good }],
    [10, 401, { token: standIn.token('held', { key: stranger }) }],
    [10, 403, { token: standIn.token('held', { claims: { scope: 'other' } }) }],
    [2, 200, { token: good, body: large }],
    [20, 'left', { token: good }],
  ];
  const leaving = [];
  const answers = kinds.flatMap(([count, expected, request]) =>
    Array.from({ length: count }, async () => {
      const onOpen = expected === 'left' ? (outgoing) => leaving.push(outgoing) : undefined;
      return {
        expected,
        got: await send(stack.url, { ...request, onOpen }).then(
          ({ status }) => status,
          () => 'left',
        ),
      };
    }),
  );
  await until('all are held', async () => (await active()) === 72);
  for (const outgoing of leaving) outgoing.destroy();
  await until('Envoy has noticed who left', async () => (await active()) === 52);
  assert.equal(stack.mcpServer.requests().length, 0, 'requests that the MCP server got while they were held');

  release();
  for (const { expected, got } of await Promise.all(answers)) assert.equal(got, expected);
  assert.equal(stack.mcpServer.requests().length, 32, 'requests that the MCP server got in the end');
  for (const { headers } of stack.mcpServer.requests()) {
    assert.deepEqual(
      headers.filter(([name]) => ['authorization', 'x-mcp-subject'].includes(name)),
      [['x-mcp-subject', 'alice']],
    );
  }
  assert.deepEqual(
    standIn.requests.filter((url) => url === '/jwks').length,
    2,
    'fetches: one of the worker, one of the main thread',
  );
  assert.equal(await active(), 0);
});

itStillServes(stack, () => standIn.token('held'));
