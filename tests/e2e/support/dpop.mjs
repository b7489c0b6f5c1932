// Tokens that are bound to a key (RFC 9449), and proofs of it by hand.
import { createHash, randomUUID } from 'node:crypto';
import { jose } from '../../../testbed/packages.mjs';
import { forge, goodClaims } from '../../../testbed/tokens.mjs';
import { keysOf } from './stack.mjs';

/** The algorithms that a resource takes if it does not say which. */
export const ALL = 'ES256 ES384 EdDSA RS256 PS256';

export const now = () => Math.floor(Date.now() / 1000);
export const athOf = (token) => createHash('sha256').update(token).digest('base64url');

/**
 * A key pair, a token for `url` that is bound to it, and `prove`, which makes proofs for a POST: by the same key, or another
 * one, with these changes in header and claims. `more` are further claims of the token.
 */
export async function newHolder(stack, url = stack.url, { alg = 'ES256', more = {} } = {}) {
  const [issuerKey] = keysOf(stack);
  const { privateKey, publicKey } = await jose.generateKeyPair(alg, { extractable: true });
  const jwk = await jose.exportJWK(publicKey);
  const claims = { ...goodClaims(stack.issuer, url), ...more, cnf: { jkt: await jose.calculateJwkThumbprint(jwk) } };
  const token = forge(issuerKey, { alg: issuerKey.alg, kid: issuerKey.kid, typ: 'at+jwt' }, claims);
  const good = () => ({ jti: randomUUID(), htm: 'POST', htu: url, iat: now(), ath: athOf(token) });
  const prove = ({ header, claims: changes, key = privateKey } = {}) =>
    new jose.SignJWT({ ...good(), ...changes }).setProtectedHeader({ typ: 'dpop+jwt', alg, jwk, ...header }).sign(key);
  return { url, privateKey, jwk, token, good, prove };
}

/** What a request with this token and this proof has for `send`. */
export const withProof = (token, proof, scheme = 'DPoP') => ({
  headers: { authorization: `${scheme} ${token}`, ...(proof !== undefined && { dpop: proof }) },
});

/** The challenge of a request that used the scheme DPoP, as a function of the description. */
export const dpopChallenge =
  (origin, error, { path = '/mcp', algs = ALL } = {}) =>
  (told) =>
    `DPoP error="${error}", error_description="${told}", resource_metadata="${origin}/.well-known/oauth-protected-resource${path}", scope="mcp:read", algs="${algs}"`;
