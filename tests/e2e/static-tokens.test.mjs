// Promise: callers without OAuth keep working beside it, under a name of the operator's, and their token ends at the proxy.
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { toolCall, withRules } from './support/rules.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';

const sha256 = (token) => createHash('sha256').update(token).digest('hex');
const newToken = () => randomBytes(32).toString('base64url');
const TOKENS = { reader: newToken(), writer: newToken(), expired: newToken(), idle: newToken() };
const entry = (name, scopes, expires = 'never') => ({ name, sha256: sha256(TOKENS[name]), scopes, expires });
const stack = await useStack({
  logLevel: 'debug', // the filter tells every refusal, and still neither token nor hash
  edit: withRules('headers', {
    static_tokens: [
      entry('reader', ['mcp:read'], '2999-12-31T23:59:59Z'),
      entry('writer', ['mcp:read', 'mcp:write']),
      entry('expired', ['mcp:read'], '2020-01-01T00:00:00Z'),
      entry('idle', []),
    ],
    rules: [{ tools: ['echo'], scopes: ['mcp:write'] }, { tools: ['slow'], claims: [{ claim: 'tier', equals: 'free' }], deny: true }, {}],
  }),
});
const [key] = keysOf(stack);
const userToken = (changes) =>
  forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, stack.url), ...changes });
const identity = (headers) => Object.fromEntries(headers.filter(([name]) => /^x.mcp/i.test(name)));
const received = () => stack.mcpServer.requests();

describe('a listed token', () => {
  for (const [name, scopes] of [
    ['reader', 'mcp:read'],
    ['writer', 'mcp:read mcp:write'],
  ]) {
    it(`of ${name} opens the server, which reads the name and never the token`, async () => {
      const headers = { 'x-mcp-subject': 'mallory', 'X-MCP-Issuer': 'https://evil.example', 'x-mcp-client-id': 'evil' };
      const answer = await send(stack.url, { token: TOKENS[name], headers });
      assert.equal(answer.status, 200, answer.body);
      const last = received().at(-1);
      assert.deepEqual(identity(last.headers), { 'x-mcp-subject': `static:${name}`, 'x-mcp-scopes': scopes });
      assert.doesNotMatch(JSON.stringify(last), new RegExp(TOKENS[name]));
      assert.equal(last.headers.find(([header]) => header.toLowerCase() === 'authorization'), undefined);
    });
  }
  it('meets the rules with its scopes', async () => {
    const body = toolCall('echo');
    const refused = await send(stack.url, { token: TOKENS.reader, body });
    assert.equal(refused.status, 403);
    assert.match(refused.header('www-authenticate'), /error="insufficient_scope", scope="mcp:read mcp:write"/);
    const before = received().length;
    assert.notEqual((await send(stack.url, { token: TOKENS.writer, body })).status, 403);
    assert.equal(received().length, before + 1);
  });
  it('meets a rule that denies by a claim, because nobody knows its claims', async () => {
    const answer = await send(stack.url, { token: TOKENS.writer, body: toolCall('slow') });
    assert.equal(answer.status, 403);
    assert.equal(answer.header('www-authenticate'), undefined);
  });
  it('without the scopes of the resource is told them', async () => {
    const answer = await send(stack.url, { token: TOKENS.idle });
    assert.equal(answer.status, 403);
  });
});

describe('refused with the challenge of any token', () => {
  const cases = {
    expired: ['the access token expired', 'mcp_oauth_token_expired', TOKENS.expired],
    unknown: ['the access token is malformed', 'mcp_oauth_token_malformed', newToken()],
    'the-hash': ['the access token is malformed', 'mcp_oauth_token_malformed', sha256(TOKENS.reader)],
    prefix: ['the access token is malformed', 'mcp_oauth_token_malformed', TOKENS.reader.slice(0, -1)],
  };
  for (const [name, [description, reason, token]] of Object.entries(cases)) {
    it(name, async () => {
      const before = received().length;
      const answer = await send(`${stack.url}/${name}`, { token });
      const challenge = challenges(stack.origin).invalidToken;
      assertRefusal(answer, { status: 401, error: 'invalid_token', description, challenge });
      assert.equal(received().length, before, 'the MCP server got the request');
      assert.equal(await reasonFor(stack, `/mcp/${name}`), reason);
    });
  }
});

it('no subject of the issuer arrives like a static one', async () => {
  assert.equal((await send(stack.url, { token: userToken({ sub: 'static:writer' }) })).status, 200);
  assert.equal(identity(received().at(-1).headers)['x-mcp-subject'], 'static%3Awriter');
});

it('neither token nor hash is in the log', () => {
  for (const token of Object.values(TOKENS)) {
    assert.ok(!stack.envoy.output.includes(token));
    assert.ok(!stack.envoy.output.includes(sha256(token)));
  }
});

itStillServes(stack);
