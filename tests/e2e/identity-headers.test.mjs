// Promise: what the MCP server reads about its caller comes from the verified token, and nothing of the client's own.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { rawPost, send, sendRaw } from './support/http.mjs';
import { itStillServes, keysOf, useStack } from './support/stack.mjs';

const stack = await useStack();
const bare = await useStack({
  edit: (bootstrap) => {
    connectionManagerOf(bootstrap).common_http_protocol_options.headers_with_underscores_action = 'ALLOW';
  },
});
const telling = await useStack({
  edit: (bootstrap, plugin) => {
    connectionManagerOf(bootstrap).common_http_protocol_options.headers_with_underscores_action = 'ALLOW';
    plugin.identity_headers = {
      claims: [
        { claim: 'realm_access.roles', header: 'x-mcp-roles' },
        { claim: 'https://example.com/tenant', header: 'x-tenant' },
        { claim: 'level', header: 'x-level' },
      ],
    };
  },
});
const [claimKey] = keysOf(telling);
const [key] = keysOf(stack);
const token = (changes) =>
  forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, stack.url), ...changes });

/** The headers that reach the MCP server, as it received them. */
async function upstreamHeaders(on, request) {
  const answer = await send(on.url, request);
  assert.equal(answer.status, 200, answer.body);
  return on.mcpServer.requests().at(-1).headers;
}
const identity = (headers) => Object.fromEntries(headers.filter(([name]) => /^x.mcp/i.test(name)));
const GENUINE = {
  'x-mcp-subject': 'alice',
  'x-mcp-client-id': 'forged-client',
  'x-mcp-scopes': 'mcp:read',
  'x-mcp-issuer': stack.issuer,
};

describe('credentials never arrive', () => {
  for (const name of ['dpop', 'DPoP', 'proxy-authorization', 'Proxy-Authorization']) {
    it(name, async () => {
      const headers = await upstreamHeaders(stack, { token: token(), headers: { [name]: 'secret' } });
      assert.deepEqual(
        headers.filter(([, value]) => value.includes('secret')),
        [],
      );
    });
  }
  it('nor does the token, in any header', async () => {
    const secret = token();
    assert.doesNotMatch(
      JSON.stringify(await upstreamHeaders(stack, { token: secret })),
      new RegExp(secret.split('.')[2]),
    );
  });
});

describe('forged identity headers', () => {
  const forgeries = [
    { 'x-mcp-subject': 'mallory' },
    { 'X-MCP-SUBJECT': 'mallory' },
    { 'x-mcp-subject': ['mallory', 'eve'] },
    { x_mcp_subject: 'mallory' },
    { 'x-mcp_subject': 'mallory' },
    { 'x-mcp-client-id': 'evil' },
    { 'x-mcp-scopes': 'mcp:admin' },
    { 'x-mcp-issuer': 'https://evil.example' },
  ];
  for (const headers of forgeries) {
    it(`${JSON.stringify(headers)} are replaced`, async () => {
      assert.deepEqual(identity(await upstreamHeaders(stack, { token: token(), headers })), GENUINE);
    });
  }
  it('a header without a claim behind it is removed, not kept', async () => {
    const headers = { 'x-mcp-subject': 'mallory', 'x-mcp-client-id': 'evil' };
    const { 'x-mcp-client-id': _, ...rest } = GENUINE;
    assert.deepEqual(identity(await upstreamHeaders(stack, { token: token({ client_id: undefined }), headers })), rest);
  });
});

describe("without Envoy's own rule about underscores", () => {
  const [itsKey] = keysOf(bare);
  for (const name of ['x_mcp_subject', 'X_Mcp-Subject', 'x-mcp_client_id']) {
    it(`the filter removes ${name} by itself`, async () => {
      const itsToken = forge(
        itsKey,
        { alg: itsKey.alg, kid: itsKey.kid, typ: 'at+jwt' },
        goodClaims(bare.issuer, bare.url),
      );
      assert.deepEqual(identity(await upstreamHeaders(bare, { token: itsToken, headers: { [name]: 'mallory' } })), {
        ...GENUINE,
        'x-mcp-issuer': bare.issuer,
      });
    });
  }
});

