// Promise: a session of the 2025-11-25 era belongs to the user who opened it, at every replica that has the key; for
// anyone else, and for an id that nobody got, there is no such session, and the MCP server hears nothing of it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { header } from '../../testbed/record.mjs';
import { logIn, machineToken } from '../../testbed/tokens.mjs';
import { CLIENTS } from './support/clients.mjs';
import { send } from './support/http.mjs';
import { introduce, messageOf, request } from './support/mcp.mjs';
import { withRules } from './support/rules.mjs';
import { newKey, startReplica, statusOfGet, withSessions } from './support/sessions.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const [OLD, NEW, FOREIGN] = [newKey(), newKey(), newKey()];
const RULES = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }] };
const LEGACY = '2025-11-25';

const stack = await useStack({ kind: 'python', edit: withSessions([OLD]) });
const [same, rotating, rotated, foreign, holding, plain] = await Promise.all(
  [
    withSessions([OLD]),
    withSessions([NEW, OLD]),
    withSessions([NEW]),
    withSessions([FOREIGN]),
    withRules('body', RULES, withSessions([OLD])),
    () => {},
  ].map((edit) => startReplica(stack, edit)),
);
const replicas = [same, rotating, rotated, foreign, holding, plain];
const first = { url: stack.url, host: new URL(stack.url).host };

const tokenOf = async (user) => (await logIn(stack.issuer, { resource: stack.url, user })).access_token;
const [alice, aliceAgain, bob, machine] = await Promise.all([
  tokenOf('alice'),
  tokenOf('alice'),
  tokenOf('bob'),
  machineToken(stack.issuer, stack.url),
]);
const upstream = () => stack.mcpServer.requests();

/** A session that a token opened at a replica, with the id that the client got. */
async function open(at = first, token = alice) {
  const client = await introduce(at.url, LEGACY, { token, headers: { host: at.host } });
  return { client, id: client.headers['mcp-session-id'] };
}

/** The status of a tool call in a session, and the session ids that the MCP server got with it. */
async function call(at, token, id, method = 'POST') {
  const before = upstream().length;
  const headers = { 'host': at.host, 'mcp-protocol-version': LEGACY, 'mcp-session-id': id };
  const status =
    method === 'GET'
      ? await statusOfGet(at.url, { ...headers, authorization: `Bearer ${token}` })
      : (await send(at.url, { token, method, headers, body: method === 'POST' ? LIST : undefined })).status;
  return { status, seen: upstream().slice(before).map((entry) => header(entry, 'mcp-session-id')) };
}
const LIST = request({ era: LEGACY, headers: {} }, 'tools/list').body;

describe('what a client gets', () => {
  it('is the id of the server with a seal; the server gets its own', async () => {
    const { id } = await open();
    const [, own] = /^([0-9a-f]{32})\.[\w-]{43}$/.exec(id) ?? [];
    assert.ok(own, id);
    assert.deepEqual(await call(first, alice, id), { status: 200, seen: [own] });
    const answer = await send(stack.url, { token: alice, headers: { 'mcp-session-id': id }, body: LIST });
    assert.equal(answer.header('mcp-session-id'), id, 'the server repeats it, and so does Envoy');
    assert.deepEqual(messageOf(answer).result.tools.map(({ name }) => name), ['echo', 'slow']);
  });

  it('works with every method and every token of the user', async () => {
    const { id } = await open();
    const [own] = id.split('.');
    for (const [token, method] of [
      [aliceAgain, 'POST'],
      [aliceAgain, 'GET'],
      [alice, 'POST'],
      [aliceAgain, 'DELETE'],
    ]) {
      assert.deepEqual(await call(first, token, id, method), { status: 200, seen: [own] }, method);
    }
    assert.deepEqual(await call(first, alice, id), { status: 404, seen: [own] }, 'the server itself has ended it');
  });

  it('is different for each session', async () => {
    const ids = await Promise.all([open(), open(), open(first, bob)]);
    assert.equal(new Set(ids.map(({ id }) => id.split('.')[0])).size, 3);
    assert.equal(new Set(ids.map(({ id }) => id.split('.')[1])).size, 3);
  });
});

describe('there is no such session', () => {
  for (const method of ['POST', 'GET', 'DELETE']) {
    it(`for a user who stole the id: ${method}`, async () => {
      const { id } = await open();
      for (const [who, token] of Object.entries({ bob, machine })) {
        assert.deepEqual(await call(first, token, id, method), { status: 404, seen: [] }, who);
      }
      assert.equal((await call(first, alice, id)).status, 200, 'its owner still has it');
      const theirs = await open(first, machine);
      assert.deepEqual(await call(first, alice, theirs.id, method), { status: 404, seen: [] }, 'of a machine');
    });
  }

  it('and the answer says that, not that a token is wrong', async () => {
    const { id } = await open();
    const answer = await send(stack.url, { token: bob, headers: { 'mcp-session-id': id }, body: LIST });
    assert.deepEqual(answer.json, { error: 'not_found', error_description: 'no such session' });
    assert.equal(answer.header('www-authenticate'), undefined);
    assert.equal(answer.header('cache-control'), 'no-store');
    assert.equal((await send(stack.url, { headers: { 'mcp-session-id': id }, body: LIST })).status, 401, 'without a token');
  });

  it('for an id without its seal, or with another one', async () => {
    const [{ id }, other] = [await open(), await open()];
    const [own, seal] = id.split('.');
    const ids = {
      'the id of the server': own,
      'no seal': `${own}.`,
      'no id': `.${seal}`,
      'a dot': '.',
      'nothing': '',
      'the seal of another session': `${own}.${other.id.split('.')[1]}`,
      'a seal that is cut': id.slice(0, -1),
      'a padded seal': `${id}=`,
      'a seal with another last letter': id.slice(0, -1) + (id.endsWith('A') ? 'B' : 'A'),
      'two seals': `${id}.${seal}`,
      'upper case': `${own.toUpperCase()}.${seal}`,
      'two ids in a line': `${id}, ${id}`,
      'two lines': [id, id],
      'two lines, one of them the id of the server': [own, id],
    };
    for (const [what, forged] of Object.entries(ids)) {
      for (const method of ['POST', 'DELETE']) {
        assert.deepEqual(await call(first, alice, forged, method), { status: 404, seen: [] }, `${what}: ${method}`);
      }
    }
    assert.equal((await call(first, alice, id)).status, 200);
  });
});

