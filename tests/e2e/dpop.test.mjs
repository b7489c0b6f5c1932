// Promise: a token that is bound to a key (RFC 9449) opens the server only to who proves, freshly and for this very
// request, that it has the key.
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { describe, it } from 'node:test';
import { dpop, jose } from '../../testbed/packages.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { dpopToken, forge, machineToken } from '../../testbed/tokens.mjs';
import { ALL, athOf, dpopChallenge, newHolder, now, withProof } from './support/dpop.mjs';
import { send } from './support/http.mjs';
import { introduce, request } from './support/mcp.mjs';
import { assertRefusal } from './support/replies.mjs';
import { HOLDS, withRules } from './support/rules.mjs';
import { startReplica } from './support/sessions.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';
import { GATEWAY, setVariables } from './support/variables.mjs';

const ports = await choosePorts();
const origin = `http://127.0.0.1:${ports.listen}`;
const SETTINGS = {
  '/required': { required: true },
  '/narrow': { algorithms: ['ES256'] },
  '/brief': { max_age: '10s', clock_skew: '5s' },
  '/without': undefined,
};
const stack = await useStack({
  ports,
  workers: 1, // each remembers the proofs that it saw itself
  resources: [...Object.keys(SETTINGS), '/opaque=opaque'],
  logLevel: 'debug',
  edit: (bootstrap, { authorization_servers: [server], resources }) => {
    setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
    server.introspection = {
      endpoint: `${server.issuer}/token/introspection`,
      client_id: GATEWAY.client_id,
      client_secret_variable: 'INTROSPECTION_SECRET',
    };
    resources[0].dpop = {};
    resources.push({ resource: `${origin}/opaque`, scopes: { required: ['mcp:read'] }, dpop: {} });
    for (const [path, settings] of Object.entries(SETTINGS))
      resources.push({ resource: origin + path, scopes: { required: ['mcp:read'] }, dpop: settings });
  },
});
// The first resource behind Envoys that read bodies.
const RULES = { dpop: {}, rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }, {}] };
const reading = await Promise.all(HOLDS.map((hold) => startReplica(stack, withRules(hold, RULES), { workers: 1 })));
const [issuerKey] = keysOf(stack);
const received = () => stack.mcpServer.requests();

const holder = (url, alg, more) => newHolder(stack, url, { alg, more });
const challenge = (error, which) => dpopChallenge(origin, error, which);

async function refused(url, request) {
  const before = received().length;
  const answer = await send(url, request);
  assert.equal(received().length, before, 'the MCP server got the request');
  return answer;
}

