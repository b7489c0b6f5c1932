// Promise: the resource metadata (RFC 9728) is found where clients look, says what is configured, and nothing else.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { send } from './support/http.mjs';
import { assertRefusal } from './support/replies.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const WELL_KNOWN = '/.well-known/oauth-protected-resource';
const stack = await useStack({
  edit: (_bootstrap, { resources }) => {
    const [{ resource }] = resources;
    const origin = new URL(resource).origin;
    resources[0].host_default = true;
    resources.push({
      resource: `${origin}/full/mcp`,
      scopes: { required: ['mcp:read'], advertised: ['mcp:read', 'mcp:write'] },
      metadata: {
        resource_name: 'Full "name"',
        resource_documentation: 'https://docs.example/',
        resource_policy_uri: 'https://docs.example/policy',
        resource_tos_uri: 'https://docs.example/tos',
        max_age: '5m',
      },
    });
    resources.push({ resource: `${origin}/bare` });
  },
});
const get = (path, options) => send(stack.origin, { method: 'GET', path, ...options });
const DOCUMENT = {
  resource: stack.url,
  authorization_servers: [stack.issuer],
  scopes_supported: ['mcp:read'],
  bearer_methods_supported: ['header'],
  resource_name: 'MCP server of the demo',
};

describe('the document of a resource', () => {
  for (const path of [`${WELL_KNOWN}/mcp`, `${WELL_KNOWN}/mcp/`, `${WELL_KNOWN}/mcp?x=1`]) {
    it(`is at ${path}`, async () => {
      const answer = await get(path);
      assert.equal(answer.status, 200);
      assert.deepEqual(answer.json, DOCUMENT);
      assert.equal(answer.header('content-type'), 'application/json');
      assert.equal(answer.header('cache-control'), 'public, max-age=3600');
      assert.equal(answer.header('access-control-allow-origin'), '*');
      assert.match(answer.header('etag'), /^"[^"]+"$/);
    });
  }
  it("is at the root too, for the resource that is its host's default", async () => {
    for (const path of [WELL_KNOWN, `${WELL_KNOWN}/`]) assert.deepEqual((await get(path)).json, DOCUMENT, path);
  });
  it('has every configured field', async () => {
    const answer = await get(`${WELL_KNOWN}/full/mcp`);
    assert.deepEqual(answer.json, {
      resource: `${stack.origin}/full/mcp`,
      authorization_servers: [stack.issuer],
      scopes_supported: ['mcp:read', 'mcp:write'],
      bearer_methods_supported: ['header'],
      resource_name: 'Full "name"',
      resource_documentation: 'https://docs.example/',
      resource_policy_uri: 'https://docs.example/policy',
      resource_tos_uri: 'https://docs.example/tos',
    });
    assert.equal(answer.header('cache-control'), 'public, max-age=300');
  });
  it('has no empty list', async () => {
    assert.deepEqual((await get(`${WELL_KNOWN}/bare`)).json, {
      resource: `${stack.origin}/bare`,
      authorization_servers: [stack.issuer],
      bearer_methods_supported: ['header'],
    });
  });
  it('is the URL that the challenge names', async () => {
    const [, url] = /resource_metadata="([^"]+)"/.exec((await send(stack.url)).header('www-authenticate'));
    assert.deepEqual((await send(url, { method: 'GET' })).json, DOCUMENT);
  });
  it('needs no token and ignores bad ones', async () => {
    assert.equal((await get(`${WELL_KNOWN}/mcp`, { headers: { authorization: 'Bearer nonsense' } })).status, 200);
  });
});

