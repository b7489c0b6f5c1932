// Promise: clients learn that their tokens are to be bound to a key, and how fresh their proofs must be, from what the server
// says of itself; the official client then does it all by itself.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { Session } from '../../testbed/oauth-client.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { until } from '../../testbed/until.mjs';
import { ALL, dpopChallenge, newHolder, withProof } from './support/dpop.mjs';
import { send } from './support/http.mjs';
import { assertRefusal } from './support/replies.mjs';
import { startReplica } from './support/sessions.mjs';
import { itStillServes, reasonFor, useStack } from './support/stack.mjs';
import { setVariables } from './support/variables.mjs';

const ports = await choosePorts();
const origin = `http://127.0.0.1:${ports.listen}`;
const SETTINGS = {
  '/required': { required: true },
  '/nonce': { nonce: { key_variable: 'DPOP_NONCE_KEY', max_age: '60s' } },
  '/brief-nonce': { nonce: { key_variable: 'DPOP_NONCE_KEY', max_age: '2s' } },
  '/narrow': { algorithms: ['ES256'] },
  '/without': undefined,
};
const VARIABLES = { DPOP_NONCE_KEY: randomBytes(32).toString('base64url') };
const protect = (bootstrap, { resources }) => {
  setVariables(bootstrap, VARIABLES);
  resources[0].dpop = {};
  for (const [path, settings] of Object.entries(SETTINGS))
    resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, dpop: settings });
};
const stack = await useStack({ ports, resources: Object.keys(SETTINGS), logLevel: 'debug', edit: protect });
const other = await startReplica(stack, protect); // with the same key
const received = () => stack.mcpServer.requests();

async function refused(url, request) {
  const before = received().length;
  const answer = await send(url, request);
  assert.equal(received().length, before, 'the MCP server got the request');
  return answer;
}

describe('a nonce', () => {
  const url = `${origin}/nonce`;
  const first = async (at, { token, prove }, nonce) => send(at, withProof(token, await prove({ claims: { nonce } })));

  it('is asked for, and serves', async () => {
    const holding = await newHolder(stack, url);
    const answer = await refused(`${url}/asks`, withProof(holding.token, await holding.prove({ claims: { htu: url } })));
    assertRefusal(answer, { status: 401, error: 'use_dpop_nonce', challenge: dpopChallenge(origin, 'use_dpop_nonce', { path: '/nonce' }) });
    const nonce = answer.header('dpop-nonce');
    assert.match(nonce, /^[!#-[\]-~]{16,}$/); // NQCHAR of RFC 6749
    assert.match(answer.header('access-control-expose-headers'), /DPoP-Nonce/i);
    assert.equal(await reasonFor(stack, '/nonce/asks'), 'mcp_oauth_dpop_nonce');
    assert.equal((await first(url, holding, nonce)).status, 200);
    assert.equal((await first(url, holding, nonce)).status, 200, 'it may be used again, with another jti');
  });
  it('that nobody gave is refused with a new one', async () => {
    const holding = await newHolder(stack, url);
    const nonce = (await first(url, holding)).header('dpop-nonce');
    const forged = [randomBytes(32).toString('base64url'), nonce.slice(0, -1), `${nonce.slice(0, -1)}${nonce.endsWith('A') ? 'B' : 'A'}`, `${nonce}=`, ''];
    for (const wrong of forged) {
      const answer = await first(url, holding, wrong);
      assert.equal(answer.json.error, 'use_dpop_nonce', wrong);
      assert.ok(answer.header('dpop-nonce'));
    }
    assert.equal((await first(url, holding, 7)).status, 401);
    assert.equal((await first(url, holding, nonce)).status, 200);
  });
  it('is good at every replica that has the key', async () => {
    const holding = await newHolder(stack, url);
    const nonce = (await first(url, holding)).header('dpop-nonce');
    const request = withProof(holding.token, await holding.prove({ claims: { nonce } }));
    request.headers.host = new URL(url).host;
    assert.equal((await send(other.url.replace('/mcp', '/nonce'), request)).status, 200);
  });
  it('that is too old is refused with a new one', async () => {
    const holding = await newHolder(stack, `${origin}/brief-nonce`);
    const nonce = (await first(holding.url, holding)).header('dpop-nonce');
    assert.equal((await first(holding.url, holding, nonce)).status, 200);
    const answer = await until('it is refused', async () => {
      const answer = await first(holding.url, holding, nonce);
      return answer.status !== 200 && answer;
    }, { every: 250, seconds: 8 });
    assert.equal(answer.json.error, 'use_dpop_nonce');
    assert.equal((await first(holding.url, holding, answer.header('dpop-nonce'))).status, 200);
  });
});

describe('clients learn of it', () => {
  const metadata = (path) => `resource_metadata="${origin}/.well-known/oauth-protected-resource${path}", scope="mcp:read"`;
  for (const [path, expected] of [
    ['/mcp', `Bearer ${metadata('/mcp')}, DPoP algs="${ALL}"`],
    ['/required', `DPoP algs="${ALL}", ${metadata('/required')}`],
    ['/narrow', `Bearer ${metadata('/narrow')}, DPoP algs="ES256"`],
    ['/without', `Bearer ${metadata('/without')}`],
  ]) {
    it(`from the challenge of ${path}, in one line`, async () => {
      assertRefusal(await refused(origin + path, {}), { status: 401, error: 'missing_token', challenge: () => expected });
    });
  }
  for (const [path, expected] of [
    ['/mcp', [ALL.split(' '), undefined]],
    ['/required', [ALL.split(' '), true]],
    ['/narrow', [['ES256'], undefined]],
    ['/without', [undefined, undefined]],
  ]) {
    it(`from the metadata of ${path}`, async () => {
      const { json } = await send(`${origin}/.well-known/oauth-protected-resource${path}`, { method: 'GET' });
      const required = json.dpop_bound_access_tokens_required || undefined;
      assert.deepEqual([json.dpop_signing_alg_values_supported, required], expected);
    });
  }
  it('in a browser, which asks first', async () => {
    const headers = { 'origin': 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,dpop' };
    const answer = await send(`${stack.url}/preflight`, { method: 'OPTIONS', headers });
    assert.match(answer.header('access-control-allow-headers'), /\bdpop\b/i);
    assert.equal(await reasonFor(stack, '/mcp/preflight'), 'mcp_oauth_preflight');
  });
  for (const era of ['2025-11-25', '2026-07-28']) {
    for (const path of ['/mcp', '/required', '/nonce']) {
      it(`the official client, ${era}: ${path}`, async () => {
        const exchanges = [];
        const session = await Session.open(origin + path, { era, dpop: true, onExchange: (exchange) => exchanges.push(exchange) });
        const { tools } = await session.run((client) => client.listTools());
        assert.deepEqual(tools.slice(0, 2).map(({ name }) => name), ['echo', 'slow']);
        const { content } = await session.run((client) => client.callTool({ name: 'echo', arguments: { message: 'hello' } }));
        assert.equal(content[0].text, 'hello');
        assert.equal(session.tokens.token_type, 'DPoP');
        assert.equal(session.logins, 1);
        await session.close();
      });
    }
  }
});

it('neither a token nor a proof is in the log', () => {
  assert.doesNotMatch(stack.envoy.output, /eyJ[\w-]{8}/);
});
itStillServes(stack);