describe('a bound token with its proof opens the server', () => {
  it('made by the `dpop` package, with a token that the authorization server bound', async () => {
    const keys = await dpop.generateKeyPair('ES256');
    const token = await dpopToken(stack.issuer, stack.url, keys);
    const proof = await dpop.generateProof(keys, stack.url, 'POST', undefined, token);
    const answer = await send(stack.url, withProof(token, proof));
    assert.equal(answer.status, 200, answer.body);
    const last = received().at(-1);
    assert.deepEqual(last.headers.filter(([name]) => /^(authorization|dpop)$/i.test(name)), []);
    assert.ok(!JSON.stringify(last).includes(token.split('.')[2]) && !JSON.stringify(last).includes(proof.split('.')[2]));
    assert.equal(last.headers.find(([name]) => name === 'x-mcp-client-id')[1], 'machine');
  });
  for (const alg of ['ES256', 'ES384', 'EdDSA', 'RS256', 'PS256']) {
    it(`made by jose with ${alg}`, async () => {
      const { token, prove } = await holder(stack.url, alg);
      const answer = await send(stack.url, withProof(token, await prove()));
      assert.equal(answer.status, 200, answer.body);
    });
  }
  for (const [what, path, changes, scheme] of [
    ['for a path below the resource', '/deeper', { htu: `${origin}/mcp/deeper` }],
    ['for a path below, though the proof names the resource', '/deeper', { htu: `${origin}/mcp` }],
    ['with a query that the proof leaves out', '?x=1', {}],
    ['from a client whose clock is slow', '', { iat: now() - 280 }],
    ['from a client whose clock is fast', '', { iat: now() + 20 }],
    ['with a nonce that nobody asked for', '', { nonce: 'anything' }],
    ['with a member that nobody knows', '', { x: 1 }],
    ['with the scheme in another case', '', {}, 'dpop'],
  ]) {
    it(what, async () => {
      const { token, prove } = await holder();
      const answer = await send(stack.url + path, withProof(token, await prove({ claims: changes }), scheme));
      assert.equal(answer.status, 200, answer.body);
    });
  }
  it('many times, with a new proof each time', async () => {
    const { token, prove } = await holder();
    for (let i = 0; i < 5; i++) assert.equal((await send(stack.url, withProof(token, await prove()))).status, 200);
  });
  it('with another method, which the proof names', async () => {
    const { token, prove } = await holder();
    const right = await prove({ claims: { htm: 'DELETE' } });
    assert.notEqual((await send(stack.url, { method: 'DELETE', ...withProof(token, right) })).status, 401);
    assert.equal((await refused(stack.url, { method: 'DELETE', ...withProof(token, await prove()) })).status, 401);
  });
});

