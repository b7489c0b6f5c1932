// Promise: where refusals are only reported, the MCP server gets what would be refused, as its client sent it but for the
// token, and neither the filter's word on who calls nor the operator's credential; and everybody can see that it is so.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { header } from '../../testbed/record.mjs';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { HOLDS, toolCall, withRules } from './support/rules.mjs';
import { keysOf, metric, reasonFor, useStack } from './support/stack.mjs';
import { setVariables } from './support/variables.mjs';

const KEY = randomBytes(24).toString('base64url');
const settings = {
  report_only: true,
  rules: [{ tools: ['slow'], deny: true }, { tools: ['echo'], scopes: ['mcp:write'] }, {}],
  filter_lists: true,
  origins: ['https://app.example'],
  body: { max_size: '64KiB' },
};
// A head that goes ahead would have it before its body is judged, so that does not load.
const upstream_credential = { header: { name: 'x-api-key', value_variable: 'KEY' } };
const stacks = Object.fromEntries(
  await Promise.all(
    HOLDS.map(async (hold) => [
      hold,
      await useStack({
        workers: 1,
        logLevel: 'debug',
        edit: withRules(hold, hold === 'headers' ? { ...settings, upstream_credential } : settings, (bootstrap, plugin) => {
          setVariables(bootstrap, { KEY });
          const { origin } = new URL(plugin.resources[0].resource);
          plugin.resources.push({ resource: `${origin}/enforced`, scopes: { required: ['mcp:read'] } });
        }),
      }),
    ]),
  ),
);
const foreign = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const SPOOFED = { 'x-mcp-subject': 'mallory', 'X-MCP-Scopes': 'everything' };

for (const [hold, stack] of Object.entries(stacks)) {
  const [key] = keysOf(stack);
  const sign = (changes, by = key) =>
    forge({ ...by, alg: key.alg }, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, stack.url), ...changes });
  const good = sign();
  /** What the MCP server got of a request; undefined if nothing. */
  const delivered = async (request, path = '/mcp') => {
    const before = stack.mcpServer.requests().length;
    const answer = await send(stack.origin + path, { ...request, headers: { ...SPOOFED, ...(hold === 'headers' && { 'x-api-key': 'of-the-client' }), ...request.headers } });
    return { answer, got: stack.mcpServer.requests()[before] };
  };

  describe(`hold_requests: ${hold}`, () => {
    for (const [what, request, subject] of [
      ['no token', {}],
      ['a token of nobody', { token: 'opaque' }],
      ['two tokens', { headers: { authorization: ['Bearer a', 'Bearer b'] } }],
      ['an expired token', { token: sign({ exp: 1 }) }],
      ['a token for another resource', { token: sign({ aud: 'https://other.example' }) }],
      ['a forged token', { token: sign({}, { ...foreign, kid: key.kid }) }],
      ['a token without the scopes', { token: sign({ scope: 'other' }) }, 'alice'],
      ['a page of another origin', { token: good, headers: { origin: 'https://evil.example' } }],
      ['a call that a rule denies', { token: good, body: toolCall('slow') }, 'alice'],
      ['a call that needs more scopes', { token: good, body: toolCall('echo') }, 'alice'],
      ['another method', { token: good, method: 'PUT', body: '{}' }, 'alice'],
      ['a body that is none', { token: good, body: '{' }, 'alice'],
      ['another media type', { token: good, headers: { 'content-type': 'text/plain' } }, 'alice'],
    ]) {
      it(`${what}: goes on without it`, async () => {
        const before = await metric(stack, 'mcp_oauth.requests.report').catch(() => 0);
        const { got } = await delivered(request);
        assert.ok(got, 'the MCP server did not get it');
        assert.equal(header(got, 'authorization'), undefined);
        assert.doesNotMatch(JSON.stringify(got), /mallory|everything|of-the-client|eyJ/);
        assert.equal(header(got, 'x-mcp-subject'), subject);
        assert.ok(!JSON.stringify(got).includes(KEY), "the operator's credential");
        assert.equal(await metric(stack, 'mcp_oauth.requests.report'), before + 1);
      });
    }
    it('whoever would not be refused is served as ever', async () => {
      const { answer, got } = await delivered({ token: good });
      assert.equal(answer.status, 200, answer.body);
      assert.equal(header(got, 'x-mcp-subject'), 'alice');
      assert.equal(header(got, 'x-api-key'), hold === 'headers' ? KEY : undefined);
    });
    for (const [what, path, request, status, reason] of [
      ['an ambiguous path', '/mcp/a%2e%2e;x', {}, 400, 'mcp_oauth_ambiguous_path'],
      ['no resource', '/elsewhere', {}, 404, 'mcp_oauth_unmatched'],
      ['a body that is too large', '/mcp/large', { token: good, body: ' '.repeat(100_000) }, 413, 'mcp_oauth_body_too_large'],
      ['a resource that is enforced', '/enforced', {}, 401, 'mcp_oauth_missing_token'],
      ['metadata', '/.well-known/oauth-protected-resource/mcp', { method: 'GET' }, 200, 'mcp_oauth_metadata'],
    ]) {
      it(`${what}: is answered`, async () => {
        const { answer, got } = await delivered(request, path);
        assert.equal(answer.status, status, answer.body);
        // With `hold_requests: body` its head was on its way before the body was there.
        if (hold === 'headers' || !path.endsWith('large')) assert.equal(got, undefined);
        if (!path.includes(';')) assert.equal(await reasonFor(stack, path), reason);
      });
    }
    it('the log is loud once per configuration and worker, and tells each at level debug', () => {
      assert.match(stack.envoy.output, /\[warning\].*`report_only`: NOTHING IS ENFORCED/);
      assert.match(stack.envoy.output, /\[debug\].*report only: would be refused: an access token is required/);
      assert.ok(!stack.envoy.output.includes(KEY));
      assert.doesNotMatch(stack.envoy.output, /proxy_on_|wasm trap|Unreachable|panic/, 'the module trapped');
    });
    it('without the authorization server, nobody is locked out', async () => {
      await stack.authorizationServer.stop();
      const { got } = await delivered({ token: sign({ jti: 'new' }, { ...key, kid: 'unknown' }) });
      assert.ok(got);
      assert.equal(header(got, 'authorization'), undefined);
    });
  });
}
