// Promise: whatever bytes arrive, the answer has the right status, the MCP server sees nothing of it, and the next good
// request is served.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { rawPost, send, sendRaw } from './support/http.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const stack = await useStack();
const asSent = await useStack({
  // Envoy hands the path on as it was sent: the filter is alone with it
  edit: (bootstrap) => {
    const manager = connectionManagerOf(bootstrap);
    manager.normalize_path = false;
    manager.merge_slashes = false;
    manager.path_with_escaped_slashes_action = 'KEEP_UNCHANGED';
  },
});
const tokens = new Map(
  await Promise.all([stack, asSent].map(async (each) => [each, await machineToken(each.issuer, each.url)])),
);

/** Sends bytes, then a good request; returns the first answer and what of it the MCP server got. */
async function attack(on, bytes) {
  const before = on.mcpServer.requests().length;
  const answer = await sendRaw(on.ports.listen, bytes);
  const seen = on.mcpServer.requests().slice(before);
  assert.equal((await send(on.url, { token: tokens.get(on) })).status, 200, 'the next good request');
  return { status: answer.status, seen, answer };
}

// path: [without a token through envoy.yaml, the same when Envoy leaves paths alone]. 401 means: read as the resource.
const PATHS = {
  '/mcp/..': [404, 400],
  '/mcp/../mcp': [401, 400],
  '/mcp/.': [401, 400],
  '/./mcp': [401, 400],
  '/x/../mcp': [401, 400],
  '/../mcp': [401, 400],
  '//mcp': [401, 400],
  '/mcp//': [401, 400],
  '/mcp//x': [401, 400],
  '/%6dcp': [401, 400],
  '/%6Dcp': [401, 400],
  '/mcp/%2e%2e': [404, 400],
  '/mcp/%2E%2E/other': [404, 400],
  '/mcp/%2e%2e%2fother': [400, 400],
  '/mcp%2f': [400, 400],
  '/mcp%2F..%2Fother': [400, 400],
  '/mcp%5c': [400, 400],
  '/mcp%5C..': [400, 400],
  '/mcp%00': [400, 400],
  '/mcp%0a': [400, 400],
  '/mcp%': [400, 400],
  '/mcp%zz': [400, 400],
  '/mcp%252e': [400, 400],
  '/mcp;x': [400, 400],
  '/mcp;/../other': [404, 400],
  '/mcp/..;/other': [[404, 400], 400], // Envoy 1.37 leaves it to the filter
  '\\mcp': [400, 400],
  '/\\mcp': [401, 400],
  '/mcp\\..\\other': [404, 400],
  '/mcp\\': [401, 400],
  '/mcp#x': [400, 400],
  '/mcp/\xff': [400, 400],
  '*': [400, 400],
  'mcp': [400, 400],
};

