// Promise: methods that are listed as anonymous need no token, and nobody can pretend to be somebody with them; all
// others, and all that pretends to be one of them, get 401 and the challenge; a real client then logs in and goes on.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Session } from '../../testbed/oauth-client.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { CLIENTS, scopesAskedFor } from './support/clients.mjs';
import { INITIALIZE, send } from './support/http.mjs';
import { ERAS, introduce, messageOf, request } from './support/mcp.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { call, toolCall, withRules } from './support/rules.mjs';
import { newKey, withSessions } from './support/sessions.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const ANONYMOUS = ['server/discover', 'initialize', 'notifications/initialized', 'tools/list'];
const SETTINGS = { anonymous_methods: ANONYMOUS, rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }] };
const FORGED = {
  'x-mcp-subject': 'mallory',
  'X-MCP-Client-ID': 'mallory',
  'x_mcp_scopes': 'mcp:admin',
  'x-mcp-scopes': ['mcp:read', 'mcp:admin'],
  'x-mcp-issuer': 'https://evil.example',
  'proxy-authorization': 'Basic YTpi',
  'dpop': 'proof',
};

const A_CALL = request(await introduce('', '2026-07-28'), 'tools/call', { name: 'echo', arguments: { message: 'x' } });

const kinds = ['typescript', 'python'];
const stacks = await Promise.all(kinds.map((kind) => useStack({ kind, edit: withRules('headers', SETTINGS) })));
// A session that nobody opened would belong to nobody, so `initialize` cannot be anonymous there.
const SEALED = { ...SETTINGS, anonymous_methods: ANONYMOUS.filter((method) => method !== 'initialize') };
const sealing = await useStack({ kind: 'python', edit: withRules('headers', SEALED, withSessions([newKey()])) });

/** What of a caller's identity the MCP server was told with its last requests. */
const told = ({ mcpServer }, from) =>
  mcpServer
    .requests()
    .slice(from)
    .flatMap(({ headers }) => headers.filter(([name]) => /^x.mcp|authorization|dpop/.test(name)));

