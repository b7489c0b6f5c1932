// What is sent: each kind of request with what it may be answered, and whether it may ever reach the MCP server.
import { generateKeyPairSync, randomBytes, randomUUID } from 'node:crypto';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { call } from '../e2e/support/rules.mjs';

// Timeouts and ages of the configuration, in ms: the shortest that are allowed, so that a phase meets each of them.
export const COOLDOWN = 1000;
export const KEYS_MAX_AGE = 10_000;
export const FETCH_TIMEOUT = 5000;
/** Nobody may be let in by a key for longer than this after it was taken out of the set. A tick, and a slow machine. */
export const KEY_LIFETIME = KEYS_MAX_AGE + FETCH_TIMEOUT + 2000;
/** A key is known this long after it was published, if tokens ask for keys all the time: a cooldown, a fetch, a slow machine. */
export const KEY_KNOWN = 2 * COOLDOWN + 1000;

export function newKey() {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const kid = randomUUID();
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' };
  return { private: { ...privateKey.export({ format: 'jwk' }), kid, alg: 'ES256' }, public: jwk, publishedAt: Infinity, removedAt: Infinity };
}

const NO_KEYS = [503, 'mcp_oauth_keys_unavailable'];
const NO_ANSWER = [503, 'mcp_oauth_introspection_unavailable'];
const SERVED = [200, 'via_upstream'];
const no = (status, reason) => [status, `mcp_oauth_${reason}`];

/**
 * `world` is `{ issuer, origin, key, ring, tokens }`: `key` signs for the issuer, `ring` are keys that come and go, and
 * `tokens` are real ones, by kind, of which there may be none at times. A kind is `{ name, weight, well, ill, make(id) }`: what it
 * is answered when all is well and, besides, in a fault, as [status, reason]; `make` gives the request, or nothing if there is none now:
 * `{ token, mayPassUntil, … }`, where the last is the time until which it may reach the MCP server.
 */
export function kinds(world) {
  const { issuer, origin, key } = world;
  const url = `${origin}/mcp`;
  const stranger = { ...newKey().private, kid: key.kid }; // another key under the known name
  const sign = (claims, { by = key, kid = by.kid } = {}) =>
    forge(by, { alg: 'ES256', kid, typ: 'at+jwt' }, { ...goodClaims(issuer, url), scope: 'mcp:read mcp:write', ...claims });
  const now = () => Math.floor(Date.now() / 1000);
  const never = (token, more) => ({ token, mayPassUntil: 0, ...more });
  const always = (token, more) => token && { token, mayPassUntil: Infinity, ...more };
  let repeated = { token: sign(), at: Date.now() };

  return [
    { name: 'good, new', weight: 3, good: true, well: SERVED, ill: [NO_KEYS], make: () => always(sign()) },
    {
      name: 'good, seen before',
      weight: 3,
      good: true,
      well: SERVED,
      ill: [NO_KEYS],
      make: () => {
        if (Date.now() - repeated.at > 60_000) repeated = { token: sign(), at: Date.now() };
        return always(repeated.token);
      },
    },
    { name: 'good, issued', weight: 2, good: true, well: SERVED, ill: [NO_KEYS], make: () => always(world.tokens.jwt) },
    { name: 'good, introspected', weight: 3, good: true, well: SERVED, ill: [NO_ANSWER], make: () => always(world.tokens.opaque, { url: `${origin}/opaque` }) },
    {
      name: 'good, changing key', // only while keys change: README's refetch_cooldown and decision 5 say when this is 401
      weight: 4,
      good: true,
      well: SERVED,
      ill: [NO_KEYS],
      make: () => {
        const by = world.ring.findLast(({ publishedAt, removedAt }) => publishedAt !== Infinity && removedAt === Infinity);
        return by && always(sign({}, { by: by.private }), { key: by });
      },
    },
    {
      name: 'retired key',
      weight: 2,
      well: no(401, 'token_key'),
      ill: [NO_KEYS],
      make: () => {
        const gone = world.ring.filter(({ removedAt }) => removedAt !== Infinity);
        const by = Math.random() < 0.5 ? gone.at(-1) : gone[Math.floor(Math.random() * gone.length)]; // what went last is what may be taken yet
        return by && { token: sign({}, { by: by.private }), mayPassUntil: by.removedAt + KEY_LIFETIME, key: by };
      },
    },
    { name: 'expired', weight: 1, well: no(401, 'token_expired'), ill: [], make: () => never(sign({ iat: now() - 900, exp: now() - 60 })) },
    { name: 'wrong audience', weight: 1, well: no(401, 'token_audience'), ill: [], make: () => never(sign({ aud: `${origin}/elsewhere` })) },
    { name: 'wrong issuer', weight: 1, well: no(401, 'token_issuer'), ill: [], make: () => never(sign({ iss: 'https://evil.example' })) },
    { name: 'forged', weight: 2, well: no(401, 'token_signature'), ill: [NO_KEYS], make: () => never(sign({}, { by: world.forger ?? stranger })) },
    { name: 'unknown key', weight: 2, well: no(401, 'token_key'), ill: [NO_KEYS], make: () => never(sign({}, { by: stranger, kid: randomUUID() })) },
    { name: 'no token', weight: 1, well: no(401, 'missing_token'), ill: [], make: () => never(undefined) },
    { name: 'no scope', weight: 1, well: no(403, 'insufficient_scope'), ill: [NO_KEYS], make: () => never(sign({ scope: 'other' })) },
    {
      name: 'garbage',
      weight: 1,
      well: no(401, 'token_inactive'),
      ill: [NO_ANSWER],
      make: () => never(randomBytes(32).toString('base64url'), { url: `${origin}/opaque` }),
    },
    {
      name: 'header and body differ',
      weight: 1,
      well: no(400, 'header_mismatch'),
      ill: [NO_KEYS],
      make: () => never(sign(), { headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' } }),
    },
    {
      name: 'forbidden tool',
      weight: 1,
      well: no(403, 'insufficient_scope'),
      ill: [NO_KEYS],
      make: (id) => never(sign(), { body: call('tools/call', { name: 'slow', arguments: { steps: 0, ms: 0 } }, id) }),
    },
    // good where the configuration asks for one scope, and not where it asks for both: a reload changes that
    { name: 'lesser', weight: 2, lesser: true, well: SERVED, ill: [NO_KEYS], make: () => ({ token: sign({ scope: 'mcp:read' }), mayPassUntil: Infinity }) },
  ];
}

export const STRICT = no(403, 'insufficient_scope');
export const UNKNOWN_KEY = no(401, 'token_key');

/** The body of a request that the MCP server writes down with its id when it runs. */
export const echo = (id) => call('tools/call', { name: 'echo', arguments: { message: id } }, id);
