// Promise: with `hold_requests: body` a server may answer before its request was judged. What could be a list that nobody
// filtered is not shown then; everything else is passed on.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { call, toolCall, withRules } from './support/rules.mjs';
import { itStillServes, reasonFor, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const RULES = [{ tools: ['slow'], scopes: ['mcp:admin'] }];
const LIST = '{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"slow"}]}}';
const ASKED = call('tools/list', {});

const upstream = await startUpstream();
const filtering = await useStack({ edit: withRules('body', { rules: RULES, filter_lists: true }, upstream.edit) });
const plain = await useStack({ edit: withRules('body', { rules: RULES }, upstream.edit) });

/** An upstream that answers whoever asks for a list by its headers, and does not wait for a body. */
const answerEarly = (status, type, body) => {
  upstream.answer = (incoming, response) => {
    incoming.on('error', () => {}).resume();
    response.writeHead(status, { 'content-type': type }).end(body);
  };
};

/** Sends a request but for its last byte, and reads what is answered to that. */
async function askHalf(stack, path = '/mcp') {
  const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
  const head = [
    `POST ${path} HTTP/1.1`,
    `host: 127.0.0.1:${stack.ports.listen}`,
    `authorization: Bearer ${token}`,
    'content-type: application/json',
    'mcp-method: tools/list',
    `content-length: ${ASKED.length}`,
    '',
    ASKED.slice(0, -1),
  ];
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(stack.ports.listen, '127.0.0.1', () => socket.write(head.join('\r\n')));
    socket
      .setEncoding('utf8')
      .on('data', (part) => {
        text += part;
        const [answer, body] = text.split('\r\n\r\n');
        const length = /^content-length: *(\d+)/im.exec(answer)?.[1];
        const isWhole = length === undefined ? body?.endsWith('0') : body?.length >= Number(length);
        if (!isWhole && !text.endsWith('\r\n0\r\n\r\n')) return;
        resolve({ status: Number(answer.split(' ')[1]), text });
        socket.destroy();
      })
      .on('error', reject)
      .setTimeout(10_000, () => reject(new Error(`no whole answer within 10 s: ${text}`)));
  });
}

describe('before the request was judged', () => {
  for (const [status, type] of [[200, 'application/json'], [200, 'text/event-stream'], [202, 'application/json']]) {
    it(`${status} ${type} is refused where lists are filtered`, async () => {
      answerEarly(status, type, type === 'application/json' ? LIST : `data: ${LIST}\n\n`);
      const path = `/mcp/${status}/${type.replace('/', '-')}`;
      const answer = await askHalf(filtering, path);
      assert.equal(answer.status, 502);
      assert.match(answer.text, /"error":"bad_gateway"/);
      assert.doesNotMatch(answer.text, /slow/);
      assert.equal(await reasonFor(filtering, path), 'mcp_oauth_early_response');
    });
    it(`${status} ${type} is passed on where they are not`, async () => {
      answerEarly(status, type, LIST);
      const answer = await askHalf(plain);
      assert.equal(answer.status, status);
      assert.match(answer.text, /slow/);
    });
  }

  it('what is no success is passed on', async () => {
    for (const status of [400, 413, 500]) {
      answerEarly(status, 'text/plain', 'too slow');
      for (const stack of [filtering, plain]) {
        const answer = await askHalf(stack);
        assert.equal(answer.status, status);
        assert.match(answer.text, /too slow/);
      }
    }
  });
});

it('in its time an answer is filtered', async () => {
  upstream.answer = (incoming, response) => {
    const answer = () => response.writeHead(200, { 'content-type': 'application/json' }).end(LIST);
    incoming.on('error', () => {}).on('end', answer).resume();
  };
  const token = await machineToken(filtering.issuer, filtering.url, 'mcp:read');
  const answer = await send(filtering.url, { token, body: ASKED });
  assert.deepEqual([answer.status, answer.body], [200, LIST.replace('{"name":"slow"}', '')]);
  const refused = await send(filtering.url, { token, body: toolCall('slow') });
  assert.equal(refused.status, 403);
});

itStillServes(filtering);
