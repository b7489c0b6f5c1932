// Promise: however a server writes a list (in pieces, as events, with any line ends, with a length), the client sees what
// it may use of it, byte for byte; and what cannot be read as a list is not shown at all.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { introduce, messageOf, request } from './support/mcp.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const SETTINGS = {
  rules: [
    { tools: ['slow'], scopes: ['mcp:admin'] },
    { prompts: ['secret*'], deny: true },
    { resources: ['file:///private/*'], scopes: ['mcp:admin'] },
  ],
  filter_lists: true,
};

const upstream = await startUpstream();
const stacks = {};
for (const hold of HOLDS) {
  stacks[hold] = await useStack({ edit: withRules(hold, SETTINGS, upstream.edit) });
}

const JSON_TYPE = { 'content-type': 'application/json' };
const EVENTS = { 'content-type': 'text/event-stream' };

const UNREADABLE = { jsonrpc: '2.0', id: 7, error: { code: -32603, message: 'the list cannot be filtered' } };

/** Lets the upstream answer with these bytes, in pieces of this length; without one they have a content-length. */
function answerWith(bytes, { headers = JSON_TYPE, status = 200, pieces } = {}) {
  upstream.answer = async (incoming, response) => {
    for await (const _ of incoming);
    const body = Buffer.from(bytes);
    response.writeHead(status, { ...headers, ...(!pieces && { 'content-length': body.length }) });
    for (let at = 0; pieces && at < body.length; at += pieces) {
      response.write(body.subarray(at, at + pieces));
      await new Promise((resolve) => setImmediate(resolve));
    }
    response.end(pieces ? undefined : body);
  };
}

/** A tools list as no serializer would write it; `slow` stands where `slow` is put. */
const list = (slow, scope = '') =>
  `\n{ "jsonrpc" : "2.0", "id":7 , "result":{"nextCursor":"äöü\\u00e9", ${scope}"tools" : [ ${slow}` +
  `{"x": 1e400, "name" : "\\u0065cho",\t"description":"„é\\/\\ud83d\\ude00“ slow"} ], "ttlMs":12345678901234567890 } }\r\n`;
const SLOW = '{ "description" : "name", "na\\u006de":"\\u0073low", "inputSchema":{"name":"echo"}}';
/** What is left of it: every byte but the item, its comma and the space behind that. */
const shown = (scope = '') => list('', scope);

