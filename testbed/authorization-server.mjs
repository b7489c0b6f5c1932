// A real authorization server (oidc-provider, OpenID certified) that runs without a browser: each login and consent page
// is answered by a redirect, so a client with a cookie jar gets straight from /auth to its redirect_uri.
//
//   node authorization-server.mjs --resource URL[=ALG] [--resource ...] [--port N] [--issuer-path /realms/mcp]
//        [--scopes "mcp:read mcp:write mcp:admin"] [--alg ES256] [--keys FILE] [--ttl 300] [--record FILE]
//
// --resource  a resource that tokens may be for; =ALG signs its tokens with that algorithm instead of --alg
// --alg       or =ALG may be `opaque`: such tokens are no JWTs, and only introspection tells what they are
// --keys      file with the private keys, made if absent. Without it there are new keys at each start: a key rotation
//
// Clients: `machine` gets tokens of its own, bound to a DPoP key if it proves one; those of `machine-mtls` are bound to the
// certificate that it sends, as encoded PEM, in the header `x-client-certificate` (who ends TLS in front would put it
// there). `gateway` and `gateway-post` may introspect and exchange tokens, and have tokens of their own. Every form that
// arrives is in the record, with how its client authenticated.
import { createServer } from 'node:http';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as oidc from 'oidc-provider';
import { calculateJwkThumbprint, exportJWK, generateKeyPair } from 'jose';
import { recorded, recordRun } from './record.mjs';
import { addTokenExchange, TOKEN_EXCHANGE } from './token-exchange.mjs';
import { rememberJwts } from './remembered-jwts.mjs';

const { values: options } = parseArgs({
  options: {
    'port': { type: 'string', default: '0' },
    'issuer-path': { type: 'string', default: '' },
    'resource': { type: 'string', multiple: true, default: [] },
    'scopes': { type: 'string', default: 'mcp:read mcp:write mcp:admin' },
    'alg': { type: 'string', default: 'ES256' },
    'keys': { type: 'string' },
    'ttl': { type: 'string', default: '300' },
    'record': { type: 'string' },
  },
});
const USER = 'alice';
const mount = options['issuer-path'];
const scopes = options.scopes.split(' ');
const algorithms = new Map(
  options.resource.map((entry) => {
    const [resource, alg = options.alg] = entry.split('=');
    return [resource, alg];
  }),
);

async function signingKeys() {
  if (options.keys && existsSync(options.keys)) return JSON.parse(readFileSync(options.keys, 'utf8')).keys;
  const keys = [];
  for (const alg of new Set([options.alg, ...algorithms.values(), 'RS256'])) {
    // RS256: what clients expect of ID tokens
    if (alg === 'opaque') continue;
    const { privateKey } = await generateKeyPair(alg, { extractable: true });
    const jwk = await exportJWK(privateKey);
    keys.push({ ...jwk, use: 'sig', alg, kid: await calculateJwkThumbprint(jwk) });
  }
  if (options.keys) writeFileSync(options.keys, JSON.stringify({ keys }), { mode: 0o600 });
  return keys;
}

const server = createServer();
await new Promise((resolve) => server.listen(Number(options.port), '127.0.0.1', resolve));
const base = `http://127.0.0.1:${server.address().port}`;
const issuer = base + mount;

const confidential = (client_id, client_secret, more) => ({
  client_id,
  client_secret,
  redirect_uris: [],
  response_types: [],
  grant_types: ['client_credentials'],
  scope: scopes.join(' '),
  ...more,
});
const gateway = { grant_types: ['client_credentials', TOKEN_EXCHANGE] };
const keys = await signingKeys();