for (const [where, on, column] of [
  ['with envoy.yaml', stack, 0],
  ['when Envoy leaves paths alone', asSent, 1],
]) {
  describe(`ambiguous paths, ${where}`, () => {
    for (const [path, expected] of Object.entries(PATHS)) {
      const statuses = [expected[column]].flat();
      it(`${JSON.stringify(path)}: ${statuses.join(' or ')}`, async () => {
        const { status, seen } = await attack(on, rawPost(on.ports.listen, path));
        assert.deepEqual(seen, []);
        assert.ok(statuses.includes(status), `${status}`);
      });
      it(`${JSON.stringify(path)} with a good token opens nothing else`, async () => {
        const { seen } = await attack(on, rawPost(on.ports.listen, path, [`authorization: Bearer ${tokens.get(on)}`]));
        for (const { url, headers } of seen) {
          assert.match(url, /^\/mcp(\/|$)/, 'a path that is protected, in the form that was checked');
          assert.doesNotMatch(url, /\.\.|\\|;|%|\/\//);
          assert.equal(
            headers.find(([name]) => name === 'authorization'),
            undefined,
          );
        }
      });
    }
    it('an absolute URI as the request target', async () => {
      const { status, seen } = await attack(on, rawPost(on.ports.listen, `http://127.0.0.1:${on.ports.listen}/mcp`));
      assert.deepEqual({ status, seen }, { status: 401, seen: [] });
    });
  });
}

describe('bytes in headers', () => {
  const token = () => tokens.get(stack);
  const CASES = {
    'Authorization that is not UTF-8': [() => ['authorization: Bearer \xff\xfe'], 400],
    'Authorization of nothing but such bytes': [() => ['authorization: \xff\xfe\xfd'], 401],
    'a token with such bytes behind it': [() => [`authorization: Bearer ${token()}\xff`], 400],
    'another header that is not UTF-8, without a token': [() => ['x-bin: \xff\xfe'], 401],
    'Origin that is not UTF-8': [() => ['origin: \xff\xfe'], 401],
    'If-None-Match that is not UTF-8': [() => ['if-none-match: \xff'], 401],
    'Access-Control-Request-Headers that is not UTF-8': [
      () => ['origin: x', 'access-control-request-method: POST', 'access-control-request-headers: \xff'],
      401,
    ],
    'a token of 50 KB': [() => [`authorization: Bearer ${'a'.repeat(50_000)}`], 400],
    'a header of 100 KB': [() => [`x-large: ${'a'.repeat(100_000)}`], 431],
    '200 headers': [() => Array.from({ length: 200 }, (_, i) => `x-${i}: 1`), 431],
    'twenty Authorization lines': [() => Array(20).fill(`authorization: Bearer ${token()}`), 400],
    'a control character': [() => ['x-a: \x01'], 400],
    'a NUL': [() => ['authorization: Bearer \x00'], 400],
    'a space before the colon': [() => [`authorization : Bearer ${token()}`], 400],
    'two hosts': [() => ['host: elsewhere.example'], 400], // Envoy joins them to one
  };
  for (const [what, [headers, expected]] of Object.entries(CASES)) {
    it(`${what}: ${expected}`, async () => {
      const { status, seen } = await attack(stack, rawPost(stack.ports.listen, '/mcp', headers()));
      assert.deepEqual({ status, seen }, { status: expected, seen: [] });
    });
  }
  it('another header that is not UTF-8, with a token, arrives as it was sent', async () => {
    const { status, seen } = await attack(
      stack,
      rawPost(stack.ports.listen, '/mcp', [`authorization: Bearer ${token()}`, 'x-bin: \xff\xfe']),
    );
    assert.equal(status, 200);
    assert.equal(seen[0].headers.find(([name]) => name === 'x-bin')[1], '\xff\xfe');
  });
  it('a folded Authorization is read as one line, and does not arrive either', async () => {
    const { status, seen } = await attack(
      stack,
      rawPost(stack.ports.listen, '/mcp', ['authorization: Bearer', ` ${token()}`]),
    );
    assert.equal(status, 200);
    assert.doesNotMatch(JSON.stringify(seen), new RegExp(token().split('.')[2]));
  });
  it('a header of 12 KB beside a good token is served', async () => {
    // node:http, the upstream's, takes 16 KB
    const { status } = await attack(
      stack,
      rawPost(stack.ports.listen, '/mcp', [`authorization: Bearer ${token()}`, `x-large: ${'a'.repeat(12_000)}`]),
    );
    assert.equal(status, 200);
  });
});

describe('the host', () => {
  const post = (host, extra = '') =>
    Buffer.from(`GET /mcp HTTP/1.1\r\n${host}connection: close\r\n${extra}\r\n`, 'latin1');
  const CASES = {
    'absent': ['', 400],
    'empty': ['host: \r\n', 400],
    'another': ['host: x\r\n', 404],
    'with user info': ['host: a@127.0.0.1\r\n', 400],
    'not UTF-8': ['host: \xff\r\n', 400],
  };
  for (const [what, [line, expected]] of Object.entries(CASES)) {
    it(`${what}: ${expected}`, async () => {
      const { status, seen } = await attack(stack, post(line));
      assert.deepEqual({ status, seen }, { status: expected, seen: [] });
    });
  }
});

itStillServes(stack);
itStillServes(asSent);
