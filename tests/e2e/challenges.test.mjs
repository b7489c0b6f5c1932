// Promise: whoever may not pass learns why and what to do, in the exact form that clients can read.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { header } from '../../testbed/record.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const stack = await useStack({
  logLevel: 'debug', // the filter tells every refusal, and still no token
  resources: ['/strict', '/no-scope'],
  edit: (_bootstrap, { resources }) => {
    const [first] = resources;
    const origin = new URL(first.resource).origin;
    resources.push({
      resource: `${origin}/strict`,
      scopes: { required: ['mcp:read', 'mcp:write'], challenged: ['mcp:read'] },
    });
    resources.push({ resource: `${origin}/no-scope` });
  },
});
const token = await machineToken(stack.issuer, stack.url);
const reached = () => stack.mcpServer.requests().length;

/** Sends what must be refused, and makes sure that nothing of it went through. */
async function refused(url, request) {
  const before = reached();
  const answer = await send(url, request);
  assert.equal(reached(), before, 'the MCP server got the request');
  return answer;
}

describe('without credentials', () => {
  for (const method of ['POST', 'GET', 'DELETE', 'PUT', 'HEAD', 'OPTIONS']) {
    it(`${method} gets 401 and a challenge without an error code`, async () => {
      const answer = await refused(stack.url, { method });
      if (method === 'HEAD')
        assert.deepEqual([answer.status, answer.header('www-authenticate')], [401, challenges(stack.origin).missing()]);
      else assertRefusal(answer, { status: 401, error: 'missing_token', challenge: challenges(stack.origin).missing });
    });
  }
  for (const [what, authorization] of [
    ['Basic credentials', 'Basic YWxpY2U6c2VjcmV0'],
    ['an unknown scheme', 'Negotiate abc'],
    ['a scheme that only starts alike', 'Bearers abc'],
    ['an empty header', ''],
  ]) {
    it(`${what} count as none`, async () => {
      assertRefusal(await refused(stack.url, { headers: { authorization } }), {
        status: 401,
        error: 'missing_token',
        challenge: challenges(stack.origin).missing,
      });
    });
  }
  it('a resource without scopes leaves the scope out', async () => {
    assertRefusal(await refused(`${stack.origin}/no-scope`), {
      status: 401,
      error: 'missing_token',
      challenge: challenges(stack.origin, '/no-scope', '').missing,
    });
  });
  it('a path below the resource is challenged for the resource', async () => {
    assertRefusal(await refused(`${stack.url}/deeper?x=1`), {
      status: 401,
      error: 'missing_token',
      challenge: challenges(stack.origin).missing,
    });
  });
});

describe('with credentials that cannot be read: 400 invalid_request', () => {
  const cases = {
    'two Authorization lines': () => [`Bearer ${token}`, 'Bearer other'],
    'the same token twice': () => [`Bearer ${token}`, `Bearer ${token}`],
    'two credentials in one line': () => `Bearer ${token}, Bearer ${token}`,
    'Basic and Bearer in one line': () => `Basic abc, Bearer ${token}`,
    'Bearer and nothing': () => 'Bearer',
    'Bearer and a space': () => 'Bearer ',
    'a character that no token has': () => 'Bearer abc"def',
    'two words': () => `Bearer ${token} ${token}`,
    'a token of more than 16 KiB': () => `Bearer ${'a'.repeat(16 * 1024 + 1)}`,
  };
  for (const [what, authorization] of Object.entries(cases)) {
    it(what, async () => {
      const answer = await refused(stack.url, { headers: { authorization: authorization() } });
      assertRefusal(answer, {
        status: 400,
        error: 'invalid_request',
        challenge: challenges(stack.origin).invalidRequest,
      });
    });
  }
});

describe('with a token that is not valid here: 401 invalid_token', () => {
  const cases = {
    'an opaque token': [() => 'opaque-token', 'the access token is malformed'],
    'a token of exactly 16 KiB, which may be read': [() => 'a'.repeat(16 * 1024), 'the access token is malformed'],
    'a real token for another resource': [
      () => machineToken(stack.issuer, `${stack.origin}/strict`),
      'the access token was issued for another resource',
    ],
  };
  for (const [what, [make, description]] of Object.entries(cases)) {
    it(what, async () => {
      assertRefusal(await refused(stack.url, { token: await make() }), {
        status: 401,
        error: 'invalid_token',
        description,
        challenge: challenges(stack.origin).invalidToken,
      });
    });
  }
});

