// The manifests under deploy/: what is in them, and what the schemas of their kinds say of it.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { BackendTrafficPolicy, ClientTrafficPolicy, EnvoyExtensionPolicy, EnvoyProxy } from '@kubernetes-models/envoy-gateway/gateway.envoyproxy.io/v1alpha1';
import { Gateway, GatewayClass, HTTPRoute } from '@kubernetes-models/gateway-api/gateway.networking.k8s.io/v1';
import { WasmPlugin } from '@kubernetes-models/istio/extensions.istio.io/v1alpha1';
import { DestinationRule, ServiceEntry } from '@kubernetes-models/istio/networking.istio.io/v1';
import { AuthorizationPolicy } from '@kubernetes-models/istio/security.istio.io/v1';
import { Ingress, NetworkPolicy } from 'kubernetes-models/networking.k8s.io/v1';
import { ConfigMap } from 'kubernetes-models/v1';
import { parseAllDocuments } from 'yaml';
import { ROOT } from './paths.mjs';

/** The documents of a manifest, parsed. */
export const readManifest = (file) =>
  parseAllDocuments(readFileSync(join(ROOT, 'deploy', file), 'utf8'), { uniqueKeys: true }).map((document) => {
    if (document.errors.length) throw document.errors[0];
    return document.toJS();
  });

const KINDS = Object.fromEntries(
  [
    ['gateway.envoyproxy.io/v1alpha1', { BackendTrafficPolicy, ClientTrafficPolicy, EnvoyExtensionPolicy, EnvoyProxy }],
    ['gateway.networking.k8s.io/v1', { Gateway, GatewayClass, HTTPRoute }],
    ['extensions.istio.io/v1alpha1', { WasmPlugin }],
    ['networking.istio.io/v1', { DestinationRule, ServiceEntry }],
    ['security.istio.io/v1', { AuthorizationPolicy }],
    ['networking.k8s.io/v1', { Ingress, NetworkPolicy }],
    ['v1', { ConfigMap }],
  ].flatMap(([group, kinds]) => Object.entries(kinds).map(([kind, model]) => [`${group} ${kind}`, model])),
);

/** Kinds without a schema of their own in any package, in the form of one that has the same fields. */
const LIKE = {
  // Istio turns each WasmPlugin into one of these, with the same fields below `wasm` (istio/api v1.30).
  'extensions.istio.io/v1alpha1 TrafficExtension': ({ spec: { wasm, ...spec }, ...document }) => ({
    ...document,
    kind: 'WasmPlugin',
    spec: { ...spec, ...wasm },
  }),
  // Higress's own, made into one of Istio's by its controller (alibaba/higress, convertIstioWasmPlugin). It has fewer
  // fields: `FAIL_RELOAD` and `targetRefs` are not among them.
  'extensions.higress.io/v1alpha1 WasmPlugin': ({ spec: { defaultConfig, ...spec }, ...document }) => ({
    ...document,
    apiVersion: 'extensions.istio.io/v1alpha1',
    spec: { ...spec, pluginConfig: defaultConfig, failStrategy: spec.failStrategy === 'FAIL_RELOAD' ? '?' : spec.failStrategy },
  }),
};
/** There is none, and none like it. */
const WITHOUT_SCHEMA = ['networking.higress.io/v1 McpBridge'];

/** What is in these is not for the schema to say. */
const OPAQUE = ['pluginConfig', 'config', 'value'];

/** What may be anything, by the schema. */
const ANYTHING = {
  EnvoyExtensionPolicy: /^spec\.wasm\.\d+\.config$/,
  EnvoyProxy: /^spec\.bootstrap\.jsonPatches\.\d+\.value$/,
};

const accepts = (Model, document) => {
  try {
    new Model(document).validate();
    return undefined;
  } catch (error) {
    return error.message;
  }
};

/** The places of all members of a document, as lists of names. */
function* places(value, path = []) {
  if (typeof value !== 'object' || value === null) return;
  for (const [name, member] of Object.entries(value)) {
    const place = [...path, name];
    yield place;
    if (!OPAQUE.includes(name)) yield* places(member, place);
  }
}

const replaced = (document, [name, ...rest], value) => {
  const copy = Array.isArray(document) ? [...document] : { ...document };
  copy[name] = rest.length ? replaced(document[name], rest, value) : value;
  return copy;
};

/**
 * What is wrong with a document by the schema of its kind: a list of texts. The schemas take members that they do not
 * know; so each is exchanged for something that is no value at all, and one where that makes no difference is unknown.
 */
export function findings(document) {
  const kind = `${document.apiVersion} ${document.kind}`;
  if (WITHOUT_SCHEMA.includes(kind)) return [];
  const seen = LIKE[kind]?.(document) ?? document;
  const Model = KINDS[`${seen.apiVersion} ${seen.kind}`];
  if (!Model) return [`${kind}: no schema is known`];
  const refused = accepts(Model, seen);
  if (refused) return [`${kind}: ${refused}`];
  const noValue = () => {};
  return [...places(seen)]
    .filter((place) => !ANYTHING[document.kind]?.test(place.join('.')))
    .filter((place) => accepts(Model, replaced(seen, place, noValue)) === undefined)
    .map((place) => `${kind}: ${place.join('.')}: unknown to the schema`);
}

/** The configuration of the filter in a manifest, the cluster that it is to ask, and the variables that it needs. */
const PLUGINS = {
  'extensions.istio.io/v1alpha1 WasmPlugin': ({ spec }) => ({
    plugin: spec.pluginConfig,
    variables: spec.vmConfig.env.map(({ name }) => name),
  }),
  'extensions.istio.io/v1alpha1 TrafficExtension': ({ spec: { wasm } }) => ({
    plugin: wasm.pluginConfig,
    variables: wasm.vmConfig.env.map(({ name }) => name),
  }),
  'gateway.envoyproxy.io/v1alpha1 EnvoyExtensionPolicy': ({ spec: { wasm } }) => ({
    plugin: wasm[0].config,
    variables: wasm[0].env.hostKeys,
  }),
  'extensions.higress.io/v1alpha1 WasmPlugin': ({ spec }) => ({ plugin: spec.defaultConfig, variables: [] }),
};

/** The clusters that the documents make for other hosts, by the rules of their proxies. */
const CLUSTERS = {
  'networking.istio.io/v1 ServiceEntry': ({ spec }) => spec.ports.map(({ number }) => `outbound|${number}||${spec.hosts[0]}`),
  'networking.higress.io/v1 McpBridge': ({ spec }) =>
    spec.registries.map(({ name, type, port }) => `outbound|${port}||${name}.${type}`),
  'gateway.envoyproxy.io/v1alpha1 EnvoyProxy': ({ spec }) => spec.bootstrap.jsonPatches.map(({ value }) => value.name),
};

const each = (table, documents) =>
  documents.flatMap((document) => table[`${document.apiVersion} ${document.kind}`]?.(document) ?? []);

/** `{ plugin, variables }` of the one filter in these documents. */
export function pluginOf(documents) {
  const found = each(PLUGINS, documents);
  if (found.length !== 1) throw new Error(`${found.length} filters in one manifest`);
  return found[0];
}
export const clustersOf = (documents) => each(CLUSTERS, documents);
