// Promise: a token is accepted only if every part of it is right. All of these are signed with the real authorization
// server's own key, and differ from an accepted one in one thing.
import assert from 'node:assert/strict';
import { createPublicKey, generateKeyPairSync } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { forge, forgeHmac, forgeUnsigned, goodClaims, logIn, machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { assertRefusal, challenges } from './support/replies.mjs';
import { itStillServes, itUnderstoodEnvoysVerdicts, keysFile, keysOf, reasonFor, useStack } from './support/stack.mjs';

// A second authorization server, of another resource. Its key has the `kid` of the first one's.
const OTHER_ISSUER = 'https://other.example';
const otherKey = generateKeyPairSync('ec', { namedCurve: 'P-256' });
const stack = await useStack({
  logLevel: 'debug', // the filter tells every refusal, and still no token
  edit: (_bootstrap, { authorization_servers, resources }, directory) => {
    const [{ kid, alg }] = JSON.parse(readFileSync(keysFile(directory), 'utf8')).keys;
    const [resource] = resources;
    resource.authorization_servers = [authorization_servers[0].issuer];
    authorization_servers.push({
      issuer: OTHER_ISSUER,
      jwks: { keys: [{ ...otherKey.publicKey.export({ format: 'jwk' }), kid, alg }] },
    });
    resources.push({ resource: `${new URL(resource.resource).origin}/theirs`, authorization_servers: [OTHER_ISSUER] });
  },
});

const [es256, rs256] = keysOf(stack);
const stranger = {
  ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
  alg: 'ES256',
  kid: es256.kid,
};
const theirs = { ...otherKey.privateKey.export({ format: 'jwk' }), alg: 'ES256', kid: es256.kid };
const now = () => Math.floor(Date.now() / 1000);
const goodHeader = { alg: 'ES256', kid: es256.kid, typ: 'at+jwt' };
const good = () => goodClaims(stack.issuer, stack.url);
const withClaims = (changes) => forge(es256, goodHeader, { ...good(), ...changes });
const withHeader = (changes, key = es256) => forge(key, { ...goodHeader, ...changes }, good());
const publicKey = (key) => createPublicKey({ key, format: 'jwk' });
const text = (object, extra) => JSON.stringify(object).replace('{', `{${extra},`);
const parts = (token) => token.split('.');
const resigned = (change) => () => {
  const [header, claims, signature] = parts(withClaims({}));
  return [header, claims, change(signature)].join('.');
};

describe('accepted', () => {
  const cases = {
    'the unchanged sibling': () => withClaims({}),
    'another key of the same server': () => withHeader({ alg: 'RS256', kid: rs256.kid }, rs256),
    'a real token': () => machineToken(stack.issuer, stack.url),
    'an audience among others': () => withClaims({ aud: ['https://x.example', stack.url] }),
    'expired within the skew': () => withClaims({ exp: now() - 10 }),
    'valid soon, within the skew': () => withClaims({ nbf: now() + 10 }),
    'no kid, and one key that fits': () => withHeader({ kid: undefined }),
    'no typ': () => withHeader({ typ: undefined }),
    'typ JWT': () => withHeader({ typ: 'JWT' }),
    'typ application/at+jwt': () => withHeader({ typ: 'application/at+jwt' }),
    'scopes in more than one word': () => withClaims({ scope: 'other mcp:read' }),
  };
  for (const [what, make] of Object.entries(cases)) {
    it(what, async () => {
      const answer = await send(stack.url, { token: await make() });
      assert.equal(answer.status, 200, answer.body);
    });
  }
});

const MALFORMED = ['the access token is malformed', 'mcp_oauth_token_malformed'];
const CLAIM = ['the access token is malformed', 'mcp_oauth_token_claim'];
const TYPE = ['the token is not an access token', 'mcp_oauth_token_type'];
const ISSUER = ['the access token was issued by another authorization server', 'mcp_oauth_token_issuer'];
const AUDIENCE = ['the access token was issued for another resource', 'mcp_oauth_token_audience'];
const EXPIRED = ['the access token expired', 'mcp_oauth_token_expired'];
const NOT_YET = ['the access token is not valid yet', 'mcp_oauth_token_not_yet_valid'];
const BOUND = [
  'the access token is sender-constrained and no proof was verified',
  'mcp_oauth_token_sender_constrained',
];
const SIGNATURE = ['the signature of the access token is not valid', 'mcp_oauth_token_signature'];
const KEY = ['the signature of the access token is not valid', 'mcp_oauth_token_key'];

const REFUSED = {
  'audience': {
    'of another resource': [AUDIENCE, () => withClaims({ aud: 'https://x.example/mcp' })],
    'none': [CLAIM, () => withClaims({ aud: undefined })],
    'an empty list': [AUDIENCE, () => withClaims({ aud: [] })],
    'no text': [CLAIM, () => withClaims({ aud: 7 })],
    'of a resource above': [AUDIENCE, () => withClaims({ aud: stack.origin })],
    'of a resource below': [AUDIENCE, () => withClaims({ aud: `${stack.url}/deeper` })],
    'with a slash at the end': [AUDIENCE, () => withClaims({ aud: `${stack.url}/` })],
    'in capitals': [AUDIENCE, () => withClaims({ aud: stack.url.toUpperCase() })],
  },
  'issuer': {
    'another one': [ISSUER, () => withClaims({ iss: 'https://x.example' })],
    'with a slash at the end': [ISSUER, () => withClaims({ iss: `${stack.issuer}/` })],
    'none': [CLAIM, () => withClaims({ iss: undefined })],
    'one of another resource, with its own key': [
      ISSUER,
      () => forge(theirs, goodHeader, { ...good(), iss: OTHER_ISSUER }),
    ],
    'the right one, with the key of another issuer': [SIGNATURE, () => forge(theirs, goodHeader, good())],
  },
  'times': {
    'expired': [EXPIRED, () => withClaims({ exp: now() - 60 })],
    'no exp': [CLAIM, () => withClaims({ exp: undefined })],
    'exp as text': [CLAIM, () => withClaims({ exp: String(now() + 300) })],
    'exp beyond all dates': [CLAIM, () => forge(es256, goodHeader, text({ ...good(), exp: undefined }, '"exp":1e300'))],
    'exp below zero': [CLAIM, () => withClaims({ exp: -1 })],
    'nbf in the future': [NOT_YET, () => withClaims({ nbf: now() + 120 })],
    'iat in the future': [NOT_YET, () => withClaims({ iat: now() + 120 })],
    'nbf as text': [CLAIM, () => withClaims({ nbf: 'now' })],
  },
  'algorithm': {
    'none': [MALFORMED, () => forgeUnsigned({ alg: 'none' }, good())],
    'none, with the kid': [MALFORMED, () => forgeUnsigned({ ...goodHeader, alg: 'none' }, good())],
    'nOnE': [MALFORMED, () => forgeUnsigned({ ...goodHeader, alg: 'nOnE' }, good())],
    'HS256 with the public key (PEM) as the secret': [
      MALFORMED,
      () =>
        forgeHmac(
          publicKey(rs256).export({ type: 'spki', format: 'pem' }),
          { ...goodHeader, alg: 'HS256', kid: rs256.kid },
          good(),
        ),
    ],
    'HS256 with the public key (DER) as the secret': [
      MALFORMED,
      () =>
        forgeHmac(
          publicKey(rs256).export({ type: 'spki', format: 'der' }),
          { ...goodHeader, alg: 'HS256', kid: rs256.kid },
          good(),
        ),
    ],
    'HS256 with the modulus as the secret': [
      MALFORMED,
      () => forgeHmac(Buffer.from(rs256.n, 'base64url'), { ...goodHeader, alg: 'HS256', kid: rs256.kid }, good()),
    ],
    'absent': [MALFORMED, () => withHeader({ alg: undefined })],
    'another one than the key is for': [KEY, () => withHeader({ kid: rs256.kid })],
    'PS256 with a key that is for RS256': [
      KEY,
      () => withHeader({ alg: 'PS256', kid: rs256.kid }, { ...rs256, alg: 'PS256' }),
    ],
  },
  'kind of token': {
    ...Object.fromEntries(
      ['dpop+jwt', 'logout+jwt', 'oauth-id-jag+jwt', 'secevent+jwt', 'token-introspection+jwt', 'jwt-with-more'].map(
        (typ) => [`typ ${typ}`, [TYPE, () => withHeader({ typ })]],
      ),
    ),
    'a real ID token': [
      AUDIENCE,
      async () => (await logIn(stack.issuer, { resource: stack.url, scope: 'openid mcp:read' })).id_token,
    ],
    'an ID token for this audience': [
      TYPE,
      () => forge(es256, { ...goodHeader, typ: 'JWT' }, { ...good(), nonce: 'n', scope: undefined }),
    ],
    'bound to a key with cnf': [BOUND, () => withClaims({ cnf: { jkt: 'x' } })],
    'with an empty cnf': [BOUND, () => withClaims({ cnf: {} })],
  },
  'header': {
    'crit': [MALFORMED, () => withHeader({ crit: ['exp'] })],
    'an empty crit': [MALFORMED, () => withHeader({ crit: [] })],
    'b64 false': [MALFORMED, () => withHeader({ b64: false, crit: ['b64'] })],
    'an unknown kid': [KEY, () => withHeader({ kid: 'unknown' })],
    'a kid that is a path': [KEY, () => withHeader({ kid: '../../etc/passwd' })],
    "the signer's own key in jwk": [
      SIGNATURE,
      () => withHeader({ jwk: publicKey(stranger).export({ format: 'jwk' }) }, stranger),
    ],
    'two alg members': [MALFORMED, () => forge(es256, text(goodHeader, '"alg":"none"'), good())],
    'no object': [MALFORMED, () => forge(es256, '[]', good())],
  },
  'claims': {
    'two aud members, the right one last': [
      MALFORMED,
      () => forge(es256, goodHeader, text(good(), '"aud":"https://x.example"')),
    ],
    'two scope members': [MALFORMED, () => forge(es256, goodHeader, text(good(), '"scope":"mcp:admin"'))],
    'two members, one of them escaped': [
      MALFORMED,
      () => forge(es256, goodHeader, text(good(), '"\\u0061ud":"https://x.example"')),
    ],
    'two members deep inside': [MALFORMED, () => forge(es256, goodHeader, text(good(), '"act":{"sub":"a","sub":"b"}'))],
    'text behind the object': [MALFORMED, () => forge(es256, goodHeader, `${JSON.stringify(good())} {}`)],
    'no JSON': [MALFORMED, () => forge(es256, goodHeader, 'hello')],
    'nested too deeply': [
      MALFORMED,
      () => forge(es256, goodHeader, text(good(), `"x":${'['.repeat(500)}${']'.repeat(500)}`)),
    ],
  },
  'signature': {
    'of a stranger': [SIGNATURE, () => withHeader({}, stranger)],
    'over other claims': [
      SIGNATURE,
      () => {
        const [header, , signature] = parts(withClaims({}));
        return [header, parts(withClaims({ scope: 'mcp:read mcp:admin' }))[1], signature].join('.');
      },
    ],
    'all zeros': [SIGNATURE, resigned(() => Buffer.alloc(64).toString('base64url'))],
    'empty': [SIGNATURE, resigned(() => '')],
    'cut short': [
      SIGNATURE,
      resigned((signature) => Buffer.from(signature, 'base64url').subarray(0, 63).toString('base64url')),
    ],
    'with padding': [MALFORMED, resigned((signature) => `${signature}==`)],
    'with bits to spare in the last character': [
      MALFORMED,
      resigned((signature) => signature.slice(0, -1) + String.fromCharCode(signature.charCodeAt(85) + 1)),
    ],
  },
  'form': {
    'two parts': [MALFORMED, () => parts(withClaims({})).slice(0, 2).join('.')],
    'four parts': [MALFORMED, () => `${withClaims({})}.e30`],
    'five parts, as if encrypted': [MALFORMED, () => `${withClaims({})}.e30.e30`],
    'only dots': [MALFORMED, () => '..'],
  },
};

for (const [group, cases] of Object.entries(REFUSED)) {
  describe(`refused for its ${group}`, () => {
    for (const [what, [[description, reason], make]] of Object.entries(cases)) {
      it(what, async () => {
        const path = `/mcp/${`${group}-${what}`.replace(/[^a-z0-9]+/gi, '-')}`;
        const before = stack.mcpServer.requests().length;
        const answer = await send(stack.origin + path, { token: await make() });
        assertRefusal(answer, {
          status: 401,
          error: 'invalid_token',
          description,
          challenge: challenges(stack.origin).invalidToken,
        });
        assert.equal(stack.mcpServer.requests().length, before, 'the MCP server got the request');
        assert.equal(await reasonFor(stack, path), reason);
      });
    }
  });
}

it("the other issuer's token opens the other resource, and only that", async () => {
  const claims = { ...good(), iss: OTHER_ISSUER, aud: `${stack.origin}/theirs` };
  assert.equal((await send(`${stack.origin}/theirs`, { token: forge(theirs, goodHeader, claims) })).status, 200);
  assert.equal(
    (await send(`${stack.origin}/theirs`, { token: forge(es256, goodHeader, claims) })).status,
    401,
    'signed by the first server',
  );
});

itUnderstoodEnvoysVerdicts(stack);
itStillServes(stack);
