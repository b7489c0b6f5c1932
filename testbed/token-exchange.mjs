// The token exchange of RFC 8693, which oidc-provider does not have: a token for another resource in exchange for one
// that this authorization server issued itself.
import { createLocalJWKSet, jwtVerify } from 'jose';
import { errors } from 'oidc-provider';

export const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const JWT = 'urn:ietf:params:oauth:token-type:jwt';
const PARAMETERS = [
  ...['subject_token', 'subject_token_type', 'actor_token', 'actor_token_type', 'requested_token_type'],
  ...['audience', 'resource', 'scope'],
];

/** `resourceServer(ctx, resource)` tells what tokens for a resource look like, as oidc-provider's own grants ask it. */
export function addTokenExchange(provider, { keys, resourceServer }) {
  const keySet = createLocalJWKSet({ keys: keys.map(({ d, p, q, dp, dq, qi, ...jwk }) => jwk) });

  /** Whose token it is and what it allows. Opaque ones are in the store, JWTs have to be read. */
  async function read(what, token, type) {
    if (type !== ACCESS_TOKEN && type !== JWT) throw new errors.InvalidRequest(`no such ${what}_type`);
    const stored = (await provider.AccessToken.find(token)) ?? (await provider.ClientCredentials.find(token));
    if (stored) return { sub: stored.accountId ?? stored.clientId, scope: stored.scope };
    try {
      return (await jwtVerify(token, keySet, { issuer: provider.issuer })).payload;
    } catch {
      throw new errors.InvalidRequest(`the ${what} is none of this issuer`);
    }
  }

  async function exchange(ctx) {
    const { client, params } = ctx.oidc;
    if (!params.subject_token) throw new errors.InvalidRequest('there is no subject_token');
    const subject = await read('subject_token', params.subject_token, params.subject_token_type);
    const actor = params.actor_token && (await read('actor_token', params.actor_token, params.actor_token_type));
    const target = params.resource ?? params.audience;
    const granted = (subject.scope ?? '').split(' ').filter(Boolean);
    const wanted = params.scope?.split(' ') ?? granted;
    if (wanted.some((scope) => !granted.includes(scope))) throw new errors.InvalidScope('more than the subject_token has', wanted.join(' '));
    const token = new provider.AccessToken({ accountId: subject.sub, client, scope: wanted.join(' '), gty: 'token_exchange' });
    token.resourceServer = new provider.ResourceServer(target, resourceServer(ctx, target));
    if (actor) ctx.actor = { sub: actor.sub };
    ctx.body = {
      access_token: await token.save(),
      issued_token_type: ACCESS_TOKEN,
      token_type: 'Bearer',
      expires_in: token.expiration,
      scope: token.scope,
    };
  }
  provider.registerGrantType(TOKEN_EXCHANGE, exchange, PARAMETERS, ['audience', 'resource']);
}
