// oidc-provider forgets a JWT as soon as it has issued it, and so can neither introspect it nor take it back. Here a twin that is
// opaque is kept in its store, and stands for the JWT at these two endpoints: what they answer is oidc-provider's own word.
import { randomUUID } from 'node:crypto';
import { text } from 'node:stream/consumers';
import { createLocalJWKSet, decodeJwt, jwtVerify } from 'jose';

const ENDPOINTS = /\/token\/(introspection|revocation)$/;

export function rememberJwts(keys) {
  const keySet = createLocalJWKSet({ keys: keys.map(({ d, p, q, dp, dq, qi, ...jwk }) => jwk) });
  const secret = randomUUID(); // a `jti` alone is no token
  const twinOf = (jti) => `${secret}.${jti}`;

  /** Called for each JWT before it is signed. */
  async function remember(token, { jti, iat, exp }) {
    const members = token.constructor.IN_PAYLOAD.filter((name) => name !== 'format' && token[name] !== undefined);
    const twin = Object.fromEntries(members.map((name) => [name, token[name]]));
    await token.adapter.upsert(twinOf(jti), { ...twin, jti: twinOf(jti), iat, exp }, token.expiration);
  }

  /** A middleware: puts the twin into the form in place of the JWT, which is told in `ctx.state.presented`. */
  async function find(ctx, next) {
    if (ctx.method !== 'POST' || !ENDPOINTS.test(ctx.path)) return next();
    const form = new URLSearchParams(await text(ctx.req));
    const token = form.get('token') ?? '';
    try {
      await jwtVerify(token, keySet);
      form.set('token', twinOf(decodeJwt(token).jti));
      ctx.state.presented = { token };
    } catch {
      /* opaque, or not of this issuer */
    }
    ctx.req.body = form.toString();
    await next();
  }
  return { remember, find };
}
