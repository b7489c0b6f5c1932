// One Envoy with a listener per case. Each answers by itself, so that what is measured is the way to the answer.
const TYPES = 'type.googleapis.com/envoy.extensions.filters.';
export const ISSUER = 'https://idp.example.com';

const router = { name: 'router', typed_config: { '@type': `${TYPES}http.router.v3.Router` } };

export const listener = (port, filters) => ({
  name: `case_${port}`,
  address: { socket_address: { address: '127.0.0.1', port_value: port } },
  filter_chains: [{ filters: [{
    name: 'hcm',
    typed_config: {
      '@type': `${TYPES}network.http_connection_manager.v3.HttpConnectionManager`,
      stat_prefix: `case_${port}`, generate_request_id: false,
      route_config: { virtual_hosts: [{ name: 'all', domains: ['*'], routes: [{ match: { prefix: '/' }, direct_response: { status: 200, body: { inline_string: 'ok' } } }] }] },
      http_filters: [...filters, router],
    },
  }] }],
});

/** The claims that our filter tells the MCP server, and the headers that it does so in. */
const IDENTITY = { sub: 'x-mcp-subject', client_id: 'x-mcp-client-id', scope: 'x-mcp-scopes', iss: 'x-mcp-issuer' };

/**
 * Envoy's own filter, with the keys inline like ours. As it is by default, it tells nobody who calls; with `identity` it
 * sets the headers that ours sets. It checks no scopes.
 */
export const native = (resource, jwks, { cache, identity } = {}) => ({
  name: 'jwt_authn',
  typed_config: {
    '@type': `${TYPES}http.jwt_authn.v3.JwtAuthentication`,
    providers: { idp: {
      issuer: ISSUER, audiences: [resource], forward: false, local_jwks: { inline_string: JSON.stringify(jwks) },
      ...(cache && { jwt_cache_config: { jwt_cache_size: cache, jwt_max_token_size: 8192 } }),
      ...(identity && { claim_to_headers: Object.entries(IDENTITY).map(([claim_name, header_name]) => ({ claim_name, header_name })) }),
    } },
    rules: [{ match: { prefix: '/' }, requires: { provider_name: 'idp' } }],
  },
});

/** Waits for the body, and does nothing with it. */
export const buffer = {
  name: 'buffer', typed_config: { '@type': `${TYPES}http.buffer.v3.Buffer`, max_request_bytes: 1048576 },
};

/** Envoy's own parser of MCP bodies, which an RBAC filter would need before it. */
export const mcp = {
  name: 'mcp', typed_config: { '@type': `${TYPES}http.mcp.v3.Mcp`, traffic_mode: 'PASS_THROUGH', max_request_body_size: 1048576 },
};

/** Secrets of the cases, by the variables that have them. */
const VARIABLES = { INTROSPECTION_SECRET: 'secret' };

/**
 * Our filter; `resources` of them, of which the one that is asked for comes last and has these `rules` and this `own`
 * more. `server` is what its authorization server has beside the keys.
 */
export const ours = (module, resource, jwks, { settings = {}, resources = 1, rules, own, server } = {}) => ({
  name: 'mcp_resource_server',
  typed_config: {
    '@type': `${TYPES}http.wasm.v3.Wasm`,
    config: {
      name: 'mcp_resource_server', failure_policy: 'FAIL_RELOAD', allow_on_headers_stop_iteration: rules !== undefined,
      vm_config: { runtime: 'envoy.wasm.runtime.v8', code: { local: { filename: module } }, environment_variables: { key_values: VARIABLES } },
      configuration: {
        '@type': 'type.googleapis.com/google.protobuf.StringValue',
        value: JSON.stringify({
          authorization_servers: [{ issuer: ISSUER, jwks, ...server }],
          resources: [
            ...Array.from({ length: resources - 1 }, (_, i) => ({ resource: `${new URL(resource).origin}/team-${i}/mcp` })),
            { resource, scopes: { required: ['mcp:read'] }, rules, ...own },
          ],
          ...settings,
        }),
      },
    },
  },
});

/** What has an authorization server asked about opaque tokens. */
export const introspection = (cluster) => ({
  introspection: {
    endpoint: `${ISSUER}/introspect`, cluster, client_id: 'gateway', client_secret_variable: 'INTROSPECTION_SECRET', max_age: '1h',
  },
});

/** So many claims, each in a header of its own. */
export const claimHeaders = (count) => ({
  identity_headers: { claims: Array.from({ length: count }, (_, i) => ({ claim: `claim_${i}`, header: `x-claim-${i}` })) },
});

export const bootstrap = (admin, listeners, clusters = []) => ({
  admin: { address: { socket_address: { address: '127.0.0.1', port_value: admin } } },
  static_resources: { listeners, clusters },
});