describe('replicas', () => {
  it('with the same key take each other’s ids, also where rules read the body', async () => {
    for (const [from, to] of [[first, same], [same, first], [first, holding], [holding, same]]) {
      const { id } = await open(from);
      const seen = [id.split('.')[0]];
      for (const method of ['POST', 'GET']) assert.deepEqual(await call(to, alice, id, method), { status: 200, seen });
      assert.deepEqual(await call(to, bob, id), { status: 404, seen: [] });
      assert.deepEqual(await call(to, alice, id, 'DELETE'), { status: 200, seen });
    }
  });

  it('with another key do not', async () => {
    assert.deepEqual(await call(foreign, alice, (await open()).id), { status: 404, seen: [] });
    assert.deepEqual(await call(first, alice, (await open(foreign)).id), { status: 404, seen: [] });
  });

  it('change the key one after the other: the new one seals, both open, then the old one is gone', async () => {
    const [before, during] = [await open(first), await open(rotating)];
    assert.equal((await call(rotating, alice, before.id)).status, 200, 'old session, both keys');
    assert.equal((await call(rotating, alice, during.id)).status, 200, 'new session, both keys');
    assert.equal((await call(rotated, alice, during.id)).status, 200, 'new session, new key');
    assert.deepEqual(await call(first, alice, during.id), { status: 404, seen: [] }, 'new session, old key');
    assert.deepEqual(await call(rotated, alice, before.id), { status: 404, seen: [] }, 'old session, new key');
    assert.equal((await call(rotating, bob, before.id)).status, 404, 'and nobody else');
  });

  it('without the setting hand ids through', async () => {
    const { id } = await open(plain);
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.deepEqual(await call(plain, bob, id), { status: 200, seen: [id] }, 'which is why there is the setting');
  });
});

describe('2026-07-28 has no sessions', () => {
  it('requests pass as they are, and answers have no id', async () => {
    const answer = await send(stack.url, { token: alice, ...request(await introduce(stack.url, '2026-07-28'), 'tools/list') });
    assert.deepEqual([answer.status, answer.header('mcp-session-id')], [200, undefined]);
  });

  it('an id in such a request is nothing, and a stolen one does not reach the server', async () => {
    const { id } = await open();
    const modern = request(await introduce(stack.url, '2026-07-28'), 'tools/list');
    for (const stray of [id, id.split('.')[0], 'anything', [id, id]]) {
      const before = upstream().length;
      const answer = await send(stack.url, { token: bob, ...modern, headers: { ...modern.headers, 'mcp-session-id': stray } });
      assert.equal(answer.status, 200, answer.body);
      assert.deepEqual(upstream().slice(before).map((entry) => header(entry, 'mcp-session-id')), [undefined]);
    }
  });
});

describe('a whole session', () => {
  for (const [language, use] of Object.entries(CLIENTS)) {
    for (const era of [LEGACY, '2026-07-28']) {
      it(`of the ${language} client, ${era}`, async () => {
        const before = upstream().length;
        const seen = await use(stack.url, era, { calls: [['echo', { message: 'hello' }]] });
        assert.deepEqual([seen.protocolVersion, seen.calls, seen.tools], [era, [{ text: 'hello' }], ['echo', 'slow']]);
        const ids = new Set(seen.exchanges.map(({ session }) => session).filter(Boolean));
        const entries = upstream().slice(before);
        const own = new Set(entries.map((entry) => header(entry, 'mcp-session-id')).filter(Boolean));
        if (era === '2026-07-28') return assert.deepEqual([ids.size, own.size], [0, 0]);
        assert.deepEqual([...ids].map((id) => id.split('.')[0]), [...own], 'one session, the same at both ends');
        assert.match([...ids][0], /^[0-9a-f]{32}\.[\w-]{43}$/);
        const inSession = entries.filter((entry) => header(entry, 'mcp-session-id'));
        assert.deepEqual([...new Set(inSession.map(({ method }) => method))].sort(), ['DELETE', 'GET', 'POST']);
      });
    }
  }
});

it('no key and no trap is in a log', () => {
  for (const { output } of [stack.envoy, ...replicas.map(({ envoy }) => envoy)]) {
    assert.doesNotMatch(output, /proxy_on_|wasm trap|Unreachable|panic/);
    for (const key of [OLD, NEW, FOREIGN]) assert.ok(!output.includes(key));
  }
});
itStillServes(stack);
