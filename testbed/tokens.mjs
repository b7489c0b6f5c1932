// Access tokens for direct requests: real ones from the authorization server, and hand-made ones signed with its keys.
import { constants, createHash, createHmac, createPrivateKey, randomBytes, randomUUID, sign } from 'node:crypto';
import { generateProof } from 'dpop';
import { browse } from './browse.mjs';

const CALLBACK = 'http://127.0.0.1/callback';

async function json(response) {
  const text = await response.text();
  if (!response.ok) throw new Error(`${response.status} from ${response.url}: ${text.slice(0, 300)}`);
  return JSON.parse(text);
}

/** The token response of a user's login: registration, authorization code with PKCE, token. */
export async function logIn(issuer, { resource, scope = 'mcp:read', user }) {
  const metadata = await json(await fetch(`${issuer}/.well-known/openid-configuration`));
  const registration = {
    client_name: 'testbed',
    redirect_uris: [CALLBACK],
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    grant_types: ['authorization_code'],
    response_types: ['code'],
  };
  const { client_id } = await json(
    await fetch(metadata.registration_endpoint, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(registration),
    }),
  );
  const code_verifier = randomBytes(32).toString('base64url');
  const common = { client_id, redirect_uri: CALLBACK, ...(resource && { resource }) };
  const question = new URLSearchParams({
    ...common,
    ...(user && { login_hint: user }),
    response_type: 'code',
    scope,
    state: randomUUID(),
    code_challenge_method: 'S256',
    code_challenge: createHash('sha256').update(code_verifier).digest('base64url'),
  });
  const answer = await browse(`${metadata.authorization_endpoint}?${question}`, CALLBACK);
  if (!answer.get('code')) throw new Error(`the authorization server said ${answer}`);
  return json(
    await fetch(metadata.token_endpoint, {
      method: 'POST',
      body: new URLSearchParams({
        ...common,
        grant_type: 'authorization_code',
        code: answer.get('code'),
        code_verifier,
      }),
    }),
  );
}

const basic = (client) => ({ authorization: `Basic ${Buffer.from(`${client}:machine-secret`).toString('base64')}` });

async function clientCredentials(client, issuer, resource, scope, headers) {
  const body = new URLSearchParams({ grant_type: 'client_credentials', resource, scope });
  const response = await fetch(`${issuer}/token`, { method: 'POST', headers: { ...basic(client), ...headers }, body });
  return (await json(response)).access_token;
}

/** A real access token without a user (client credentials): one request. */
export const machineToken = (issuer, resource, scope = 'mcp:read') => clientCredentials('machine', issuer, resource, scope);

/** The same, bound to the key pair of the `dpop` package (RFC 9449), and bound to a certificate in PEM (RFC 8705). */
export const dpopToken = async (issuer, resource, keyPair, scope = 'mcp:read') =>
  clientCredentials('machine', issuer, resource, scope, { dpop: await generateProof(keyPair, `${issuer}/token`, 'POST') });
export const certificateToken = (issuer, resource, certificate, scope = 'mcp:read') =>
  clientCredentials('machine-mtls', issuer, resource, scope, { 'x-client-certificate': encodeURIComponent(certificate) });

/** Takes a token of `machine` back (RFC 7009). */
export async function revoke(issuer, token) {
  const response = await fetch(`${issuer}/token/revocation`, { method: 'POST', headers: basic('machine'), body: new URLSearchParams({ token }) });
  if (!response.ok) throw new Error(`${response.status} to the revocation: ${await response.text()}`);
}

const DIGESTS = { RS256: 'sha256', PS256: 'sha256', ES256: 'sha256', ES384: 'sha384', EdDSA: null };
const base64url = (part) => Buffer.from(typeof part === 'string' ? part : JSON.stringify(part)).toString('base64url');

/**
 * A signed compact JWT. `header` and `claims` are objects, or strings where the exact bytes matter (duplicate members).
 * `key` is a private JWK; its algorithm signs, whatever the header says.
 */
export function forge(key, header, claims) {
  const input = `${base64url(header)}.${base64url(claims)}`;
  const pss = key.alg === 'PS256' && { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  const signer = { key: createPrivateKey({ key, format: 'jwk' }), dsaEncoding: 'ieee-p1363', ...pss };
  return `${input}.${sign(DIGESTS[key.alg], Buffer.from(input), signer).toString('base64url')}`;
}

/** The same with an HMAC, and without any signature. */
export function forgeHmac(secret, header, claims) {
  const input = `${base64url(header)}.${base64url(claims)}`;
  return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
}
export const forgeUnsigned = (header, claims) => `${base64url(header)}.${base64url(claims)}.`;

/** Claims of an RFC 9068 access token that the filter accepts, for tests that change one thing in them. */
export const goodClaims = (issuer, resource) => {
  const now = Math.floor(Date.now() / 1000);
  return {
    iss: issuer,
    aud: resource,
    sub: 'alice',
    client_id: 'forged-client',
    scope: 'mcp:read',
    iat: now,
    exp: now + 300,
    jti: randomUUID(),
  };
};
