// Promise: a token that is bound to a certificate (RFC 8705) opens the server only on a connection of who has its key.
import assert from 'node:assert/strict';
import { connect } from 'node:http2';
import { describe, it } from 'node:test';
import { dpop } from '../../testbed/packages.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { freePort } from '../../testbed/ports.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { certificateToken, forge, goodClaims, machineToken } from '../../testbed/tokens.mjs';
import { INITIALIZE, send } from './support/http.mjs';
import { addTlsListener, makeCertificates } from './support/mutual-tls.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';

const directory = runDirectory('e2e');
const certificates = makeCertificates(directory, 'alice', 'bob', 'eve=stranger');
const ports = await choosePorts();
// Three listeners for TLS: one where a certificate is welcome, one where it is required, and one that takes any.
const [welcome, required, any] = [await freePort(), await freePort(), await freePort()];
const origins = Object.fromEntries(Object.entries({ welcome, required, any }).map(([name, port]) => [name, `https://127.0.0.1:${port}`]));
const RESOURCES = [...Object.values(origins).map((origin) => `${origin}/mcp`), `${origins.welcome}/without`, `${origins.welcome}/both`];

const stack = await useStack({
  directory,
  ports,
  resources: RESOURCES,
  logLevel: 'debug',
  edit: (bootstrap, { resources }) => {
    resources[0].mutual_tls = true;
    for (const resource of RESOURCES)
      resources.push({ resource, scopes: { required: ['mcp:read'] }, ...(!resource.endsWith('/without') && { mutual_tls: true }), ...(resource.endsWith('/both') && { dpop: {} }) });
    addTlsListener(bootstrap, directory, welcome);
    addTlsListener(bootstrap, directory, required, { required: true });
    // RFC 8705 section 2.2: certificates that nobody signed but their owner
    addTlsListener(bootstrap, directory, any, { validation: { trust_chain_verification: 'ACCEPT_UNTRUSTED' } });
  },
});
const [key] = keysOf(stack);
const received = () => stack.mcpServer.requests();
const url = (name, path = '/mcp') => `${origins[name]}${path}`;
const bound = (name, resource = url('welcome')) => certificateToken(stack.issuer, resource, certificates.pem(name));
const made = (cnf, resource = url('welcome')) =>
  forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, resource), cnf });

/** Sends a token on a connection with this client's certificate, or without any. */
const as = (client, token, { to = url('welcome'), ...request } = {}) => send(to, { token, tls: certificates.of(client), ...request });

async function refused(client, token, path, request) {
  const before = received().length;
  const answer = await as(client, token, { to: url('welcome', `/mcp${path}`), ...request });
  assert.equal(received().length, before, 'the MCP server got the request');
  assert.equal(answer.status, 401, answer.body);
  assert.match(answer.header('www-authenticate'), /^Bearer error="invalid_token", error_description="[^"]+", resource_metadata="/);
  return reasonFor(stack, `/mcp${path}`);
}