for (const [i, kind] of kinds.entries()) {
  const stack = stacks[i];
  const missing = { status: 401, error: 'missing_token', challenge: challenges(stack.origin).missing };
  const reached = () => stack.mcpServer.requests().length;

  for (const era of ERAS) {
    describe(`the ${kind} server, ${era}, without a token`, () => {
      it('what is listed is served, and no identity arrives', async () => {
        const before = reached();
        const client = await introduce(stack.url, era, { headers: FORGED });
        const methods = era === '2026-07-28' ? ['server/discover', 'tools/list'] : ['tools/list'];
        for (const method of methods) {
          for (const authorization of [undefined, 'Basic YTpi', '']) {
            const { headers, body } = request(client, method);
            const answer = await send(stack.url, { body, headers: { ...headers, ...FORGED, authorization } });
            assert.equal(answer.status, 200, `${method} ${authorization}: ${answer.body}`);
            assert.ok(messageOf(answer).result, method);
          }
        }
        assert.equal(reached() - before, 3 * methods.length + (era === '2026-07-28' ? 0 : 2), 'all of them arrived');
        assert.deepEqual(told(stack, before), []);
      });

      it('a call gets the challenge, and does not arrive', async () => {
        const client = await introduce(stack.url, era);
        const before = reached();
        for (const name of ['echo', 'slow', 'nobody']) {
          const params = { name, arguments: { message: 'x', steps: 0, ms: 1 } };
          assertRefusal(await send(stack.url, request(client, 'tools/call', params)), missing);
        }
        for (const [method, params] of [
          ['resources/read', { uri: 'file:///a' }],
          ['prompts/get', { name: 'a' }],
          ['prompts/list', {}],
          ['ping', {}],
          ['tools/list/', {}],
          ['Tools/list', {}],
          ['nothing', {}],
        ]) {
          assertRefusal(await send(stack.url, request(client, method, params)), missing);
        }
        assert.equal(reached(), before);
      });

      it('with a token the server learns whose it is; one that is not good is not nothing', async () => {
        const token = await machineToken(stack.issuer, stack.url);
        const client = await introduce(stack.url, era);
        const list = request(client, 'tools/list');
        const before = reached();
        assert.equal((await send(stack.url, { token, ...list, headers: { ...list.headers, ...FORGED } })).status, 200);
        assert.deepEqual(Object.fromEntries(told(stack, before))['x-mcp-client-id'], 'machine');
        assert.doesNotMatch(JSON.stringify(told(stack, before)), /mallory|admin|evil|authorization|dpop/);
        const bad = await send(stack.url, { token: `${token}x`, ...list });
        assert.deepEqual([bad.status, bad.json.error], [401, 'invalid_token']);
        const twice = { ...list.headers, authorization: [`Bearer ${token}`, 'Basic YTpi'] };
        assert.equal((await send(stack.url, { ...list, headers: twice })).status, 400);
        assert.equal(reached(), before + 1);
      });

      // the TypeScript client of the older era logs in twice at a time, see below
      const calm = Object.entries(CLIENTS).filter(([language]) => language !== 'TypeScript' || era === '2026-07-28');
      for (const [language, use] of calm) {
        it(`the ${language} client looks around, logs in when it must, and calls`, async () => {
          const [asked, before] = [stack.authorizationServer.requests().length, reached()];
          const calls = [['echo', { message: 'hi' }], ['slow', { steps: 0, ms: 1 }]];
          const seen = await use(stack.url, era, { calls, headers: { 'x-mcp-subject': 'mallory' } });
          assert.deepEqual([seen.tools, seen.calls], [['echo', 'slow'], [{ text: 'hi' }, { text: 'done 0' }]]);
          const base = ['mcp:read', 'offline_access'];
          assert.deepEqual(scopesAskedFor(stack, asked), [base, ['mcp:admin', ...base]]);
          assert.equal(seen.exchanges[0].status, 200, 'not challenged at the first request');
          const refused = seen.exchanges.map(({ status }) => status).filter((status) => status === 401 || status === 403);
          assert.deepEqual(refused, [401, 403]);
          const subjects = new Set(told(stack, before).filter(([name]) => name === 'x-mcp-subject').map(([, value]) => value));
          assert.deepEqual([...subjects], ['alice']);
        });
      }

      if (era === '2025-11-25') {
        it('the TypeScript client does, although its stream is challenged before it calls', async () => {
          // It opens the stream by itself after an anonymous `initialize`, and starts a login when that is refused. The
          // call would start another one, and each overwrites the other's state: so the first one gets its time.
          const session = await Session.open(stack.url, { era });
          await until('the stream was challenged', () => session.host.authorizationUrl);
          assert.equal((await session.run((client) => client.listTools())).tools.length, 2);
          assert.equal(session.logins, 0);
          const { content } = await session.run((client) => client.callTool({ name: 'echo', arguments: { message: 'hi' } }));
          assert.deepEqual([content[0].text, session.logins], ['hi', 1]);
          await session.close();
        });
      }
    });
  }

  describe(`the ${kind} server, without a token, what is no listed method`, () => {
    const before = () => reached();
    for (const method of ['GET', 'DELETE', 'HEAD']) {
      it(`${method} gets 401`, async () => {
        const count = before();
        const answer = await send(stack.url, { method, headers: { 'mcp-method': 'tools/list' } });
        assert.equal(answer.status, 401);
        assert.equal(answer.header('www-authenticate'), challenges(stack.origin).missing());
        assert.equal(reached(), count);
      });
    }

    for (const [what, status, body, headers] of [
      ['a call that says tools/list in its headers', 401, toolCall('echo'), { 'mcp-method': 'tools/list' }],
      ['a list that says tools/call in its headers', 400, call('tools/list', {}), { 'mcp-method': 'tools/call' }],
      ['a notification that calls', 401, toolCall('echo').replace('"id":7,', ''), {}],
      ['a response', 401, '{"jsonrpc":"2.0","id":1,"result":{}}', {}],
      ['a batch', 401, `[${call('tools/list', {})}]`, {}],
      ['two methods', 401, call('tools/list', {}).replace('"params"', '"method":"tools/call","params"'), {}],
      ['a byte order mark', 401, `\ufeff${call('tools/list', {})}`, {}],
      ['no JSON', 401, 'tools/list', {}],
      ['nothing', 401, '', {}],
      ['another type', 401, call('tools/list', {}), { 'content-type': 'text/plain' }],
      ['compressed', 401, call('tools/list', {}), { 'content-encoding': 'gzip' }],
      ['too long', 413, call('tools/list', {}) + ' '.repeat(1024 * 1024), {}],
    ]) {
      it(`${what}: ${status}`, async () => {
        const count = before();
        assert.equal((await send(stack.url, { body, headers })).status, status);
        assert.equal(reached(), count);
      });
    }
  });
  itStillServes(stack, undefined, A_CALL);
}

describe('where sessions are sealed', () => {
  it('nobody gets into a user’s session, and none is opened without a token', async () => {
    const token = await machineToken(sealing.issuer, sealing.url);
    const somebody = await introduce(sealing.url, '2025-11-25', { token });
    const status = async (sent) => (await send(sealing.url, { ...request(somebody, 'tools/list'), token: sent })).status;
    assert.deepEqual([await status(token), await status()], [200, 404]);
    assert.equal((await send(sealing.url, { body: INITIALIZE })).status, 401);
    assert.equal((await send(sealing.url, request(await introduce('', '2026-07-28'), 'tools/list'))).status, 200, 'it needs no session');
  });
});
