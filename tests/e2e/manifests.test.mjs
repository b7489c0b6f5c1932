// Promise: the manifests under deploy/ are what their proxies take, and the filter in each of them guards: Envoy loads it
// with the very configuration, finds the identity provider by the very cluster name, and tells tokens apart.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cluster, connectionManagerOf, validateBare } from '../../testbed/envoy.mjs';
import { clustersOf, findings, pluginOf, readManifest } from '../../testbed/manifests.mjs';
import { PYTHON, ROOT, runDirectory } from '../../testbed/paths.mjs';
import { freePort } from '../../testbed/ports.mjs';
import { startStack } from '../../testbed/stack.mjs';
import { send } from './support/http.mjs';
import { startStandIn } from './support/stand-in.mjs';

const MODULE = join(ROOT, 'target/mcp_resource_server.wasm');
const SESSION_KEY = Buffer.alloc(32, 7).toString('base64url');
const directory = runDirectory('e2e');
const [envoy] = readManifest('envoy.yaml');
const wasmOf = (bootstrap) => connectionManagerOf(bootstrap).http_filters[0].typed_config.config;

/** What each manifest has besides the documents of the others: the filter, and what its proxy calls the clusters. */
const MANIFESTS = {
  'envoy.yaml': {
    plugin: JSON.parse(wasmOf(envoy).configuration.value),
    variables: wasmOf(envoy).vm_config.environment_variables.host_env_keys,
    clusters: envoy.static_resources.clusters.map(({ name }) => name),
  },
};
const others = readdirSync(join(ROOT, 'deploy')).filter((file) => file.endsWith('.yaml') && file !== 'envoy.yaml');
for (const file of others) {
  const documents = readManifest(file);
  const around = file === 'istio-traffic-extension.yaml' ? readManifest('istio.yaml') : documents;
  MANIFESTS[file] = { ...pluginOf(documents), clusters: clustersOf(around) };
}

describe('the schemas of their kinds', () => {
  for (const file of others) {
    it(`take ${file}`, () => assert.deepEqual(readManifest(file).flatMap(findings), []));
  }
  const [plugin] = readManifest('istio.yaml').filter(({ kind }) => kind === 'WasmPlugin');
  const [extension] = readManifest('istio-traffic-extension.yaml');
  const [policy] = readManifest('envoy-gateway.yaml').filter(({ kind }) => kind === 'EnvoyExtensionPolicy');
  const MISTAKES = {
    'a phase that does not exist': { ...plugin, spec: { ...plugin.spec, phase: 'AUTHENTICATION' } },
    'a misspelt member': { ...plugin, spec: { ...plugin.spec, failureStrategy: 'FAIL_CLOSE' } },
    'a member that belongs below `wasm`': { ...extension, spec: { ...extension.spec, wasm: { ...extension.spec.wasm, failstrategy: 'FAIL_CLOSE' } } },
    'a text for a switch': { ...policy, spec: { ...policy.spec, wasm: [{ ...policy.spec.wasm[0], failOpen: 'no' }] } },
    'a misspelt member in a list': { ...policy, spec: { ...policy.spec, wasm: [{ ...policy.spec.wasm[0], failopen: false }] } },
    'a kind that nobody knows': { ...policy, kind: 'EnvoyExtension' },
  };
  for (const [what, document] of Object.entries(MISTAKES)) {
    it(`refuse ${what}`, () => assert.equal(findings(document).length, 1));
  }
});

describe('closed', () => {
  it('wherever a proxy could be told to fail open', () => {
    for (const document of others.flatMap(readManifest)) {
      const { wasm, failStrategy } = document.spec ?? {};
      for (const filter of [wasm].flat().filter(Boolean)) {
        if (document.kind === 'EnvoyExtensionPolicy') assert.equal(filter.failOpen, false);
        else assert.equal(filter.failStrategy, 'FAIL_RELOAD');
      }
      if (document.kind === 'WasmPlugin') assert.match(failStrategy, /^FAIL_(CLOSE|RELOAD)$/);
    }
    assert.equal(wasmOf(envoy).failure_policy, 'FAIL_RELOAD');
  });
});

it('before all that decides by who calls, and reads or rewrites requests', () => {
  const plugins = others.flatMap(readManifest).filter(({ kind }) => ['WasmPlugin', 'TrafficExtension'].includes(kind));
  assert.deepEqual(plugins.map(({ spec }) => spec.phase), ['AUTHN', 'AUTHN', 'AUTHN']);
});