for (const hold of HOLDS) {
  const stack = stacks[hold];
  describe(`hold_requests: ${hold}`, () => {
    const ask = async (era = '2025-11-25', method = 'tools/list', scope = 'mcp:read') => {
      const client = era === '2026-07-28' ? await introduce(stack.url, era) : { era, headers: {} };
      const token = await machineToken(stack.issuer, stack.url, scope);
      return send(stack.url, { token, ...request(client, method) });
    };

    it('JSON, whole and in pieces that cut letters in two', async () => {
      for (const pieces of [undefined, 3, 7, 64]) {
        answerWith(list(`${SLOW} , `), { pieces });
        const answer = await ask();
        assert.deepEqual([answer.status, answer.body], [200, shown()], `pieces of ${pieces}`);
        const length = answer.header('content-length');
        assert.ok(length === undefined || Number(length) === Buffer.byteLength(shown()));
      }
    });

    it('is not touched at all where nothing is hidden', async () => {
      for (const [body, scope] of [[list(''), 'mcp:read'], [list(`${SLOW} , `), 'mcp:read mcp:admin']]) {
        answerWith(body, { pieces: 11 });
        assert.equal((await ask('2025-11-25', 'tools/list', scope)).body, body);
      }
    });

    it('is private in every cache, even where nothing is hidden; older results do not get the member', async () => {
      for (const [era, sent, got] of [
        ['2025-11-25', '', ''],
        ['2026-07-28', '"cacheScope":"public", ', '"cacheScope":"private", '],
        ['2026-07-28', '"cacheScope":"private", ', '"cacheScope":"private", '],
        ['2025-11-25', '"cacheScope":"public", ', '"cacheScope":"private", '],
      ]) {
        answerWith(list(`${SLOW} , `, sent));
        assert.equal((await ask(era)).body, shown(got), `${era} ${sent}`);
        answerWith(list('', sent));
        assert.equal((await ask(era, 'tools/list', 'mcp:read mcp:admin')).body, list('', got), `${era} ${sent}`);
      }
      answerWith(list(''));
      assert.equal((await ask('2026-07-28')).body, list('').replace('"result":{', '"result":{"cacheScope":"private",'));
    });

    it('what is hidden goes with its comma, wherever it stands', async () => {
      const [a, b] = ['{"name":"a" }', '{ "name":"b"}'];
      const whole = (...items) => `{"id":7,"jsonrpc":"2.0","result":{"tools":[ ${items.join(' ,\n\t')} ] }}`;
      for (const [sent, got] of [
        [whole(SLOW, a, b), whole(a, b)],
        [whole(a, SLOW, b), whole(a, b)],
        [whole(a, b, SLOW), whole(a, b)],
        [whole(SLOW, SLOW, a, SLOW, SLOW, b, SLOW), whole(a, b)],
        [whole(SLOW), whole()],
      ]) {
        answerWith(sent);
        assert.equal((await ask()).body, got);
      }
    });

    it('each page is filtered, keeps its cursor and is private', async () => {
      const page = (id, items, rest) => `{"jsonrpc":"2.0","id":${id},"result":{${rest}"tools":[${items.join()}]}}`;
      const [a, b] = ['{"name":"a"}', '{"name":"b"}'];
      const pages = {
        first: { sent: page(7, [a, SLOW], '"nextCursor":"second","cacheScope":"public",'), got: page(7, [a], '"nextCursor":"second","cacheScope":"private",') },
        second: { sent: page(7, [SLOW], '"nextCursor":"third","ttlMs":5,'), got: page(7, [], '"cacheScope":"private","nextCursor":"third","ttlMs":5,') },
        third: { sent: page(7, [b], ''), got: page(7, [b], '"cacheScope":"private",') },
      };
      const client = await introduce(stack.url, '2026-07-28');
      const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
      for (const type of ['application/json', 'text/event-stream']) {
        const wrap = (message) => (type === 'application/json' ? message : `data: ${message}\n\n`);
        upstream.answer = async (incoming, response) => {
          let text = '';
          for await (const part of incoming) text += part;
          const { params } = JSON.parse(text);
          response.writeHead(200, { 'content-type': type }).end(wrap(pages[params.cursor ?? 'first'].sent));
        };
        const seen = [];
        for (let cursor = 'first'; cursor; ) {
          const params = cursor === 'first' ? {} : { cursor };
          const { body } = await send(stack.url, { token, ...request(client, 'tools/list', params) });
          assert.equal(body, wrap(pages[cursor].got), `${type} ${cursor}`);
          seen.push(cursor);
          cursor = messageOf({ body }).result.nextCursor;
        }
        assert.deepEqual(seen, ['first', 'second', 'third']);
      }
    });

    it('events, with any line ends, and with others before them', async () => {
      const before = '{"jsonrpc":"2.0","method":"notifications/progress","params":{"tools":[{"name":"slow"}]}}';
      const message = list(`${SLOW} , `).trim();
      for (const end of ['\n', '\r\n', '\r']) {
        for (const pieces of [undefined, 5]) {
          const event = (data) => ['id: 1', ': a comment', 'event: message', `data: ${data}`, '', ''].join(end);
          const prime = ['id: 0', 'data:', '', ''].join(end);
          answerWith(prime + event(before) + event(message), { headers: EVENTS, pieces });
          const { status, body } = await ask();
          assert.equal(status, 200);
          assert.equal(body, prime + event(before) + event(shown().trim()), JSON.stringify({ end, pieces }));
        }
      }
    });

    it('an event whose data has several lines, and one that is not ended', async () => {
      const data = list(`${SLOW} , `).trim().replace('"result":', '\n"result":');
      const wanted = shown().trim().replace('"result":', '\n"result":');
      for (const [end, last] of [['\n', '\n'], ['\r\n', ''], ['\r', '\r'], ['\n', '']]) {
        answerWith(`data:${data.replace('\n', `${end}data: `)}${last}`, { headers: EVENTS });
        assert.equal((await ask()).body, `data:${wanted.replace('\n', `${end}data: `)}${last}`, JSON.stringify({ end, last }));
      }
    });

    it('prompts, resources and templates', async () => {
      const answer = (member, items) => JSON.stringify({ jsonrpc: '2.0', id: 7, result: { [member]: items } });
      for (const [method, member, key, kept, hidden] of [
        ['prompts/list', 'prompts', 'name', ['one', 'Secret'], ['secret', 'secret_two']],
        ['resources/list', 'resources', 'uri', ['file:///public/a'], ['file:///private/a', 'file:///public/../private/a']],
        ['resources/templates/list', 'resourceTemplates', 'uriTemplate', ['file:///{x}'], ['file:///private/{x}']],
      ]) {
        const items = (names) => names.map((name) => ({ [key]: name }));
        answerWith(answer(member, items([...hidden, ...kept])));
        assert.equal((await ask('2025-11-25', method)).body, answer(member, items(kept)), method);
      }
    });

    it('errors and failures of the server are passed on as they are', async () => {
      const error = '{"jsonrpc":"2.0", "id":7,"error":{"code":-32602,"message":"tools [slow]"}}';
      for (const [status, body, headers] of [
        [200, error, JSON_TYPE],
        [400, error, JSON_TYPE],
        [500, 'slow', { 'content-type': 'text/plain' }],
        [404, '', {}],
      ]) {
        answerWith(body, { status, headers });
        const answer = await ask();
        assert.deepEqual([answer.status, answer.body], [status, body]);
      }
    });

    it('what is no list that could be read is not shown', async () => {
      const secret = list(`${SLOW} , `);
      const unreadable = {
        'cut short': secret.slice(0, -5),
        'two lists': secret.replace('"ttlMs":', '"tools":[],"ttlMs":'),
        'two values': secret + secret,
        'a batch': `[${secret}]`,
        'a byte order mark': `\ufeff${secret}`,
        'no UTF-8': Buffer.from(secret.replace('"description" : "name"', '"description" : "\xff"'), 'latin1'),
        'no object': '[]',
      };
      for (const [what, body] of Object.entries(unreadable)) {
        for (const pieces of [undefined, 100_000]) {
          answerWith(body, { pieces });
          const answer = await ask();
          assert.equal(answer.status, 200, what);
          assert.deepEqual(answer.json, UNREADABLE, what);
        }
      }
      for (const [what, headers, body] of [
        ['compressed all the same', { ...JSON_TYPE, 'content-encoding': 'gzip' }, gzipSync(secret)],
        ['said to be compressed', { ...EVENTS, 'content-encoding': 'br' }, secret],
        ['of another type', { 'content-type': 'text/plain' }, secret],
      ]) {
        answerWith(body, { headers });
        const answer = await ask();
        assert.deepEqual([answer.status, answer.json.error], [502, 'bad_gateway'], what);
        assert.doesNotMatch(answer.body, /slow/);
      }
    });

    it('what has no type is not shown', async () => {
      answerWith(list(`${SLOW} , `), { headers: {} });
      assert.doesNotMatch((await ask()).body, /na\\u006de/);
    });

    it('what is too long is not shown', async () => {
      for (const pieces of [undefined, 100_000]) {
        answerWith(list(`${SLOW} , `, `"x":"${'x'.repeat(800_000)}", `), { pieces });
        assert.deepEqual((await ask()).json, UNREADABLE);
      }
    });

    it('and Envoy serves on', async () => {
      answerWith(list(`${SLOW} , `));
      assert.equal((await ask()).body, shown());
    });
  });
  itStillServes(stack);
}
