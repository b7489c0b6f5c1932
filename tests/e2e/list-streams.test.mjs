// Promise: a list in an event stream is filtered event by event, while it comes: a server may ask its client for something
// in the middle and wait for the answer, or leave the stream open behind the list.
import assert from 'node:assert/strict';
import { request as httpRequest } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { Session } from '../../testbed/oauth-client.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { send, within } from './support/http.mjs';
import { call, HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const SETTINGS = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }], filter_lists: true };

const tool = (name) => `{"name":"${name}", "inputSchema":{"type":"object"}}`;
const list = (id, ...names) => `{"jsonrpc":"2.0","id":${id},"result":{"tools":[ ${names.map(tool).join(' , ')} ]}}`;
const event = (data, end = '\n') => `event: message${end}data: ${data}${end}${end}`;
const PING = '{"jsonrpc":"2.0","id":"ping-1","method":"ping"}';

const stacks = {};
for (const hold of HOLDS) {
  const upstream = await startUpstream();
  stacks[hold] = { upstream, stack: await useStack({ edit: withRules(hold, SETTINGS, upstream.edit) }) };
}
const http2 = await startUpstream({ http2: true });
const withTrailers = await useStack({
  edit: withRules('headers', SETTINGS, (bootstrap) => {
    http2.edit(bootstrap);
    connectionManagerOf(bootstrap).http2_protocol_options = {};
  }),
});

/** What a request says, and how its answer begins. */
async function read(incoming) {
  let text = '';
  for await (const part of incoming.setEncoding('utf8')) text += part;
  return text === '' ? undefined : JSON.parse(text);
}

/**
 * A server of 2025-11-25 that pings its client on the stream of a list, and sends the list when that was answered. In
 * `log` is what it saw.
 */
function pingingServer(log) {
  let answered;
  return async (incoming, response) => {
    const message = await read(incoming);
    if (message?.method === 'initialize') {
      const result = { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: { name: 'x', version: '1' } };
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ jsonrpc: '2.0', id: message.id, result }));
    } else if (message?.method === 'tools/list') {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(event(PING));
      answered = () => response.end(event(list(JSON.stringify(message.id), 'slow', 'echo')));
    } else if (message?.id === 'ping-1') {
      log.push(message);
      response.writeHead(202).end();
      answered();
    } else {
      response.writeHead(message ? 202 : 405).end();
    }
  };
}

/** Sends a request for the list; `onText(text so far, request)` is told as it comes. The whole body in the end. */
async function streamed(stack, onText) {
  const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
  const headers = { 'authorization': `Bearer ${token}`, 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(stack.url, { method: 'POST', headers, agent: false }, (response) => {
      let text = '';
      response
        .setEncoding('utf8')
        .on('data', (part) => {
          text += part;
          onText(text, outgoing, token);
        })
        .on('end', () => resolve(text))
        .on('error', reject);
    });
    outgoing.on('error', reject).end(call('tools/list', {}));
  });
}

