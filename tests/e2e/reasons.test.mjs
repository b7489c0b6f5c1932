// Promise: whatever the filter answers by itself, documents and preflights too, Envoy's access log says why
// (`response_code_details`); what it lets through is `via_upstream`.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { startEndpoint } from './support/endpoint.mjs';
import { send } from './support/http.mjs';
import { toolCall, withRules } from './support/rules.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';
import { GATEWAY, setVariables } from './support/variables.mjs';

const JWKS_PATH = '/.well-known/mcp-oauth/jwks.json';
const signingKey = { ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }), kid: 'k', alg: 'ES256' };
const endpoint = await startEndpoint(() => ({ active: false }));
const AGENT = { client_id: GATEWAY.client_id, client_secret_variable: 'SECRET', cluster: 'endpoint' };
const stack = await useStack({
  workers: 1,
  edit: withRules('headers', { dpop: {}, mutual_tls: true, rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }, {}] }, (bootstrap, plugin) => {
    setVariables(bootstrap, { SECRET: GATEWAY.secret, IDENTITY_KEYS: JSON.stringify({ keys: [signingKey] }) });
    bootstrap.static_resources.clusters.push(cluster('endpoint', endpoint.port));
    const { authorization_servers: [server], resources } = plugin;
    server.introspection = { ...AGENT, endpoint: endpoint.url };
    const { origin } = new URL(resources[0].resource);
    const identity_jwt = { issuer: 'https://gateway.example', audience: 'https://upstream.internal', keys_variable: 'IDENTITY_KEYS', jwks_path: JWKS_PATH };
    const exchange = (url) => ({ token_exchange: { ...AGENT, endpoint: url, audience: 'https://upstream.internal' } });
    for (const [path, settings] of [
      ['/stated', { upstream_credential: { identity_jwt } }],
      ['/exchanged', { upstream_credential: exchange(endpoint.url) }],
      ['/nonce', { dpop: { required: true, nonce: { key_variable: 'SECRET_OF_NONCES' } } }],
    ])
      resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, ...settings });
    setVariables(bootstrap, { SECRET_OF_NONCES: randomBytes(32).toString('base64url') });
  }),
});
const [key] = keysOf(stack);
const token = (path, changes) => forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, stack.origin + path), ...changes });
const metadata = '/.well-known/oauth-protected-resource';
const preflight = { 'origin': 'https://app.example', 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization,dpop' };
const sha256 = Buffer.alloc(32, 1).toString('base64url');
const jkt = { cnf: { jkt: sha256 } };
const opaque = () => randomBytes(32).toString('base64url');

/** Each with a path of its own, by which it is found in the access log. */
const REPLIES = [
  ['the metadata', `${metadata}/mcp`, { method: 'GET' }, 200, 'mcp_oauth_metadata'],
  ['the metadata, its head', `${metadata}/stated`, { method: 'HEAD' }, 200, 'mcp_oauth_metadata'],
  ['a preflight of the metadata', `${metadata}/exchanged`, { method: 'OPTIONS', headers: preflight }, 204, 'mcp_oauth_preflight'],
  ['a POST to the metadata', `${metadata}/nonce`, { method: 'POST' }, 405, 'mcp_oauth_document_method'],
  ['no metadata', `${metadata}/elsewhere`, { method: 'GET' }, 404, 'mcp_oauth_no_document'],
  ['the public keys', JWKS_PATH, { method: 'GET' }, 200, 'mcp_oauth_identity_keys'],
  ['no public keys', `${JWKS_PATH}/more`, { method: 'GET' }, 404, 'mcp_oauth_unmatched'],
  ['a preflight', '/mcp/preflight', { method: 'OPTIONS', headers: preflight }, 204, 'mcp_oauth_preflight'],
  ['a path of no resource', '/elsewhere', { method: 'GET' }, 404, 'mcp_oauth_unmatched'],
  ['no token', '/mcp/missing', {}, 401, 'mcp_oauth_missing_token'],
  ['two tokens', '/mcp/two', { headers: { authorization: ['Bearer a', 'Bearer b'] } }, 400, 'mcp_oauth_malformed_credentials'],
  ['an expired token', '/mcp/expired', { token: token('/mcp', { exp: 1 }) }, 401, 'mcp_oauth_token_expired'],
  ['a token that is inactive', '/mcp/inactive', { token: opaque() }, 401, 'mcp_oauth_token_inactive'],
  ['a token that nobody can ask about', '/mcp/unavailable', { token: opaque(), answer: () => ({}) }, 503, 'mcp_oauth_introspection_unavailable'],
  ['a token without the scopes', '/mcp/scopes', { token: token('/mcp', { scope: 'mcp:write' }) }, 403, 'mcp_oauth_insufficient_scope'],
  ['a call without the scopes', '/mcp/call', { token: token('/mcp'), body: toolCall('slow') }, 403, 'mcp_oauth_insufficient_scope'],
  ['a bound token as Bearer', '/mcp/bearer', { token: token('/mcp', jkt) }, 401, 'mcp_oauth_token_sender_constrained'],
  ['a token of another certificate', '/mcp/certificate', { token: token('/mcp', { cnf: { 'x5t#S256': sha256 } }) }, 401, 'mcp_oauth_token_certificate'],
  ['no proof', '/mcp/proof', { headers: { authorization: `DPoP ${token('/mcp', jkt)}` } }, 401, 'mcp_oauth_dpop_missing'],
  ['a token that is not bound', '/mcp/unbound', { headers: { authorization: `DPoP ${token('/mcp')}`, dpop: 'x' } }, 401, 'mcp_oauth_token_not_bound'],
  ['a token that must be bound', '/nonce/unbound', { token: token('/nonce') }, 401, 'mcp_oauth_token_not_bound'],
  ['a token that is not exchanged', '/exchanged/refused', { token: token('/exchanged'), answer: () => (response) => response.writeHead(400, { 'content-type': 'application/json' }).end('{"error":"invalid_grant"}') }, 502, 'mcp_oauth_upstream_credential_refused'],
  ['a token that nobody exchanges', '/exchanged/unavailable', { token: token('/exchanged'), answer: () => ({}) }, 503, 'mcp_oauth_upstream_credential_unavailable'],
  ['a body that is none', '/mcp/body', { token: token('/mcp'), body: '{' }, 400, 'mcp_oauth_malformed_message'],
  ['another media type', '/mcp/type', { token: token('/mcp'), headers: { 'content-type': 'text/plain' } }, 415, 'mcp_oauth_media_type'],
  ['another method', '/mcp/method', { token: token('/mcp'), method: 'PUT', body: '{}' }, 405, 'mcp_oauth_method'],
];

describe('the access log says why', () => {
  for (const [what, path, { answer, ...request }, status, reason] of REPLIES) {
    it(what, async () => {
      endpoint.answer = answer ?? (() => ({ active: false }));
      const before = stack.mcpServer.requests().length;
      const reply = await send(stack.origin + path, request);
      assert.equal(reply.status, status, reply.body);
      assert.equal(await reasonFor(stack, path), reason);
      assert.equal(stack.mcpServer.requests().length, before, 'the MCP server got the request');
    });
  }
  it('that the MCP server answered', async () => {
    assert.equal((await send(`${stack.origin}/stated/served`, { token: token('/stated') })).status, 200);
    assert.equal(await reasonFor(stack, '/stated/served'), 'via_upstream');
  });
});

itStillServes(stack);

it('nothing was answered without a reason', () => {
  const answered = stack.envoy.output.split('\n').map((line) => /^\S+Z [A-Z]+ (\S+) (\d+) (\S+) /.exec(line)).filter(Boolean);
  assert.ok(answered.length > REPLIES.length);
  for (const [line, , , reason] of answered) assert.match(reason, /^(mcp_oauth_[a-z_]+|via_upstream)$/, line);
});
