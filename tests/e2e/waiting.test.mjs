// Promise: clients that are slow, or of whom nobody knows yet who they are, take no more than they may, and keep out only
// their like.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { call, toolCall, withRules } from './support/rules.mjs';
import { startStandIn } from './support/stand-in.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const MOST_WITHOUT_A_TOKEN = 256;
const SETTINGS = { rules: [{ tools: ['no'], deny: true }], anonymous_methods: ['ping'], body: { max_size: '64KiB' } };

const upstream = await startUpstream();
upstream.answer = (incoming, response) => {
  incoming.on('error', () => {}).on('end', () => response.end('served')).resume();
};
const stack = await useStack({ workers: 1, edit: withRules('headers', SETTINGS, upstream.edit) });
const impatient = await useStack({
  workers: 1,
  edit: withRules('headers', SETTINGS, (bootstrap) => {
    upstream.edit(bootstrap);
    connectionManagerOf(bootstrap).request_timeout = '1s';
  }),
});
let release;
const keysMayCome = new Promise((resolve) => {
  release = resolve;
});
const standIn = await startStandIn((asked, response, self) => {
  if (asked.url !== '/jwks') return false;
  keysMayCome.then(() => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(self.jwks)));
  return true;
});
const keyless = await useStack({
  workers: 1,
  edit: withRules('headers', SETTINGS, (bootstrap, plugin) => {
    upstream.edit(bootstrap);
    const [server] = plugin.authorization_servers;
    server.issuer = standIn.issuer;
    const idp = bootstrap.static_resources.clusters.find(({ name }) => name === server.cluster);
    idp.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = standIn.port;
  }),
});

/** A POST of which only the head and these bytes come: `{ answer, isAnswered(), end(rest), leave() }`. */
function begin({ ports }, { token, body = '{', length = 10_000 } = {}) {
  const head = [
    'POST /mcp HTTP/1.1',
    `host: 127.0.0.1:${ports.listen}`,
    'content-type: application/json',
    `content-length: ${length}`,
    ...(token ? [`authorization: Bearer ${token}`] : []),
    '',
    '',
  ];
  let status;
  const socket = connect(ports.listen, '127.0.0.1', () => socket.write(head.join('\r\n') + body));
  const answer = new Promise((resolve, reject) => {
    socket
      .setEncoding('utf8')
      .on('data', (text) => resolve((status ??= Number(text.split(' ')[1]))))
      .on('close', () => reject(new Error('closed without an answer')))
      .on('error', reject);
  });
  answer.catch(() => {});
  return { answer, isAnswered: () => status !== undefined, end: (rest) => socket.write(rest), leave: () => socket.destroy() };
}

describe('requests without a token whose body does not come', () => {
  it('are so many, the next is told to come back, and others do not notice', async () => {
    const waiting = Array.from({ length: MOST_WITHOUT_A_TOKEN }, () => begin(stack));
    const refused = () => send(stack.url, { body: call('ping', {}) });
    await until('there is no more room', async () => (await refused()).status === 503);
    const answer = await refused();
    assert.deepEqual([answer.status, answer.json.error], [503, 'temporarily_unavailable']);
    assert.equal(answer.header('retry-after'), '1');
    assert.equal(answer.header('www-authenticate'), undefined);
    assert.deepEqual(waiting.filter(({ isAnswered }) => isAnswered()), []);
    const token = await machineToken(stack.issuer, stack.url);
    assert.equal((await send(stack.url, { token, body: toolCall('echo') })).status, 200, 'with a token');
    assert.equal((await send(stack.url, { method: 'GET', token })).status, 200, 'nothing to read');
    assert.equal((await send(stack.url, { method: 'GET' })).status, 401, 'nothing to read, no token');

    waiting[0].leave();
    await until('whoever leaves makes room', async () => (await refused()).status === 200);
    for (const { leave } of waiting) leave();
  });

  it('are refused while they write more than they may', async () => {
    const long = begin(stack, { body: ' '.repeat(64 * 1024 + 1), length: 1_000_000 });
    assert.equal(await long.answer, 413);
  });

  it("end with the proxy's request_timeout", async () => {
    for (const token of [undefined, await machineToken(impatient.issuer, impatient.url)]) {
      assert.equal(await begin(impatient, { token }).answer, 408);
    }
  });
});

describe('requests that wait for keys', () => {
  it('are refused while they write more than they may', async () => {
    const token = await standIn.token(keyless.url);
    const short = begin(keyless, { token, body: ' '.repeat(1000), length: 1000 + toolCall('echo').length });
    await until('Envoy asks for the keys', () => standIn.requests.includes('/jwks'));
    const long = begin(keyless, { token, body: ' '.repeat(64 * 1024 + 1), length: 1_000_000 });
    assert.equal(await long.answer, 413);
    assert.equal(short.isAnswered(), false, 'it waits');
    release();
    short.end(toolCall('echo'));
    assert.equal(await short.answer, 200);
  });
});

itStillServes(stack);