for (const hold of HOLDS) {
  const { upstream, stack } = stacks[hold];
  describe(`hold_requests: ${hold}`, () => {
    it('what the server asks in the middle of a list reaches the client, and its answer the server', async () => {
      const log = [];
      upstream.answer = pingingServer(log);
      let asked = false;
      const body = await within('the list', streamed(stack, (text, _, token) => {
        if (asked || !text.includes('ping-1')) return;
        asked = true;
        assert.equal(text, event(PING), 'and nothing else yet');
        send(stack.url, { token, body: '{"jsonrpc":"2.0","id":"ping-1","result":{}}' });
      }));
      assert.equal(body, event(PING) + event(list(7, 'echo')));
      assert.deepEqual(log, [{ jsonrpc: '2.0', id: 'ping-1', result: {} }]);
    });

    it('the TypeScript client answers and gets its list', async () => {
      const log = [];
      upstream.answer = pingingServer(log);
      const session = await Session.open(stack.url, { era: '2025-11-25' });
      const { tools } = await within('the list', session.run((client) => client.listTools()));
      assert.deepEqual(tools.map(({ name }) => name), ['echo']);
      assert.equal(log.length, 1);
      await session.close();
    });

    it('a stream that stays open behind the list has shown it', async () => {
      let open;
      const left = new Promise((resolve) => {
        upstream.answer = (incoming, response) => {
          incoming.resume();
          response.on('close', resolve);
          open = response;
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write(event(list(7, 'echo', 'slow'), '\r\n'));
        };
      });
      const wanted = event(list(7, 'echo'), '\r\n');
      await within('the list and a comment', new Promise((resolve) => {
        streamed(stack, (text, outgoing) => {
          if (text === wanted) open.write(': still there\n\n');
          else if (text === `${wanted}: still there\n\n`) resolve(outgoing.destroy());
        }).catch(() => {}); // it is broken off
      }));
      await within('the server learns that the client left', left);
    });

    it('a stream that is cut at every byte is the same', async () => {
      const whole = `\ufeff${event(PING, '\r\n')}${event(list(7, 'slow', 'echo'), '\r\n')}: x\r\r${event(list(7, 'slow'), '\r')}`;
      upstream.answer = async (incoming, response) => {
        await read(incoming);
        response.writeHead(200, { 'content-type': 'text/event-stream' });
        for (const byte of Buffer.from(whole)) {
          response.write(Buffer.of(byte));
          await new Promise((resolve) => setImmediate(resolve));
        }
        response.end();
      };
      const body = await within('all of it', streamed(stack, () => {}));
      assert.equal(body, `\ufeff${event(PING, '\r\n')}${event(list(7, 'echo'), '\r\n')}: x\r\r${event(list(7), '\r')}`);
    });

    it('what cannot be read ends the list, and nothing of it is shown', async () => {
      for (const bad of [event('nonsense'), event(`[${list(7, 'slow')}]`), `data: ${'x'.repeat(800_000)}`]) {
        upstream.answer = async (incoming, response) => {
          await read(incoming);
          response.writeHead(200, { 'content-type': 'text/event-stream' });
          response.write(event(PING));
          response.end(bad + event(list(7, 'slow')));
        };
        const body = await within('all of it', streamed(stack, () => {}));
        const error = '{"jsonrpc":"2.0","id":7,"error":{"code":-32603,"message":"the list cannot be filtered"}}';
        assert.equal(body, event(PING) + event(error));
      }
    });
  });
  it('the upstream answers plainly again', () => {
    upstream.answer = (incoming, response) => {
      incoming.resume();
      response.end();
    };
  });
  itStillServes(stack);
}

describe('a response that ends with trailers', () => {
  for (const [type, body, expected] of [
    ['application/json', list(7, 'echo', 'slow'), list(7, 'echo')],
    ['text/event-stream', event(list(7, 'echo', 'slow')), event(list(7, 'echo'))],
    // what is not a whole event is none for clients either, and at the trailers there is no body to show it in
    ['text/event-stream', `${event(PING)}data: ${list(7, 'slow')}`, event(PING)],
  ]) {
    it(`${type} of ${body.length} bytes is filtered all the same`, async () => {
      http2.answer = async (incoming, response) => {
        await read(incoming);
        response.writeHead(200, { 'content-type': type });
        response.addTrailers({ 'x-end': 'yes' });
        response.write(body.slice(0, 20));
        setTimeout(() => response.end(body.slice(20)), 50);
      };
      const token = await machineToken(withTrailers.issuer, withTrailers.url, 'mcp:read');
      const got = await within('the response', overHttp2(withTrailers, token, call('tools/list', {})));
      assert.deepEqual(got, { status: 200, body: expected, trailer: 'yes' });
    });
  }
});

/** A POST over HTTP/2, whose responses keep their trailers. */
function overHttp2(stack, token, body) {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(stack.origin);
    const got = { body: '' };
    const stream = session.on('error', reject).request({
      ':method': 'POST',
      ':path': '/mcp',
      'authorization': `Bearer ${token}`,
      'content-type': 'application/json',
    });
    stream
      .setEncoding('utf8')
      .on('response', (headers) => {
        got.status = headers[':status'];
      })
      .on('data', (part) => {
        got.body += part;
      })
      .on('trailers', (trailers) => {
        got.trailer = trailers['x-end'];
      })
      .on('end', () => {
        resolve(got);
        session.destroy();
      })
      .on('error', reject)
      .end(body);
  });
}
