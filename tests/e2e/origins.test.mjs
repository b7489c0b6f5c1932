// Promise: where `origins` lists the pages that may ask, others get 403 without a header that would let them read it, and
// the MCP server hears nothing; the listed ones can read every answer; what is public stays public.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { introduce, request } from './support/mcp.mjs';
import { challenges } from './support/replies.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const LISTED = ['https://app.example', 'http://localhost:6274', 'chrome-extension://abcdefgh'];
const EXPOSED = 'WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce, X-Rate';
const SETTINGS = {
  origins: LISTED,
  cors: { expose_headers: ['X-Rate'], max_age: '10m' },
  rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }],
};

const stacks = {};
for (const hold of HOLDS) stacks[hold] = await useStack({ edit: withRules(hold, SETTINGS) });
const upstream = await startUpstream();
const bare = await useStack({ edit: withRules('headers', SETTINGS, upstream.edit) });

const CORS = ['allow-origin', 'allow-methods', 'allow-headers', 'allow-credentials', 'expose-headers', 'max-age'];
/** The lines of an answer that are for browsers, by name. */
const corsOf = (answer) =>
  Object.fromEntries(
    CORS.map((name) => [`access-control-${name}`, answer.lines(`access-control-${name}`)]).filter(
      ([, lines]) => lines.length,
    ),
  );
const varies = (answer) => answer.lines('vary').flatMap((line) => line.split(',')).map((name) => name.trim().toLowerCase());

const UNLISTED = [
  'https://evil.example',
  'http://app.example',
  'https://app.example:443',
  'https://app.example:8443',
  'https://app.example/',
  'https://APP.example',
  'https://app.example.evil.example',
  'https://sub.app.example',
  'https://evil.example?https://app.example',
  'https://app.example, https://evil.example',
  'null',
  '',
  '*',
  ['https://app.example', 'https://evil.example'],
  ['https://evil.example', 'https://app.example'],
  ['https://app.example', 'https://app.example'],
];

for (const hold of HOLDS) {
  const stack = stacks[hold];
  const modern = await introduce('', '2026-07-28');
  const call = (name) => request(modern, 'tools/call', { name, arguments: { message: 'x', steps: 0, ms: 1 } });
  const from = (origin, { headers, ...sent }) => ({ ...sent, headers: { ...headers, origin } });
  const reached = () => stack.mcpServer.requests().length;
  const tokenFor = (scope) => machineToken(stack.issuer, stack.url, scope);

  describe(`hold_requests: ${hold}: a page that is not listed`, () => {
    for (const origin of UNLISTED) {
      it(`${JSON.stringify(origin)} gets 403 and cannot read it`, async () => {
        const token = await tokenFor('mcp:read');
        const before = reached();
        for (const sent of [
          { ...call('echo'), token },
          call('echo'),
          { method: 'GET', token },
          { method: 'DELETE', token },
          { method: 'OPTIONS', headers: { 'access-control-request-method': 'POST' } },
          { token, body: 'no JSON' },
        ]) {
          const answer = await send(stack.url, from(origin, sent));
          assert.deepEqual([answer.status, answer.json.error], [403, 'access_denied'], JSON.stringify(sent));
          assert.deepEqual(corsOf(answer), {}, JSON.stringify(sent));
          assert.ok(varies(answer).includes('origin'), 'a cache must not give it to others');
          assert.equal(answer.header('www-authenticate'), undefined, 'no token would help');
        }
        assert.equal(reached(), before);
      });
    }
  });

  describe(`hold_requests: ${hold}: a page that is listed`, () => {
    for (const origin of LISTED) {
      it(`${origin} can read every answer`, async () => {
        const token = await tokenFor('mcp:read');
        const readable = { 'access-control-allow-origin': [origin], 'access-control-expose-headers': [EXPOSED] };
        for (const [status, sent] of [
          [200, { ...call('echo'), token }],
          [401, call('echo')],
          [401, { ...call('echo'), token: 'junk' }],
          [403, { ...call('slow'), token }],
          [400, { body: '[', token }],
          [415, { body: '{}', token, headers: { 'content-type': 'text/plain' } }],
          [405, { method: 'PUT', body: '{}', token }],
          [405, { method: 'GET', token }],
        ]) {
          const answer = await send(stack.url, from(origin, sent));
          assert.equal(answer.status, status, answer.body);
          assert.deepEqual(corsOf(answer), readable, `${status} ${sent.method}`);
          assert.ok(varies(answer).includes('origin'), `${status} ${sent.method}`);
        }
        const refused = await send(stack.url, from(origin, call('echo')));
        assert.equal(refused.header('www-authenticate'), challenges(stack.origin).missing());
      });

      it(`${origin} may ask first what it may`, async () => {
        const before = reached();
        const wanted = 'authorization, content-type, mcp-protocol-version, mcp-method, mcp-name, mcp-param-region';
        const headers = { origin, 'access-control-request-method': 'POST', 'access-control-request-headers': wanted };
        const answer = await send(stack.url, { method: 'OPTIONS', headers });
        assert.equal(answer.status, 204);
        assert.deepEqual(corsOf(answer), {
          'access-control-allow-origin': [origin],
          'access-control-allow-methods': ['GET, POST, DELETE, OPTIONS'],
          'access-control-allow-headers': [wanted],
          'access-control-max-age': ['600'],
        });
        assert.deepEqual(varies(answer).sort(), ['access-control-request-headers', 'origin']);
        assert.equal(reached(), before);
      });
    }
  });

  it(`hold_requests: ${hold}: what is no page is served as ever, and told nothing of origins`, async () => {
    const token = await tokenFor('mcp:read');
    for (const [status, sent] of [[200, { ...call('echo'), token }], [401, call('echo')], [403, { ...call('slow'), token }]]) {
      const answer = await send(stack.url, sent);
      assert.deepEqual([answer.status, corsOf(answer)], [status, {}]);
    }
  });

  it(`hold_requests: ${hold}: metadata is for all pages`, async () => {
    const path = '/.well-known/oauth-protected-resource/mcp';
    for (const origin of ['https://evil.example', 'null', ...LISTED]) {
      const answer = await send(stack.origin, { method: 'GET', path, headers: { origin } });
      assert.deepEqual([answer.status, answer.header('access-control-allow-origin')], [200, '*']);
      assert.equal(answer.json.resource, stack.url);
      const headers = { origin, 'access-control-request-method': 'GET', 'access-control-request-headers': 'mcp-protocol-version' };
      const preflight = await send(stack.origin, { method: 'OPTIONS', path, headers });
      assert.deepEqual([preflight.status, preflight.header('access-control-allow-origin')], [204, '*']);
    }
  });
  itStillServes(stack);
}

describe('beside what the upstream says of CORS itself', () => {
  const ask = async (origin, answer) => {
    upstream.answer = (incoming, response) => incoming.resume().on('end', () => response.writeHead(200, answer).end('{}'));
    const token = await machineToken(bare.issuer, bare.url);
    return send(bare.url, { token, headers: { origin } });
  };

  it('there is one line of Access-Control-Allow-Origin', async () => {
    const own = await ask(LISTED[0], { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'X-Own' });
    assert.deepEqual(corsOf(own), { 'access-control-allow-origin': ['*'], 'access-control-expose-headers': ['X-Own'] });
    const none = await ask(LISTED[1], {});
    assert.equal(none.header('access-control-allow-origin'), LISTED[1]);
  });

  it('its Vary stays', async () => {
    assert.deepEqual(varies(await ask(LISTED[0], { vary: 'Accept-Encoding' })).sort(), ['accept-encoding', 'origin']);
  });
});