describe('methods', () => {
  it('HEAD answers like GET, without the body', async () => {
    const [head, full] = [await get(`${WELL_KNOWN}/mcp`, { method: 'HEAD' }), await get(`${WELL_KNOWN}/mcp`)];
    assert.deepEqual([head.status, head.body], [200, '']);
    for (const name of ['content-type', 'etag', 'cache-control'])
      assert.equal(head.header(name), full.header(name), name);
  });
  it('OPTIONS is a preflight for reading', async () => {
    const answer = await get(`${WELL_KNOWN}/mcp`, {
      method: 'OPTIONS',
      headers: {
        'origin': 'https://app.example',
        'access-control-request-method': 'GET',
        'access-control-request-headers': 'mcp-protocol-version',
      },
    });
    assert.deepEqual(
      [answer.status, answer.header('access-control-allow-origin'), answer.header('access-control-allow-headers')],
      [204, '*', 'mcp-protocol-version'],
    );
  });
  for (const method of ['POST', 'PUT', 'DELETE', 'PATCH']) {
    it(`${method} gets 405 and the methods that there are`, async () => {
      const answer = await get(`${WELL_KNOWN}/mcp`, { method, body: undefined });
      assertRefusal(answer, { status: 405, error: 'method_not_allowed' });
      assert.deepEqual(answer.header('allow').split(', ').sort(), ['GET', 'HEAD', 'OPTIONS']);
    });
  }
});

describe('If-None-Match', () => {
  const etag = async () => (await get(`${WELL_KNOWN}/mcp`)).header('etag');
  for (const [what, value, status] of [
    ['the tag', (tag) => tag, 304],
    ['the weak tag', (tag) => `W/${tag}`, 304],
    ['a list with it', (tag) => `"x", ${tag}`, 304],
    ['*', () => '*', 304],
    ['another tag', () => '"x"', 200],
    ['nonsense', () => 'x', 200],
  ]) {
    it(`${what}: ${status}`, async () => {
      const answer = await get(`${WELL_KNOWN}/mcp`, { headers: { 'if-none-match': value(await etag()) } });
      assert.deepEqual(
        [answer.status, answer.body === '', answer.header('etag')],
        [status, status === 304, await etag()],
      );
    });
  }
});

describe('other well-known documents do not exist', () => {
  const others = [
    `${WELL_KNOWN}/other`,
    `${WELL_KNOWN}/mcp/deeper`,
    `${WELL_KNOWN}/mc`,
    `${WELL_KNOWN}/MCP`,
    `${WELL_KNOWN}x`,
    `/mcp${WELL_KNOWN}`,
    '/.well-known/oauth-authorization-server',
    '/.well-known/openid-configuration',
    '/.well-known/oauth-authorization-server/mcp',
  ];
  for (const path of others) {
    it(path, async () => {
      const before = stack.mcpServer.requests().length;
      const answer = await get(path);
      if (path.startsWith('/mcp'))
        assert.equal(answer.status, 401, 'below a resource, where it is protected like everything');
      else assertRefusal(answer, { status: 404, error: 'not_found' });
      assert.equal(stack.mcpServer.requests().length, before, 'the MCP server got the request');
    });
  }
  it('on another host', async () => {
    assertRefusal(await get(`${WELL_KNOWN}/mcp`, { headers: { host: 'elsewhere.example' } }), {
      status: 404,
      error: 'not_found',
    });
  });
});

describe('what a request says about its host changes nothing', () => {
  for (const headers of [
    { 'x-forwarded-host': 'evil.example' },
    { 'x-forwarded-proto': 'https' },
    { 'x-forwarded-port': '1' },
    { forwarded: 'host=evil.example;proto=https' },
    { 'x-original-host': 'evil.example' },
    { origin: 'https://evil.example' },
  ]) {
    it(JSON.stringify(headers), async () => {
      assert.deepEqual((await get(`${WELL_KNOWN}/mcp`, { headers })).json, DOCUMENT);
      const { header } = await send(stack.url, { headers });
      assert.match(header('www-authenticate'), new RegExp(`resource_metadata="${stack.origin}${WELL_KNOWN}/mcp"`));
    });
  }
});

itStillServes(stack);
