// Keys and tokens of a made-up issuer: what an authorization server would sign, without the waiting.
import { constants, createHash, generateKeyPairSync, sign } from 'node:crypto';
import { ISSUER } from './configuration.mjs';

const SIGNERS = {
  RS256: { make: () => generateKeyPairSync('rsa', { modulusLength: 2048 }), sign: (key, text) => sign('sha256', text, { key, padding: constants.RSA_PKCS1_PADDING }) },
  ES256: { make: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }), sign: (key, text) => sign('sha256', text, { key, dsaEncoding: 'ieee-p1363' }) },
  EdDSA: { make: () => generateKeyPairSync('ed25519'), sign: (key, text) => sign(null, text, key) },
};

export function makeKeys() {
  const keys = Object.fromEntries(Object.entries(SIGNERS).map(([alg, { make }]) => [alg, make()]));
  const jwk = ([alg, { publicKey }]) => ({ ...publicKey.export({ format: 'jwk' }), alg, kid: alg, use: 'sig' });
  return { jwks: { keys: Object.entries(keys).map(jwk) }, keys };
}

const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
const seconds = () => Math.floor(Date.now() / 1000);

function jwt(alg, { privateKey }, header, claims) {
  const input = `${base64url({ alg, ...header })}.${base64url(claims)}`;
  return `${input}.${SIGNERS[alg].sign(privateKey, Buffer.from(input)).toString('base64url')}`;
}

/** What an authorization server says of a subject at `resource`. */
const claimsOf = (subject, resource) => ({
  iss: ISSUER, aud: resource, sub: subject, client_id: 'client-1', scope: 'mcp:read mcp:write', iat: seconds(), exp: seconds() + 7200, jti: `id-${subject}`,
});

/** What it answers when it is asked about an opaque token. */
export const introspected = (resource) => JSON.stringify({ active: true, token_type: 'Bearer', ...claimsOf('user-0', resource) });

/**
 * Tokens that are bound to keys of their holders, and a function that gives so many requests' headers, each with a proof
 * of its own (RFC 9449). What is asked for is a GET of `resource`.
 */
export function makeHolders(keys, resource, count) {
  const holders = Array.from({ length: count }, (_, i) => {
    const key = SIGNERS.ES256.make();
    const { kty, crv, x, y } = key.publicKey.export({ format: 'jwk' });
    const jkt = createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
    const token = jwt('RS256', keys.RS256, { typ: 'at+jwt', kid: 'RS256' }, { ...claimsOf(`user-${i}`, resource), cnf: { jkt } });
    const ath = createHash('sha256').update(token).digest('base64url');
    return { key, jwk: { kty, crv, x, y }, token, ath };
  });
  let made = 0;
  return (requests) => Array.from({ length: requests }, () => {
    const { key, jwk, token, ath } = holders[made % count];
    const claims = { jti: `proof-${made++}`, htm: 'GET', htu: resource, iat: seconds(), ath };
    return { authorization: `DPoP ${token}`, dpop: jwt('ES256', key, { typ: 'dpop+jwt', jwk }, claims) };
  });
}

/** A few hundred different tokens per algorithm, `many` of RS256, and one with claims for headers. */
export function makeTokens(keys, resource, many) {
  const token = (alg, subject, more) => jwt(alg, keys[alg], { typ: 'at+jwt', kid: alg }, { ...claimsOf(subject, resource), ...more });
  const telling = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [`claim_${i}`, `value of claim ${i}`]));
  const different = (alg, count) => Array.from({ length: count }, (_, i) => token(alg, `user-${i}`));
  return {
    ...Object.fromEntries(Object.keys(SIGNERS).map((alg) => [alg, different(alg, 512)])),
    many: different('RS256', many), telling: [token('RS256', 'user-0', telling)],
  };
}