describe('with a token that may not do this: 403 insufficient_scope', () => {
  it('names what the resource challenges for', async () => {
    const poor = await machineToken(stack.issuer, `${stack.origin}/strict`, 'mcp:read');
    const answer = await refused(`${stack.origin}/strict`, { token: poor });
    const needed = challenges(stack.origin, '/strict', 'mcp:read mcp:write').insufficientScope;
    assertRefusal(answer, { status: 403, error: 'insufficient_scope', challenge: needed });
  });
  it('and its sibling with all scopes passes', async () => {
    const rich = await machineToken(stack.issuer, `${stack.origin}/strict`, 'mcp:read mcp:write');
    assert.equal((await send(`${stack.origin}/strict`, { token: rich })).status, 200);
  });
});

describe('where nothing is protected: 404', () => {
  for (const path of ['/', '/other', '/mcpx', '/MCP', '/mc']) {
    it(path, async () => {
      assertRefusal(await refused(stack.origin, { path, token }), { status: 404, error: 'not_found' });
    });
  }
  it('another host', async () => {
    assertRefusal(await refused(stack.url, { token, headers: { host: 'elsewhere.example' } }), {
      status: 404,
      error: 'not_found',
    });
  });
});

describe('preflight', () => {
  const preflight = { 'origin': 'https://app.example', 'access-control-request-method': 'POST' };
  it('is answered before authentication and allows what was asked for', async () => {
    const wanted = 'authorization, content-type, mcp-param-a';
    const answer = await refused(stack.url, {
      method: 'OPTIONS',
      headers: { ...preflight, 'access-control-request-headers': wanted },
    });
    assert.equal(answer.status, 204);
    assert.equal(answer.header('access-control-allow-origin'), '*');
    assert.equal(answer.header('access-control-allow-headers'), wanted);
    assert.deepEqual(answer.header('access-control-allow-methods').split(', ').sort(), [
      'DELETE',
      'GET',
      'OPTIONS',
      'POST',
    ]);
    assert.equal(answer.header('access-control-allow-credentials'), undefined);
  });
  it('does not echo what is no list of header names', async () => {
    const answer = await refused(stack.url, {
      method: 'OPTIONS',
      headers: { ...preflight, 'access-control-request-headers': 'a"b' },
    });
    assert.deepEqual([answer.status, answer.header('access-control-allow-headers')], [204, undefined]);
  });
  it('an OPTIONS without Access-Control-Request-Method is no preflight', async () => {
    assertRefusal(await refused(stack.url, { method: 'OPTIONS', headers: { origin: 'https://app.example' } }), {
      status: 401,
      error: 'missing_token',
      challenge: challenges(stack.origin).missing,
    });
  });
});

describe('a token in the query', () => {
  it('is not accepted', async () => {
    assertRefusal(await refused(`${stack.url}?access_token=${token}`), {
      status: 401,
      error: 'missing_token',
      challenge: challenges(stack.origin).missing,
    });
  });
  for (const [query, kept] of [
    ['?access_token=secret', ''],
    ['?a=1&access_token=secret&b=2', '?a=1&b=2'],
    ['?access%5ftoken=secret&c', '?c'],
    ['?my_access_token=1', '?my_access_token=1'],
  ]) {
    it(`${query} beside a good one reaches the MCP server as "${kept}"`, async () => {
      assert.equal((await send(stack.url + query, { token })).status, 200);
      const { url, headers } = stack.mcpServer.requests().at(-1);
      assert.equal(url, `/mcp${kept}`);
      assert.doesNotMatch(JSON.stringify(headers), /secret/);
    });
  }
});

describe('for pages in a browser', () => {
  it('a response of an upstream that says nothing about CORS can be read', async () => {
    const answer = await send(stack.url, { token, headers: { origin: 'https://app.example' } });
    assert.deepEqual([answer.status, answer.header('access-control-allow-origin')], [200, '*']);
  });
  it('without an Origin nothing is added', async () => {
    assert.equal((await send(stack.url, { token })).header('access-control-allow-origin'), undefined);
  });
});

it('a lower-case scheme and more than one space are fine', async () => {
  assert.equal((await send(stack.url, { headers: { authorization: `bearer   ${token}` } })).status, 200);
  assert.equal(header(stack.mcpServer.requests().at(-1), 'authorization'), undefined);
});

itStillServes(stack);