describe('a proof that is none: 401 invalid_dpop_proof', () => {
  const tampered = (proof, at) => {
    const parts = proof.split('.');
    parts[at] = Buffer.from(JSON.stringify({ ...JSON.parse(Buffer.from(parts[at], 'base64url')), jti: 'x' })).toString('base64url');
    return parts.join('.');
  };
  const claims = (changes) => ({ prove }) => prove({ claims: changes });
  const header = (changes) => ({ prove }) => prove({ header: changes });
  const signedAs = (protectedHeader) => ({ good }) => {
    const input = [protectedHeader, good()].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${input}.`;
  };
  const cases = {
    'missing': () => undefined,
    'empty': () => '',
    'no-jwt': () => 'proof',
    'two-lines': async ({ prove }) => [await prove(), await prove()],
    'two-in-a-line': async ({ prove }) => `${await prove()}, ${await prove()}`,
    'the-token': ({ token }) => token,
    'typ-jwt': header({ typ: 'JWT' }),
    'typ-of-a-token': header({ typ: 'at+jwt' }),
    'no-typ': header({ typ: undefined }),
    'alg-none': ({ jwk, ...rest }) => signedAs({ typ: 'dpop+jwt', alg: 'none', jwk })(rest),
    'alg-hs256': async ({ good }) =>
      new jose.SignJWT(good())
        .setProtectedHeader({ typ: 'dpop+jwt', alg: 'HS256', jwk: { kty: 'oct', k: Buffer.alloc(32).toString('base64url') } })
        .sign(Buffer.alloc(32)),
    'no-jwk': header({ jwk: undefined }),
    'a-private-jwk': async ({ prove, privateKey }) => prove({ header: { jwk: await jose.exportJWK(privateKey) } }),
    'crit': async ({ prove, good, jwk, privateKey }) =>
      new jose.SignJWT(good()).setProtectedHeader({ typ: 'dpop+jwt', alg: 'ES256', jwk, crit: ['x'], x: 1 }).sign(privateKey, { crit: { x: true } }),
    'signed-by-another-key': async ({ prove }) => prove({ key: (await jose.generateKeyPair('ES256')).privateKey }),
    'changed-claims': async ({ prove }) => tampered(await prove(), 1),
    'cut': async ({ prove }) => (await prove()).slice(0, -6),
    'htm-get': claims({ htm: 'GET' }),
    'htm-in-lower-case': claims({ htm: 'post' }),
    'no-htm': claims({ htm: undefined }),
    'htu-of-another-host': claims({ htu: 'http://evil.example/mcp' }),
    'htu-of-another-port': claims({ htu: `http://127.0.0.1:1/mcp` }),
    'htu-of-another-path': claims({ htu: `${origin}/narrow` }),
    'htu-with-another-scheme': claims({ htu: `https://127.0.0.1:${ports.listen}/mcp` }),
    'htu-without-a-host': claims({ htu: '/mcp' }),
    'htu-with-user': claims({ htu: `http://evil@127.0.0.1:${ports.listen}/mcp` }),
    'no-htu': claims({ htu: undefined }),
    'htu-an-array': claims({ htu: [`${origin}/mcp`] }),
    'old': ({ prove }) => prove({ claims: { iat: now() - 310 } }),
    'from-the-future': ({ prove }) => prove({ claims: { iat: now() + 40 } }),
    'no-iat': claims({ iat: undefined }),
    'iat-in-text': ({ prove }) => prove({ claims: { iat: String(now()) } }),
    'no-jti': claims({ jti: undefined }),
    'an-empty-jti': claims({ jti: '' }),
    'a-number-as-jti': claims({ jti: 7 }),
    'no-ath': claims({ ath: undefined }),
    'ath-of-another-token': claims({ ath: athOf('another') }),
    'ath-in-base64': ({ prove, token }) => prove({ claims: { ath: createHash('sha256').update(token).digest('base64') } }),
    'very-long': claims({ x: 'x'.repeat(20_000) }),
  };
  const REASONS = [
    [/^missing$/, 'missing'],
    [/^(signed-by-another-key|changed-claims|cut)$/, 'signature'],
    [/^(old|from-the-future)$/, 'time'],
    [/^(htm-.*|htu-(?!an-array).*|ath-.*)$/, 'use'],
    [/./, 'malformed'],
  ];
  for (const [name, make] of Object.entries(cases)) {
    it(name, async () => {
      const holding = await holder();
      const answer = await refused(`${stack.url}/wrong/${name}`, withProof(holding.token, await make(holding)));
      assertRefusal(answer, { status: 401, error: 'invalid_dpop_proof', challenge: challenge('invalid_dpop_proof') });
      assert.equal(await reasonFor(stack, `/mcp/wrong/${name}`), `mcp_oauth_dpop_${REASONS.find(([names]) => names.test(name))[1]}`);
    });
  }
  it('a second time', async () => {
    const { token, prove } = await holder();
    const proof = await prove();
    assert.equal((await send(stack.url, withProof(token, proof))).status, 200);
    for (let again = 0; again < 2; again++) {
      const answer = await refused(`${stack.url}/replay`, withProof(token, proof));
      assertRefusal(answer, { status: 401, error: 'invalid_dpop_proof', challenge: challenge('invalid_dpop_proof') });
    }
    assert.equal(await reasonFor(stack, '/mcp/replay'), 'mcp_oauth_dpop_replay');
  });
  it('many times at once: one passes', async () => {
    const { token, prove } = await holder();
    const proof = await prove();
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(stack.url, withProof(token, proof))));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
  });
  it('the same jti from another key is another proof', async () => {
    const [one, other] = [await holder(), await holder()];
    const claims = { jti: randomUUID() };
    for (const { token, prove } of [one, other]) assert.equal((await send(stack.url, withProof(token, await prove({ claims })))).status, 200);
  });
});