describe('the identity provider must prove its name', () => {
  it('in Envoy', () => {
    const { transport_socket } = envoy.static_resources.clusters.find(({ name }) => name === 'idp');
    const { sni, auto_sni_san_validation, common_tls_context } = transport_socket.typed_config;
    assert.deepEqual([sni, auto_sni_san_validation], ['idp.example.com', true]);
    assert.ok(common_tls_context.validation_context.trusted_ca.filename);
  });
  it('in Istio', () => {
    const documents = readManifest('istio.yaml');
    const [entry] = documents.filter(({ kind }) => kind === 'ServiceEntry');
    const [rule] = documents.filter(({ kind }) => kind === 'DestinationRule');
    const [host] = entry.spec.hosts;
    assert.equal(rule.spec.host, host);
    assert.deepEqual(rule.spec.trafficPolicy.tls, { mode: 'SIMPLE', sni: host, subjectAltNames: [host] });
  });
  it('in Istio to the gateway alone: whoever else asks it speaks TLS already', () => {
    const documents = readManifest('istio.yaml');
    const [{ metadata: gateway }] = documents.filter(({ kind }) => kind === 'Gateway');
    const [entry] = documents.filter(({ kind }) => kind === 'ServiceEntry');
    const [rule] = documents.filter(({ kind }) => kind === 'DestinationRule');
    assert.deepEqual([entry.spec.exportTo, rule.spec.exportTo], [['.'], ['.']]);
    assert.deepEqual(rule.spec.workloadSelector, { matchLabels: { 'gateway.networking.k8s.io/gateway-name': gateway.name } });
    assert.deepEqual([entry.metadata.namespace, rule.metadata.namespace], [gateway.namespace, gateway.namespace]);
  });
  it('in Higress at least its authority', () => {
    const [bridge] = readManifest('higress.yaml').filter(({ kind }) => kind === 'McpBridge');
    const [{ domain, protocol, sni }] = bridge.spec.registries;
    assert.deepEqual([domain, protocol, sni], ['idp.example.com', 'https', 'idp.example.com']);
  });
});

describe('Envoy takes', () => {
  // A certificate that Envoy can read, in place of those that only the reader has.
  const certificate = join(directory, 'tls.pem');
  execFileSync(PYTHON, [join(ROOT, 'testbed/certificate.py'), certificate]);
  const withFiles = (bootstrap) =>
    JSON.parse(
      JSON.stringify(bootstrap)
        .replaceAll('/etc/envoy/tls/tls.crt', certificate)
        .replaceAll('/etc/envoy/tls/tls.key', certificate)
        .replaceAll('/etc/ssl/certs/ca-certificates.crt', certificate)
        .replaceAll('/etc/envoy/mcp_resource_server.wasm', MODULE),
    );
  const judge = (bootstrap, environment = { MCP_SESSION_KEYS: SESSION_KEY }) =>
    validateBare({ directory, config: withFiles(bootstrap), environment });

  it('envoy.yaml', () => {
    const { accepted, output } = judge(envoy);
    assert.ok(accepted, output);
  });
  it('envoy.yaml, but not without its secret', () => {
    const { accepted, output } = judge(envoy, {});
    assert.equal(accepted, false);
    assert.match(output, /config: resources\[0\]\.sessions\.key_variable: .*`MCP_SESSION_KEYS` is not set/);
  });
  it("envoy-gateway.yaml's cluster for the identity provider", () => {
    const [{ spec }] = readManifest('envoy-gateway.yaml').filter(({ kind }) => kind === 'EnvoyProxy');
    const [{ op, path, value }] = spec.bootstrap.jsonPatches;
    assert.deepEqual([op, path], ['add', '/static_resources/clusters/-']);
    const { admin } = envoy;
    const { accepted, output } = judge({ admin, static_resources: { clusters: [value] } });
    assert.ok(accepted, output);
    assert.deepEqual(value, { ...envoy.static_resources.clusters.find(({ name }) => name === 'idp') });
  });
});

describe('in Envoy Gateway', () => {
  it('the route of the policy has the path of the metadata too', () => {
    const documents = readManifest('envoy-gateway.yaml');
    const [route] = documents.filter(({ kind }) => kind === 'HTTPRoute');
    const [policy] = documents.filter(({ kind }) => kind === 'EnvoyExtensionPolicy');
    assert.deepEqual(policy.spec.targetRefs, [
      { group: 'gateway.networking.k8s.io', kind: 'HTTPRoute', name: route.metadata.name },
    ]);
    const paths = route.spec.rules.flatMap(({ matches }) => matches.map(({ path }) => path.value));
    assert.deepEqual(paths, ['/mcp', '/.well-known/oauth-protected-resource']);
  });
  it('bodies may be as long as the filter allows', () => {
    const documents = readManifest('envoy-gateway.yaml');
    const [{ spec }] = documents.filter(({ kind }) => kind === 'ClientTrafficPolicy');
    const [, number, unit] = /^(\d+)([KM]i)$/.exec(spec.connection.bufferLimit);
    const [{ body }] = pluginOf(documents).plugin.resources;
    assert.equal(body, undefined, 'the default: 1 MiB');
    assert.ok(number * { Ki: 2 ** 10, Mi: 2 ** 20 }[unit] > 2 ** 20);
  });
  it('only the proxies of the gateway may reach the server', () => {
    const documents = readManifest('envoy-gateway.yaml');
    const [{ metadata: gateway }] = documents.filter(({ kind }) => kind === 'Gateway');
    const [{ metadata, spec }] = documents.filter(({ kind }) => kind === 'NetworkPolicy');
    const [{ from: [{ podSelector }, ...more] }, ...others] = spec.ingress;
    assert.deepEqual([more, others, spec.policyTypes, metadata.namespace], [[], [], ['Ingress'], gateway.namespace]);
    assert.deepEqual(podSelector.matchLabels, {
      'gateway.envoyproxy.io/owning-gateway-name': gateway.name,
      'gateway.envoyproxy.io/owning-gateway-namespace': gateway.namespace,
    });
  });
});

