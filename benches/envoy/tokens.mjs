// Keys and tokens of a made-up issuer: what an authorization server would sign, without the waiting.
import { constants, generateKeyPairSync, sign } from 'node:crypto';
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

/** A few hundred different tokens per algorithm, and `many` of RS256. */
export function makeTokens(keys, resource, many) {
  const now = Math.floor(Date.now() / 1000);
  const base64url = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const token = (alg, subject) => {
    const claims = {
      iss: ISSUER, aud: resource, sub: subject, client_id: 'client-1', scope: 'mcp:read mcp:write', iat: now, exp: now + 7200, jti: `id-${subject}`,
    };
    const input = `${base64url({ typ: 'at+jwt', alg, kid: alg })}.${base64url(claims)}`;
    return `${input}.${SIGNERS[alg].sign(keys[alg].privateKey, Buffer.from(input)).toString('base64url')}`;
  };
  const different = (alg, count) => Array.from({ length: count }, (_, i) => token(alg, `user-${i}`));
  return { ...Object.fromEntries(Object.keys(SIGNERS).map((alg) => [alg, different(alg, 512)])), many: different('RS256', many) };
}