describe('tokens and schemes', () => {
  const cases = {
    'a-bound-token-as-bearer': async () => {
      const { token, prove } = await holder();
      return [withProof(token, await prove(), 'Bearer'), 'mcp_oauth_token_sender_constrained'];
    },
    'a-bound-token-as-bearer-without-proof': async () => [{ token: (await holder()).token }, 'mcp_oauth_token_sender_constrained'],
  };
  for (const [name, make] of Object.entries(cases)) {
    it(`${name} is refused`, async () => {
      const [request, reason] = await make();
      const answer = await refused(`${stack.url}/${name}`, request);
      assert.equal(answer.status, 401);
      assert.match(answer.header('www-authenticate'), /error="invalid_token"/);
      assert.equal(await reasonFor(stack, `/mcp/${name}`), reason);
    });
  }
  it('someone else’s token is refused, whatever key proves', async () => {
    const [alice, mallory] = [await holder(), await holder()];
    const proof = await mallory.prove({ claims: { ath: athOf(alice.token) } });
    const answer = await refused(`${stack.url}/stolen`, withProof(alice.token, proof));
    assert.equal(answer.status, 401);
    assert.match(answer.header('www-authenticate'), /^DPoP error="invalid_(token|dpop_proof)"/);
    assert.equal(await reasonFor(stack, '/mcp/stolen'), 'mcp_oauth_dpop_key');
  });
  it('a token that is bound to no key is refused with the scheme DPoP, and served as Bearer', async () => {
    const { prove } = await holder();
    const token = await machineToken(stack.issuer, stack.url);
    const answer = await refused(`${stack.url}/unbound`, withProof(token, await prove({ claims: { ath: athOf(token) } })));
    assertRefusal(answer, { status: 401, error: 'invalid_token', challenge: challenge('invalid_token') });
    assert.equal(await reasonFor(stack, '/mcp/unbound'), 'mcp_oauth_token_not_bound');
    assert.equal((await send(stack.url, { token })).status, 200);
  });
  it('an expired token is refused as such, whatever is proved', async () => {
    const { token, prove } = await holder();
    const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url'));
    const old = forge(issuerKey, { alg: issuerKey.alg, kid: issuerKey.kid, typ: 'at+jwt' }, { ...claims, exp: 1 });
    const answer = await refused(`${stack.url}/expired`, withProof(old, await prove({ claims: { ath: athOf(old) } })));
    assertRefusal(answer, { status: 401, error: 'invalid_token', challenge: challenge('invalid_token') });
    assert.equal(await reasonFor(stack, '/mcp/expired'), 'mcp_oauth_token_expired');
  });
  it('a token without the scopes is told them in its own scheme', async () => {
    const { token, prove } = await holder(stack.url, 'ES256', { scope: 'mcp:write' });
    const answer = await refused(`${stack.url}/scopes`, withProof(token, await prove()));
    const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource/mcp"`;
    assertRefusal(answer, {
      status: 403,
      error: 'insufficient_scope',
      challenge: (told) => `DPoP error="insufficient_scope", scope="mcp:read", ${metadata}, error_description="${told}", algs="${ALL}"`,
    });
    assert.equal(await reasonFor(stack, '/mcp/scopes'), 'mcp_oauth_insufficient_scope');
  });
  it('a resource without the setting refuses bound tokens', async () => {
    const url = `${origin}/without`;
    const { token, prove } = await holder(url);
    const answer = await refused(url, withProof(token, await prove()));
    assert.equal(answer.status, 401);
    assert.doesNotMatch(answer.header('www-authenticate'), /DPoP|algs/);
  });
  it('a resource that requires it refuses others', async () => {
    const url = `${origin}/required`;
    const answer = await refused(`${url}/bearer`, { token: await machineToken(stack.issuer, url) });
    assert.equal(answer.status, 401);
    assert.match(answer.header('www-authenticate'), /^DPoP /);
    assert.equal(await reasonFor(stack, '/required/bearer'), 'mcp_oauth_token_not_bound');
    const { token, prove } = await holder(url);
    assert.equal((await send(url, withProof(token, await prove()))).status, 200);
  });
  it('a resource takes the algorithms that it says', async () => {
    const url = `${origin}/narrow`;
    const [es256, eddsa] = [await holder(url), await holder(url, 'EdDSA')];
    assert.equal((await send(url, withProof(es256.token, await es256.prove()))).status, 200);
    const answer = await refused(url, withProof(eddsa.token, await eddsa.prove()));
    assertRefusal(answer, { status: 401, error: 'invalid_dpop_proof', challenge: challenge('invalid_dpop_proof', { path: '/narrow', algs: 'ES256' }) });
  });
  it('a resource takes proofs as old as it says', async () => {
    const url = `${origin}/brief`;
    const { token, prove } = await holder(url);
    for (const [offset, status] of [[-8, 200], [-13, 401], [3, 200], [8, 401]])
      assert.equal((await send(url, withProof(token, await prove({ claims: { iat: now() + offset } })))).status, status, `${offset} s`);
  });
});

