// Promise: rules for resources and prompts hold wherever a request of either era can name one (read, get, completion,
// subscription, listening), and no other spelling of a URI reaches a real MCP server that reads it as the same.
import assert from 'node:assert/strict';
import { request as open } from 'node:http';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { ERAS, introduce, messageOf, request } from './support/mcp.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const RULES = {
  rules: [
    { resources: ['weather://stations/vault'], deny: true },
    { resources: ['weather://stations/*'], scopes: ['mcp:admin'] },
    { prompts: ['debrief'], scopes: ['mcp:admin'] },
  ],
};
const SERVERS = ['typescript', 'python'];
const combinations = SERVERS.flatMap((kind) => HOLDS.map((hold) => ({ kind, hold })));
const stacks = await Promise.all(combinations.map(({ kind, hold }) => useStack({ kind, edit: withRules(hold, RULES) })));

const read = (uri) => ['resources/read', { uri }];
const prompt = (name) => ['prompts/get', { name, arguments: { who: 'x' } }];
const argument = (name) => ({ name, value: 'a' });
const completePrompt = (name) => ['completion/complete', { ref: { type: 'ref/prompt', name }, argument: argument('who') }];
const completeUri = (uri) => ['completion/complete', { ref: { type: 'ref/resource', uri }, argument: argument('name') }];
const subscribe = (uri) => ['resources/subscribe', { uri }];
const unsubscribe = (uri) => ['resources/unsubscribe', { uri }];
const listen = (...uris) => ['subscriptions/listen', { notifications: { resourceSubscriptions: uris } }];

/** What is asked for, of which eras it is, what the server then runs, and what it needs: `read`, `admin`, or nothing helps. */
const QUESTIONS = [
  ['a resource', ERAS, read('weather://about'), 'read', 'read'],
  ['a resource of a template', ERAS, read('weather://towns/rome'), 'read', 'read'],
  ['a protected resource of a template', ERAS, read('weather://stations/secret'), 'read', 'admin'],
  ['a resource that is denied', ERAS, read('weather://stations/vault'), 'read', 'nothing'],
  ['a prompt', ERAS, prompt('greet'), 'prompt', 'read'],
  ['a protected prompt', ERAS, prompt('debrief'), 'prompt', 'admin'],
  ['completion for a prompt', ERAS, completePrompt('greet'), 'complete', 'read'],
  ['completion for a protected prompt', ERAS, completePrompt('debrief'), 'complete', 'admin'],
  ['completion for a template', ERAS, completeUri('weather://towns/{name}'), 'complete', 'read'],
  ['completion for a protected template', ERAS, completeUri('weather://stations/{name}'), 'complete', 'admin'],
  ['a subscription', ['2025-11-25'], subscribe('weather://towns/rome'), 'subscribe', 'read'],
  ['a protected subscription', ['2025-11-25'], subscribe('weather://stations/secret'), 'subscribe', 'admin'],
  ['the end of a protected one', ['2025-11-25'], unsubscribe('weather://stations/secret'), 'unsubscribe', 'admin'],
  ['a denied subscription', ['2025-11-25'], subscribe('weather://stations/vault'), 'subscribe', 'nothing'],
  ['listening', ['2026-07-28'], listen('weather://towns/rome', 'weather://about'), undefined, 'read'],
  ['listening to a protected one too', ['2026-07-28'], listen('weather://about', 'weather://stations/secret'), undefined, 'admin'],
  ['listening to a denied one too', ['2026-07-28'], listen('weather://about', 'weather://stations/vault'), undefined, 'nothing'],
];

/** The same resource for whoever normalizes: by the URL standard, by RFC 3986, by Python's urlsplit, by decoding. */
const SPELLINGS = [
  'weather://stations:/secret',
  'weather://@stations/secret',
  'weather://:@stations/secret',
  'weather://u@stations/secret',
  'weather://stations:0080/secret',
  'weather://STATIONS/secret',
  'WEATHER://stations/secret',
  'weather://stations/x/../secret',
  'weather://stations/./secret',
  'weather://towns/../stations/secret',
  'weather://stations//secret',
  'weather://stations/%73ecret',
  'weather://stations/secre%74',
  'weather://stations%2Fsecret',
  'weather://stations/secret?',
  'weather://stations/secret#x',
  'weather:/stations/secret',
  ' weather://stations/secret',
  'weather://stations/secret\u0000',
];

/** Those that a server is known to read as the secret: without them this file would prove nothing. */
const KNOWN = {
  typescript: ['weather://stations:/secret', 'weather://@stations/secret', 'weather://:@stations/secret', 'WEATHER://stations/secret', 'weather://stations/x/../secret'],
  python: ['weather://stations/%73ecret', 'weather://stations/secre%74'],
};

