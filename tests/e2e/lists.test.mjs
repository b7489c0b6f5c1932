// Promise: with `filter_lists`, whoever asks which tools there are sees those that the token may use, and of these every
// byte as the real server wrote it, in both eras, for both servers, raw and through the real clients.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { Session } from '../../testbed/oauth-client.mjs';
import { header } from '../../testbed/record.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { CLIENTS, scopesAskedFor } from './support/clients.mjs';
import { send } from './support/http.mjs';
import { ERAS, introduce, messageOf, request } from './support/mcp.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const SETTINGS = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }], filter_lists: true };
const combinations = ['typescript', 'python'].flatMap((kind) => HOLDS.map((hold) => ({ kind, hold })));
const stacks = await Promise.all(combinations.map(({ kind, hold }) => useStack({ kind, edit: withRules(hold, SETTINGS) })));

const namesIn = (answer) => messageOf(answer).result.tools.map(({ name }) => name);

/** A list as it was written, without one tool; nothing else is changed. Fails if the tool is not found as it stands there. */
function without(body, tool) {
  const { tools } = messageOf({ body }).result;
  const written = JSON.stringify(tools.find(({ name }) => name === tool));
  const parts = body.split(written);
  assert.equal(parts.length, 2, `${written} must stand once in ${body}`);
  return parts.join('').replace(',]', ']').replace('[,', '[');
}

for (const [i, { kind, hold }] of combinations.entries()) {
  const stack = stacks[i];
  const direct = `http://127.0.0.1:${stack.ports.mcpServer}/mcp`;
  const tokenFor = (scope) => machineToken(stack.issuer, stack.url, scope);

  for (const era of ERAS) {
    describe(`the ${kind} server, ${era}, hold_requests: ${hold}`, () => {
      it('shows what the token may use, byte for byte', async () => {
        const [poor, rich] = await Promise.all([tokenFor('mcp:read'), tokenFor('mcp:read mcp:admin')]);
        const client = await introduce(direct, era);
        const list = request(client, 'tools/list');
        const own = await send(direct, list);
        assert.deepEqual(namesIn(own), ['echo', 'slow']);

        const all = await send(stack.url, { token: rich, ...list });
        assert.deepEqual([all.status, all.body], [200, own.body], 'who may use everything sees the very answer');
        const shown = await send(stack.url, { token: poor, ...list });
        assert.equal(shown.status, 200);
        assert.deepEqual(namesIn(shown), ['echo']);
        assert.equal(shown.body, without(own.body, 'slow'));
        for (const answer of [all, shown]) {
          assert.equal(answer.header('content-type'), own.header('content-type'));
          const length = answer.header('content-length');
          assert.ok(length === undefined || Number(length) === Buffer.byteLength(answer.body), 'content-length');
        }
        assert.equal(messageOf(shown).result.cacheScope, era === '2026-07-28' ? 'private' : undefined);
      });

      it('asks the server for no compressed answer, whatever the client takes', async () => {
        const token = await tokenFor('mcp:read');
        const client = await introduce(stack.url, era, { token });
        for (const [method, params] of [['tools/list', {}], ['tools/call', { name: 'echo', arguments: { message: 'é' } }]]) {
          const { headers, body } = request(client, method, params);
          const answer = await send(stack.url, { token, body, headers: { ...headers, 'accept-encoding': 'gzip, br' } });
          assert.deepEqual([answer.status, answer.header('content-encoding')], [200, undefined]);
          assert.equal(header(stack.mcpServer.requests().at(-1), 'accept-encoding'), undefined);
          if (method === 'tools/list') assert.deepEqual(namesIn(answer), ['echo']);
          else assert.equal(messageOf(answer).result.content[0].text, 'é');
        }
      });

      it('leaves all other answers alone', async () => {
        const token = await tokenFor('mcp:read');
        const client = await introduce(direct, era);
        const asked = [
          ['tools/call', { name: 'echo', arguments: { message: '{"tools":[{"name":"slow"}]}' } }],
          ['tools/call', { name: 'nobody', arguments: {} }],
          ['nothing/list', {}],
        ];
        for (const [method, params] of asked) {
          const sent = request(client, method, params);
          const [own, answer] = [await send(direct, sent), await send(stack.url, { token, ...sent })];
          assert.deepEqual([answer.status, answer.body], [own.status, own.body], `${method} ${JSON.stringify(params)}`);
        }
      });

      it('hiding is not all: the hidden tool is refused too', async () => {
        const token = await tokenFor('mcp:read');
        const client = await introduce(stack.url, era, { token });
        const call = request(client, 'tools/call', { name: 'slow', arguments: { steps: 0, ms: 1 } });
        assert.equal((await send(stack.url, { token, ...call })).status, 403);
      });

      if (hold === (kind === 'python' ? 'body' : 'headers')) {
        for (const [language, use] of Object.entries(CLIENTS)) {
          it(`the ${language} client sees one tool, and may still step up to the other`, async () => {
            const before = stack.authorizationServer.requests().length;
            const seen = await use(stack.url, era, { calls: [['echo', { message: 'hi' }], ['slow', { steps: 0, ms: 1 }]] });
            assert.deepEqual([seen.tools, seen.calls], [['echo'], [{ text: 'hi' }, { text: 'done 0' }]]);
            assert.equal(scopesAskedFor(stack, before).length, 2);
          });
        }

        it('the TypeScript client sees more after it stepped up', async () => {
          const session = await Session.open(stack.url, { era });
          const tools = async () => (await session.run((client) => client.listTools())).tools.map(({ name }) => name);
          assert.deepEqual(await tools(), ['echo']);
          await session.run((client) => client.callTool({ name: 'slow', arguments: { steps: 0, ms: 1 } }));
          assert.deepEqual(await tools(), ['echo', 'slow']);
          await session.close();
        });
      }
    });
  }
  itStillServes(stack);
}