describe('an opaque token that is bound', () => {
  const url = `${origin}/opaque`;
  const asked = () => stack.authorizationServer.forms('introspection').length;
  async function opaque() {
    const keys = await dpop.generateKeyPair('ES256');
    const token = await dpopToken(stack.issuer, url, keys);
    assert.ok(!token.includes('.'));
    return { token, prove: () => dpop.generateProof(keys, url, 'POST', undefined, token), keys };
  }
  it('opens the server with proofs, and is asked about once', async () => {
    const { token, prove } = await opaque();
    const before = asked();
    const proofs = await Promise.all(Array.from({ length: 20 }, prove));
    const answers = await Promise.all(proofs.map((proof) => send(url, withProof(token, proof))));
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(asked(), before + 1);
  });
  it('with one proof many times at once, before anyone knows the token: one passes', async () => {
    const { token, prove } = await opaque();
    const proof = await prove();
    const before = received().length;
    const answers = await Promise.all(Array.from({ length: 20 }, () => send(url, withProof(token, proof))));
    assert.deepEqual(answers.map(({ status }) => status).sort(), [200, ...Array(19).fill(401)]);
    assert.equal(received().length, before + 1);
  });
  it('is refused as Bearer, and with the proof of another key', async () => {
    const [alice, mallory] = [await opaque(), await opaque()];
    const proof = await dpop.generateProof(mallory.keys, url, 'POST', undefined, alice.token);
    for (const time of ['first', 'remembered']) {
      assert.equal((await refused(`${url}/bearer-${time}`, { token: alice.token })).status, 401);
      assert.equal(await reasonFor(stack, `/opaque/bearer-${time}`), 'mcp_oauth_token_sender_constrained');
      assert.equal((await refused(`${url}/stolen-${time}`, withProof(alice.token, proof))).status, 401);
      assert.equal(await reasonFor(stack, `/opaque/stolen-${time}`), 'mcp_oauth_dpop_key');
    }
    assert.equal((await send(url, withProof(alice.token, await alice.prove()))).status, 200);
  });
});

describe('where bodies are read', () => {
  for (const [i, hold] of HOLDS.entries()) {
    it(`a proof counts once, and the rules count: ${hold}`, async () => {
      const { token, prove } = await holder();
      const client = await introduce(stack.url, '2026-07-28');
      const call = async (name, args, proof) => {
        const { headers, body } = request(client, 'tools/call', { name, arguments: args });
        return send(reading[i].url, { headers: { ...headers, host: reading[i].host, ...withProof(token, proof).headers }, body });
      };
      const runs = stack.mcpServer.runs().length;
      const proof = await prove();
      assert.equal((await call('echo', { message: hold }, proof)).status, 200);
      assert.equal((await call('echo', { message: hold }, proof)).status, 401);
      const denied = await call('slow', { steps: 0, ms: 0 }, await prove());
      assert.equal(denied.status, 403);
      assert.match(denied.header('www-authenticate'), /^DPoP error="insufficient_scope", scope="mcp:admin mcp:read"/);
      assert.deepEqual(stack.mcpServer.runs().slice(runs), [{ ran: 'echo', arguments: { message: hold } }]);
    });
  }
});

it('neither a token nor a proof is in the log', () => {
  assert.doesNotMatch(stack.envoy.output, /eyJ[\w-]{8}/);
});
itStillServes(stack);