describe('claims that are no header value as they stand', () => {
  for (const [subject, value] of [
    ['ali ce', 'ali%20ce'],
    ['50%', '50%25'],
    ['ålice', '%C3%A5lice'],
    ['a\r\nx-admin: 1', 'a%0D%0Ax-admin:%201'],
    ['a\u0000b', 'a%00b'],
    ['auth0|7', 'auth0|7'],
  ]) {
    it(`${JSON.stringify(subject)} arrives as ${value}`, async () => {
      const headers = await upstreamHeaders(stack, { token: token({ sub: subject }) });
      assert.equal(identity(headers)['x-mcp-subject'], value);
      assert.equal(
        headers.find(([name]) => name === 'x-admin'),
        undefined,
      );
    });
  }
});

describe('claims as headers', () => {
  const SPOOFED = { 'X-MCP-Roles': 'admin', 'x-mcp_roles': 'admin', 'x_tenant': 'evil', 'x-tenant': ['a', 'b'], 'x-level': '9' };
  const rows = [
    ['all of them', { 'realm_access': { roles: ['a', 'b,c', 'd e'] }, 'https://example.com/tenant': 'ål', 'level': 7 }, { 'x-mcp-roles': 'a,b%2Cc,d%20e', 'x-tenant': '%C3%A5l', 'x-level': '7' }],
    ['none of them', {}, {}],
    ['objects, and arrays with objects', { realm_access: { roles: [{}] }, level: {} }, {}],
    ['a line end', { 'https://example.com/tenant': 'a\r\nx-admin: 1' }, { 'x-tenant': 'a%0D%0Ax-admin:%201' }],
    ['the longest', { level: 'x'.repeat(4096) }, { 'x-level': 'x'.repeat(4096) }],
    ['one that is longer', { level: 'x'.repeat(4097) }, {}],
  ];
  for (const [name, claims, expected] of rows) {
    it(`${name}, first and remembered`, async () => {
      const itsToken = forge(claimKey, { alg: claimKey.alg, kid: claimKey.kid, typ: 'at+jwt' }, { ...goodClaims(telling.issuer, telling.url), ...claims });
      for (let time = 0; time < 2; time++) {
        const headers = await upstreamHeaders(telling, { token: itsToken, headers: SPOOFED });
        const told = headers.filter(([header]) => /^x.(mcp.roles|tenant|level|admin)$/i.test(header));
        assert.deepEqual(Object.fromEntries(told), expected);
        assert.equal(told.length, Object.keys(expected).length, 'no header is there twice');
      }
    });
  }
});

it('azp stands in for client_id', async () => {
  const headers = await upstreamHeaders(stack, { token: token({ client_id: undefined, azp: 'old-client' }) });
  assert.equal(identity(headers)['x-mcp-client-id'], 'old-client');
});

it('names can be changed and switched off, and the new name is guarded like the old', async () => {
  const renamed = await useStack({
    edit: (_bootstrap, plugin) => {
      plugin.identity_headers = { subject: 'x-user', scopes: null, issuer: null };
    },
  });
  const [itsKey] = keysOf(renamed);
  const itsToken = forge(
    itsKey,
    { alg: itsKey.alg, kid: itsKey.kid, typ: 'at+jwt' },
    goodClaims(renamed.issuer, renamed.url),
  );
  const headers = await upstreamHeaders(renamed, { token: itsToken, headers: { 'x-user': 'mallory' } });
  assert.deepEqual(headers.filter(([name]) => /^x-(mcp|user)/.test(name)).sort(), [
    ['x-mcp-client-id', 'forged-client'],
    ['x-user', 'alice'],
  ]);
});

it('a header that only the connection was to see cannot be used to drop ours', async () => {
  // `Connection: x-mcp-subject` asks a proxy to remove that header before it forwards (RFC 9110 section 7.6.1)
  const answer = await sendRaw(
    stack.ports.listen,
    rawPost(stack.ports.listen, '/mcp', [`authorization: Bearer ${token()}`, 'connection: x-mcp-subject']),
  );
  assert.equal(answer.status, 200);
  assert.deepEqual(identity(stack.mcpServer.requests().at(-1).headers), GENUINE);
});

itStillServes(stack);