describe('a token that is bound to a certificate', () => {
  it('opens the server with it, as the authorization server bound it', async () => {
    const token = await bound('alice');
    for (const time of ['first', 'remembered']) {
      const answer = await as('alice', token);
      assert.equal(answer.status, 200, `${time}: ${answer.body}`);
    }
    assert.equal(received().at(-1).headers.find(([name]) => name === 'x-mcp-client-id')[1], 'machine-mtls');
  });
  it('and as RFC 8705 computes it', async () => {
    assert.equal((await as('alice', made({ 'x5t#S256': certificates.thumbprint('alice') }))).status, 200);
  });
  it('over HTTP/2 too', async () => {
    const session = connect(origins.welcome, certificates.of('alice'));
    try {
      const status = await new Promise(async (resolve, reject) => {
        const token = await bound('alice');
        session.on('error', reject);
        const stream = session.request({
          ':method': 'POST', ':path': '/mcp', 'authorization': `Bearer ${token}`, 'content-type': 'application/json', 'accept': 'application/json, text/event-stream',
        });
        stream.on('response', (headers) => resolve(headers[':status'])).on('error', reject);
        stream.end(INITIALIZE);
      });
      assert.equal(status, 200);
    } finally {
      session.destroy();
    }
  });
  it('is refused with the certificate of another, remembered or not', async () => {
    const token = await bound('alice');
    assert.equal(await refused('bob', token, '/stolen'), 'mcp_oauth_token_certificate');
    assert.equal((await as('alice', token)).status, 200);
    assert.equal(await refused('bob', token, '/stolen-again'), 'mcp_oauth_token_certificate');
  });
  it('is refused without a certificate', async () => {
    assert.equal(await refused(undefined, await bound('alice'), '/no-certificate'), 'mcp_oauth_token_certificate');
  });
  it('is refused without TLS', async () => {
    const token = await certificateToken(stack.issuer, stack.url, certificates.pem('alice'));
    const headers = { 'x-forwarded-client-cert': `Hash=${Buffer.from(certificates.thumbprint('alice'), 'base64url').toString('hex')}` };
    for (const request of [{}, { headers }]) assert.equal((await send(`${stack.url}/plain`, { token, ...request })).status, 401);
    assert.equal(await reasonFor(stack, '/mcp/plain'), 'mcp_oauth_token_certificate');
  });
  it('is refused whatever a header says of the certificate', async () => {
    const hex = Buffer.from(certificates.thumbprint('alice'), 'base64url').toString('hex');
    const pem = encodeURIComponent(certificates.pem('alice'));
    const headers = { 'x-forwarded-client-cert': `Hash=${hex};Cert="${pem}"`, 'client-cert': `:${certificates.pem('alice').split('\n').slice(1, -2).join('')}:`, 'x-client-certificate': pem };
    assert.equal(await refused('bob', await bound('alice'), '/header', { headers }), 'mcp_oauth_token_certificate');
  });
  for (const [what, cnf] of Object.entries({
    'in hexadecimal': { 'x5t#S256': Buffer.from(certificates.thumbprint('alice'), 'base64url').toString('hex') },
    'with padding': { 'x5t#S256': `${certificates.thumbprint('alice')}=` },
    'in another case': { 'x5t#S256': certificates.thumbprint('alice').toUpperCase() },
    'empty': { 'x5t#S256': '' },
    'a number': { 'x5t#S256': 7 },
    'in the member of SHA-1': { x5t: certificates.thumbprint('alice') },
    'beside a key': { 'x5t#S256': certificates.thumbprint('alice'), 'jkt': 'x'.repeat(43) },
    'beside something that nobody knows': { 'x5t#S256': certificates.thumbprint('alice'), 'x': 'y' },
    'nothing': {},
  })) {
    it(`is refused when its thumbprint is ${what}`, async () => {
      const path = `/thumbprint-${what.replaceAll(' ', '-')}`;
      assert.match(await refused('alice', made(cnf), path), /^mcp_oauth_token_(sender_constrained|certificate)$/);
    });
  }
  it('is refused where the setting is not', async () => {
    const answer = await as('alice', await bound('alice', url('welcome', '/without')), { to: url('welcome', '/without') });
    assert.equal(answer.status, 401);
    assert.equal(await reasonFor(stack, '/without'), 'mcp_oauth_token_sender_constrained');
  });
});

it('a token that is bound to a certificate and to a key opens the server with both', async () => {
  const to = url('welcome', '/both');
  const keys = await dpop.generateKeyPair('ES256');
  const token = made({ 'x5t#S256': certificates.thumbprint('alice'), 'jkt': await dpop.calculateThumbprint(keys.publicKey) }, to);
  const prove = async () => ({ authorization: `DPoP ${token}`, dpop: await dpop.generateProof(keys, to, 'POST', undefined, token) });
  for (const [client, headers, status] of [
    ['alice', await prove(), 200],
    ['bob', await prove(), 401],
    [undefined, await prove(), 401],
    ['alice', { authorization: `DPoP ${token}` }, 401],
    ['alice', { authorization: `Bearer ${token}` }, 401],
    ['alice', await prove(), 200],
  ]) {
    const answer = await send(to, { tls: certificates.of(client), headers });
    assert.equal(answer.status, status, `${client}: ${answer.body}`);
  }
});

describe('a token that is bound to nothing', () => {
  for (const client of ['alice', undefined]) {
    it(`is served as ever, ${client ? 'with' : 'without'} a certificate`, async () => {
      assert.equal((await as(client, await machineToken(stack.issuer, url('welcome')))).status, 200);
    });
  }
});

describe('listeners', () => {
  it('that trust no stranger end the handshake', async () => {
    const token = made({ 'x5t#S256': certificates.thumbprint('eve') });
    await assert.rejects(as('eve', token), /alert|ECONNRESET|hang up|EPIPE/);
  });
  it('that require a certificate get one', async () => {
    const to = url('required');
    await assert.rejects(as(undefined, made(undefined, to), { to }), /alert|ECONNRESET|hang up|EPIPE/);
    assert.equal((await as('bob', await bound('bob', to), { to })).status, 200);
    assert.equal((await as('bob', await bound('alice', to), { to })).status, 401);
  });
  it('that trust anyone bind by thumbprint alone', async () => {
    const to = url('any');
    assert.equal((await as('eve', await bound('eve', to), { to })).status, 200);
    assert.equal((await as('eve', await bound('alice', to), { to })).status, 401);
  });
});

it('clients learn of it from the metadata', async () => {
  const metadata = async (path) => (await send(`${origins.welcome}/.well-known/oauth-protected-resource${path}`, { method: 'GET', tls: certificates.of() })).json;
  assert.equal((await metadata('/mcp')).tls_client_certificate_bound_access_tokens, true);
  assert.ok(!(await metadata('/without')).tls_client_certificate_bound_access_tokens);
});

itStillServes(stack);