describe('in Higress', () => {
  const documents = readManifest('higress.yaml');
  const [ingress] = documents.filter(({ kind }) => kind === 'Ingress');
  const [plugin] = documents.filter(({ kind }) => kind === 'WasmPlugin');
  const [policy] = documents.filter(({ kind }) => kind === 'NetworkPolicy');
  it('the route is where the server is, and the plugin where the gateway is', () => {
    const [{ metadata }] = readManifest('istio.yaml').filter(({ kind }) => kind === 'HTTPRoute');
    assert.deepEqual([ingress.metadata.namespace, plugin.metadata.namespace], [metadata.namespace, 'higress-system']);
  });
  it('only the gateway may reach the server', () => {
    const [{ from: [{ podSelector, namespaceSelector }, ...more] }, ...others] = policy.spec.ingress;
    assert.deepEqual([more, others, policy.spec.policyTypes], [[], [], ['Ingress']]);
    assert.equal(policy.metadata.namespace, ingress.metadata.namespace);
    assert.deepEqual(namespaceSelector.matchLabels, { 'kubernetes.io/metadata.name': plugin.metadata.namespace });
    // As its chart labels them (alibaba/higress, helm/core/templates/_helpers.tpl).
    assert.deepEqual(podSelector.matchLabels, { app: 'higress-gateway', higress: 'higress-system-higress-gateway' });
  });
});

const call = (name) => JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: {} } });

for (const [file, { plugin, variables, clusters }] of Object.entries(MANIFESTS)) {
  it(`the filter of ${file} guards`, async () => {
    const [{ issuer, cluster: name }] = plugin.authorization_servers;
    const [{ resource }] = plugin.resources;
    assert.ok(clusters.includes(name), `the cluster ${name} is one of ${clusters}`);
    // The identity provider at its cluster's end. TLS is the cluster's matter, and is left out here.
    const idp = await startStandIn();
    Object.assign(idp.metadata, { issuer, jwks_uri: `${issuer}/jwks` });
    const token = (claims) => idp.token(resource, { claims: { iss: issuer, ...claims } });
    const stack = await startStack({
      directory: runDirectory('e2e'),
      withoutAuthorizationServer: true,
      edit: (bootstrap) => {
        bootstrap.static_resources.clusters.push(cluster(name, idp.port));
        Object.assign(wasmOf(bootstrap), {
          ...(plugin.hold_requests === 'headers' && { allow_on_headers_stop_iteration: true }),
          failure_policy: 'FAIL_RELOAD',
        });
        const key_values = Object.fromEntries(variables.map((variable) => [variable, SESSION_KEY]));
        wasmOf(bootstrap).vm_config.environment_variables = { key_values };
        return JSON.stringify(plugin);
      },
    });
    try {
      const { host, pathname } = new URL(resource);
      const ask = (options) => send(stack.origin + pathname, { ...options, headers: { host } });
      const metadataAt = `https://${host}/.well-known/oauth-protected-resource${pathname}`;
      const refused = await ask();
      assert.equal(refused.status, 401);
      assert.ok(refused.header('www-authenticate').includes(`resource_metadata="${metadataAt}"`));
      const metadata = await send(stack.origin + new URL(metadataAt).pathname, { method: 'GET', headers: { host } });
      assert.deepEqual([metadata.status, metadata.json.resource, metadata.json.authorization_servers], [200, resource, [issuer]]);
      assert.equal((await ask({ token: token() })).status, 200);
      assert.equal((await ask({ token: token({ aud: 'https://other.example.com/mcp' }) })).status, 401);
      assert.equal((await ask({ token: token(), body: call('delete_all') })).status, 403);
      assert.deepEqual(idp.requests.includes('/jwks'), true, 'the keys came from the cluster');
    } finally {
      await stack.stop();
    }
  });
}