/** What tokens for a resource look like. */
function resourceServer(_ctx, resource) {
  const alg = algorithms.get(resource);
  if (!alg) throw new oidc.errors.InvalidTarget();
  const form = alg === 'opaque' ? { accessTokenFormat: 'opaque' } : { accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
  return { scope: scopes.join(' '), audience: resource, accessTokenTTL: Number(options.ttl), ...form };
}

const jwts = rememberJwts(keys);
const provider = new oidc.Provider(issuer, {
  clients: [
    confidential('machine', 'machine-secret'),
    confidential('machine-mtls', 'machine-secret', { tls_client_certificate_bound_access_tokens: true }),
    // a secret that has to be encoded before it goes into a Basic header (RFC 6749 section 2.3.1)
    confidential('gateway', 'gateway: 100% +/=', gateway),
    confidential('gateway-post', 'gateway: 100% +/=', { ...gateway, token_endpoint_auth_method: 'client_secret_post' }),
  ],
  jwks: { keys },
  scopes: ['openid', 'offline_access', ...scopes],
  enabledJWA: { idTokenSigningAlgValues: ['RS256'] },
  pkce: { required: () => true },
  clientBasedCORS: () => true,
  cookies: { keys: ['testbed'] },
  ttl: {
    AccessToken: Number(options.ttl),
    AuthorizationCode: 60,
    IdToken: 300,
    RefreshToken: 3600,
    Interaction: 600,
    Session: 3600,
    Grant: 3600,
  },
  findAccount: (_ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  features: {
    devInteractions: { enabled: false },
    registration: { enabled: true },
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, _client, oneOf) => oneOf?.[0],
      useGrantedResource: () => true,
      getResourceServerInfo: resourceServer,
    },
    introspection: { enabled: true },
    revocation: { enabled: true },
    mTLS: {
      enabled: true,
      certificateBoundAccessTokens: true,
      getCertificate: (ctx) => decodeURIComponent(ctx.get('x-client-certificate')),
    },
  },
  formats: { customizers: { jwt: (_ctx, token, { payload }) => jwts.remember(token, payload) } },
  extraTokenClaims: (ctx) => ctx?.actor && { act: ctx.actor },
  interactions: { url: (_ctx, interaction) => `${mount}/interaction/${interaction.uid}` },
  renderError: (ctx, out) => {
    ctx.type = 'json';
    ctx.body = out;
  },
});

addTokenExchange(provider, { keys, resourceServer });
provider.use(async (ctx, next) => {
  await next();
  const { route, body } = ctx.oidc ?? {};
  const form = body && { ...body, ...ctx.state.presented };
  if (ctx.method === 'POST' && form) recordRun(options.record, route, { form, authorization: ctx.get('authorization'), status: ctx.status, answer: ctx.body });
});

provider.use(jwts.find);

// The user: always logs in, as USER or as whom the client says, and agrees to everything.
provider.use(async (ctx, next) => {
  if (!ctx.path.startsWith('/interaction/')) return next();
  const { prompt, params, session, grantId } = await provider.interactionDetails(ctx.req, ctx.res);
  if (prompt.name === 'login') {
    const accountId = params.login_hint ?? USER;
    return provider.interactionFinished(ctx.req, ctx.res, { login: { accountId, remember: false } });
  }
  const grant =
    (grantId && (await provider.Grant.find(grantId))) ??
    new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope = [], missingResourceScopes = {} } = prompt.details;
  if (missingOIDCScope.length) grant.addOIDCScope(missingOIDCScope.join(' '));
  for (const [resource, wanted] of Object.entries(missingResourceScopes))
    grant.addResourceScope(resource, wanted.join(' '));
  return provider.interactionFinished(
    ctx.req,
    ctx.res,
    { consent: { grantId: await grant.save() } },
    { mergeWithLastSubmission: true },
  );
});
for (const event of ['server_error', 'authorization.error', 'grant.error', 'registration_create.error']) {
  provider.on(event, (_ctx, error) =>
    console.log(`${event}: ${error.error ?? error.message} ${error.error_description ?? ''}`),
  );
}

const handle = provider.callback();
server.on(
  'request',
  recorded(options.record, async (request, response) => {
    if (mount) {
      // RFC 8414 puts the well-known part before the issuer's path; the provider itself knows only the OpenID form behind it
      const inserted = /^(\/\.well-known\/(?:oauth-authorization-server|openid-configuration))(\/.*)$/.exec(
        request.url,
      );
      const url = inserted?.[2] === mount ? mount + inserted[1] : request.url;
      if (!url.startsWith(`${mount}/`)) {
        response.writeHead(404).end();
        return;
      }
      request.originalUrl = url;
      request.baseUrl = mount;
      request.url = url.slice(mount.length);
    }
    if (request.method === 'POST' && request.url === '/reg') {
      // Clients register with the first challenge's scope. Here that is no ceiling for what they may ask for later.
      const chunks = [];
      for await (const chunk of request) chunks.push(chunk);
      try {
        request.body = { ...JSON.parse(Buffer.concat(chunks).toString()), scope: undefined };
      } catch {
        /* the provider says what is wrong with it */
      }
    }
    handle(request, response);
  }),
);
console.log(`issuer ${issuer}`);