const wholeStatus = async (url, token, asked) => (await send(url, { token, ...asked })).status;

/** The status of a request whose answer need not end: the stream is left when its head is there. */
function streamStatus(url, token, { headers, body }) {
  return new Promise((resolve, reject) => {
    const authorization = `Bearer ${token}`;
    const all = { authorization, 'content-type': 'application/json', 'accept': 'application/json, text/event-stream' };
    const outgoing = open(url, { method: 'POST', agent: false, headers: { ...all, ...headers } }, (response) => {
      outgoing.destroy();
      resolve(response.statusCode);
    });
    outgoing.on('error', reject).end(body);
  });
}

const ranSince = (stack, before) => stack.mcpServer.runs().slice(before).map(({ ran }) => ran);

for (const [i, { kind, hold }] of combinations.entries()) {
  const stack = stacks[i];
  const tokens = {
    read: await machineToken(stack.issuer, stack.url, 'mcp:read'),
    admin: await machineToken(stack.issuer, stack.url, 'mcp:read mcp:admin'),
  };
  for (const era of ERAS) {
    describe(`the ${kind} server, ${era}, hold_requests: ${hold}`, () => {
      for (const [what, eras, [method, params], ran, needs] of QUESTIONS) {
        if (!eras.includes(era)) continue;
        it(`${what} (${method}): ${needs === 'nothing' ? 'nobody may' : `needs mcp:${needs}`}`, async () => {
          const client = await introduce(stack.url, era, { token: tokens.read });
          const asked = request(client, method, params);
          for (const [scope, token] of Object.entries(tokens)) {
            const may = needs === scope || needs === 'read';
            const before = stack.mcpServer.runs().length;
            const requests = stack.mcpServer.requests().length;
            const status = await (method === 'subscriptions/listen' ? streamStatus : wholeStatus)(stack.url, token, asked);
            assert.equal(status, may ? 200 : 403, scope);
            if (may) {
              assert.deepEqual(ranSince(stack, before), ran ? [ran] : []);
              continue;
            }
            assert.deepEqual(ranSince(stack, before), []);
            if (hold === 'headers') assert.equal(stack.mcpServer.requests().length, requests, 'the server got something');
            const answer = await send(stack.url, { token, ...asked });
            const error = needs === 'nothing' ? 'access_denied' : 'insufficient_scope';
            assert.deepEqual([answer.json.id, answer.json.error.data.error], [7, error]);
            const challenge = answer.header('www-authenticate');
            if (needs === 'nothing') assert.equal(challenge, undefined);
            else assert.match(challenge, /scope="mcp:admin mcp:read"/);
          }
        });
      }

      it('no other spelling of a protected resource gets through', async () => {
        const client = await introduce(stack.url, era, { token: tokens.read });
        const subscription = era === '2026-07-28' ? (uri) => listen('weather://about', uri) : subscribe;
        const before = stack.mcpServer.runs().length;
        for (const uri of SPELLINGS) {
          for (const [method, params] of [read(uri), completeUri(uri), subscription(uri)]) {
            const requests = stack.mcpServer.requests().length;
            const asked = request(client, method, params);
            // What a header cannot hold literally is written in Base64 there (Value Encoding).
            if (asked.headers['mcp-name']) asked.headers['mcp-name'] = `=?base64?${Buffer.from(uri).toString('base64')}?=`;
            const answer = await send(stack.url, { token: tokens.read, ...asked });
            assert.deepEqual([answer.status, answer.json.id], [400, 7], `${method} ${uri}: ${answer.body}`);
            if (hold === 'headers') assert.equal(stack.mcpServer.requests().length, requests, `${method} ${uri}`);
          }
        }
        // By its answer a run that is only late would be there too.
        const about = await send(stack.url, { token: tokens.read, ...request(client, ...read('weather://about')) });
        assert.equal(messageOf(about).result.contents[0].text, 'about about');
        assert.deepEqual(ranSince(stack, before), ['read']);
      });

      if (hold === 'headers') {
        it('some of these are the secret to the server where no filter is in front of it', async () => {
          const url = `http://127.0.0.1:${stack.ports.mcpServer}/mcp`;
          const client = await introduce(url, era);
          const found = [];
          for (const uri of SPELLINGS) {
            const asked = request(client, ...read(uri));
            if (asked.headers['mcp-name']) asked.headers['mcp-name'] = `=?base64?${Buffer.from(uri).toString('base64')}?=`;
            const before = stack.mcpServer.runs().length;
            await send(url, asked);
            if (stack.mcpServer.runs().slice(before).some(({ arguments: { name } }) => name === 'secret')) found.push(uri);
          }
          assert.deepEqual(KNOWN[kind].filter((uri) => !found.includes(uri)), []);
        });
      }
    });
  }
  itStillServes(stack);
}
