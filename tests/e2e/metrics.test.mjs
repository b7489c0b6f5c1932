// Promise: what the filter counts is in Envoy's Prometheus page under the names that README gives, with labels where
// Envoy is configured as README says; and every query of the Grafana dashboard finds what it asks for.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { promql, yaml } from '../../testbed/packages.mjs';
import { ROOT } from '../../testbed/paths.mjs';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { startEndpoint } from './support/endpoint.mjs';
import { send } from './support/http.mjs';
import { itStillServes, keysOf, useStack } from './support/stack.mjs';
import { GATEWAY, setVariables } from './support/variables.mjs';

const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
const { stats_config } = yaml.parse(/```yaml\n(stats_config:[^]*?)```/.exec(readme)[1]);
const dashboard = JSON.parse(readFileSync(join(ROOT, 'deploy/grafana.json'), 'utf8'));
const QUERIES = dashboard.panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, expr]));

const endpoint = await startEndpoint(() => ({ active: false }));
const AGENT = { client_id: GATEWAY.client_id, client_secret_variable: 'SECRET', cluster: 'endpoint' };
const edit = (settings, more = () => {}) => (bootstrap, plugin) => {
  setVariables(bootstrap, { SECRET: GATEWAY.secret });
  bootstrap.static_resources.clusters.push(cluster('endpoint', endpoint.port));
  plugin.authorization_servers[0].introspection = { ...AGENT, endpoint: endpoint.url };
  const { origin } = new URL(plugin.resources[0].resource);
  const scopes = { required: ['mcp:read'] };
  const token_exchange = { ...AGENT, endpoint: endpoint.url, audience: 'https://upstream.internal' };
  plugin.resources.push(
    { resource: `${origin}/trial`, scopes, report_only: true },
    { resource: `${origin}/exchanged`, scopes, upstream_credential: { token_exchange } },
  );
  Object.assign(plugin, settings);
  more(bootstrap);
};
const plain = await useStack({ edit: edit({}) });
const tagged = await useStack({
  edit: edit({ request_metrics: 'per_resource' }, (bootstrap) => Object.assign(bootstrap, { stats_config })),
});
const off = await useStack({ edit: edit({ request_metrics: 'off' }) });

/** The series of the filter on Envoy's Prometheus page: `{ name, type, labels, value }`. */
async function scrape(stack) {
  const page = await (await fetch(`http://127.0.0.1:${stack.ports.admin}/stats/prometheus`)).text();
  const series = [...page.matchAll(/^(mcp_oauth_\w+)\{(.*)\} (\S+)$/gm)];
  const types = new Map([...page.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  return series.map(([, name, labels, value]) => ({
    name,
    type: types.get(name),
    labels: Object.fromEntries([...labels.matchAll(/(\w+)="((?:[^"\\]|\\.)*)"/g)].map(([, label, text]) => [label, text])),
    value: Number(value),
  }));
}

const find = (series, name, labels = {}) =>
  series.filter((one) => one.name === name && Object.entries(labels).every(([label, value]) => one.labels[label] === value));
const valueOf = (series, name, labels) => find(series, name, labels).reduce((sum, { value }) => sum + value, 0);

function tokenFor(stack, path, changes) {
  const [key] = keysOf(stack);
  return forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, { ...goodClaims(stack.issuer, stack.origin + path), ...changes });
}

/** Traffic that makes every metric but those of misfortunes: what each request was answered. */
async function traffic(stack) {
  const good = tokenFor(stack, '/mcp');
  const statuses = [];
  for (const [path, request] of [
    ['/mcp', { token: good }],
    ['/mcp', { token: good }],
    ['/mcp', {}],
    ['/mcp', { token: tokenFor(stack, '/mcp', { exp: 1 }) }],
    ['/mcp', { token: 'opaque' }],
    ['/trial', {}],
    ['/trial', { token: tokenFor(stack, '/trial') }],
    ['/exchanged', { token: tokenFor(stack, '/exchanged') }],
    ['/elsewhere', {}],
    ['/.well-known/oauth-protected-resource/mcp', { method: 'GET' }],
  ])
    statuses.push((await send(stack.origin + path, request)).status);
  assert.deepEqual(statuses.slice(0, 5), [200, 200, 401, 401, 401]);
  assert.notEqual(statuses[5], 401, 'a report is no refusal');
  assert.deepEqual(statuses.slice(8), [404, 200]);
}

describe('without further configuration', () => {
  it('requests are counted by outcome and by reason', async () => {
    await traffic(plain);
    const series = await scrape(plain);
    const names = ['requests_allow', 'requests_deny', 'requests_answer', 'requests_report'];
    const [allow, deny, answer, report] = names.map((name) => valueOf(series, `mcp_oauth_${name}`));
    assert.deepEqual({ allow, deny, answer, report }, { allow: 3, deny: 5, answer: 1, report: 1 });
    const reasons = series.filter(({ name }) => /_(denied|reported)_/.test(name)).map(({ name, value }) => [name.slice(10), value]);
    assert.deepEqual(Object.fromEntries(reasons.filter(([, value]) => value)), {
      denied_missing_token: 1,
      denied_token_expired: 1,
      denied_token_inactive: 1,
      denied_unmatched: 1,
      denied_upstream_credential_unavailable: 1,
      reported_missing_token: 1,
    });
  });
  it('fetches, failures, the cache, the age of keys and what waits', async () => {
    const series = await scrape(plain);
    assert.ok(valueOf(series, 'mcp_oauth_fetches_keys') >= 2, 'metadata and keys');
    assert.equal(valueOf(series, 'mcp_oauth_fetch_failures_keys'), 0);
    assert.equal(valueOf(series, 'mcp_oauth_fetches_introspection'), 1);
    assert.equal(valueOf(series, 'mcp_oauth_fetch_failures_introspection'), 0);
    assert.equal(valueOf(series, 'mcp_oauth_fetches_token_endpoint'), 1);
    assert.equal(valueOf(series, 'mcp_oauth_fetch_failures_token_endpoint'), 1);
    assert.ok(valueOf(series, 'mcp_oauth_token_cache_miss') >= 4);
    assert.equal(valueOf(series, 'mcp_oauth_held_requests'), 0);
    const issuer = new URL(plain.issuer).host.replaceAll(/\W/g, '_').replaceAll('.', '_');
    const age = Date.now() / 1000 - valueOf(series, `mcp_oauth_keys_fetched_at_issuer_${issuer}`);
    assert.ok(age >= -1 && age < 120, `${age} s`);
  });
  it('hits are told within ten seconds of the next request', async () => {
    const good = tokenFor(plain, '/mcp');
    await until(
      'hits are told',
      async () => {
        await send(plain.url, { token: good });
        return valueOf(await scrape(plain), 'mcp_oauth_token_cache_hit');
      },
      { seconds: 25 },
    );
  });
  it('every metric that README names is there', async () => {
    const series = await scrape(plain);
    const [, section] = /\n## Metrics\n([^]*?)\n## /.exec(readme);
    const names = new Set();
    for (const [, cell] of section.matchAll(/^\| (`mcp_oauth_.*?`) \|/gm)) {
      let last;
      for (const [, text] of cell.matchAll(/`([^`]+)`/g)) {
        const name = text.startsWith('…') ? last.replace(/_[a-z]+$/, '') + text.slice(1) : text;
        last ??= name;
        names.add(name);
      }
    }
    assert.ok(names.size >= 15, [...names].join());
    for (const name of names) {
      const pattern = new RegExp(`^${name.replaceAll(/<\w+>/g, '\\w+')}$`);
      assert.ok(series.some((one) => pattern.test(one.name)), `${name} is not on the page`);
    }
  });
});

describe("with README's stats_tags and per_resource", () => {
  it('outcome and resource, reason, service and issuer are labels', async () => {
    await traffic(tagged);
    const series = await scrape(tagged);
    const host = new URL(tagged.origin).host.replaceAll(/[.:]/g, '_');
    const requests = (mcp_outcome, mcp_resource) => valueOf(series, 'mcp_oauth_requests', { mcp_outcome, mcp_resource });
    assert.equal(requests('allow', `${host}_mcp`), 2);
    assert.equal(requests('deny', `${host}_mcp`), 3);
    assert.equal(requests('answer', `${host}_mcp`), 1);
    assert.equal(requests('report', `${host}_trial`), 1);
    assert.equal(requests('allow', `${host}_trial`), 1);
    assert.equal(requests('deny', 'none'), 1);
    assert.equal(valueOf(series, 'mcp_oauth_denied', { mcp_reason: 'token_expired' }), 1);
    assert.equal(valueOf(series, 'mcp_oauth_fetches', { mcp_service: 'introspection' }), 1);
    for (const { name, labels } of series) assert.doesNotMatch(name, /resource|issuer_|_allow|token_expired/, JSON.stringify(labels));
  });
  it('there are queries, and a query with another name finds nothing', async () => {
    assert.ok(QUERIES.length >= 10);
    const series = await scrape(tagged);
    assert.throws(() => assertAnswers('sum(rate(mcp_oauth_renamed[5m]))', series));
    assert.throws(() => assertAnswers('sum by (mcp_other) (rate(mcp_oauth_requests[5m]))', series));
    assert.throws(() => assertAnswers('sum(rate(mcp_oauth_requests{mcp_outcome="x"}[5m]))', series));
    assert.throws(() => assertAnswers('sum by (mcp_outcome) (rate(mcp_oauth_requests[5m]', series));
    assert.throws(() => assertAnswers('sum(mcp_oauth_requests)', series));
    assert.throws(() => assertAnswers('rate(mcp_oauth_held_requests[5m])', series));
  });
  for (const [title, query] of QUERIES)
    it(`the dashboard's ${title}: ${query}`, async () => assertAnswers(query, await scrape(tagged)));
});

/**
 * A query is one, every metric of it is there, with the labels that it selects or groups by, and what is counted is asked for its
 * rate, and nothing else is.
 */
function assertAnswers(query, series) {
  const selectors = [];
  const grouped = [];
  const around = [];
  const text = ({ from, to }) => query.slice(from, to);
  promql.parse(query).iterate({
    enter(node) {
      assert.ok(!node.type.isError, `${query} is no PromQL at ${node.from}`);
      if (node.name === 'VectorSelector') selectors.push({ name: '', labels: {}, isRate: around.at(-1) === 'MatrixSelector' });
      if (node.name === 'Identifier' && around.at(-1) === 'VectorSelector') selectors.at(-1).name = text(node);
      if (node.name === 'UnquotedLabelMatcher') {
        const [, label, value] = /^(\w+)="([^"]*)"$/.exec(text(node));
        selectors.at(-1).labels[label] = value;
      }
      if (node.name === 'LabelName' && around.at(-1) === 'GroupingLabels') grouped.push(text(node));
      around.push(node.name);
    },
    leave: () => around.pop(),
  });
  assert.ok(selectors.length, `no metric in ${query}`);
  for (const { name, labels, isRate } of selectors) {
    const found = find(series, name, labels);
    assert.ok(found.length, `${name} with ${JSON.stringify(labels)} is not on the page`);
    assert.equal(found[0].type, isRate ? 'counter' : 'gauge', `${name} in ${query}`);
    for (const label of grouped) assert.ok(found.some((one) => one.labels[label]), `${name} has no label ${label}`);
  }
}

it('off: no request is counted, the rest is', async () => {
  await traffic(off);
  const series = await scrape(off);
  assert.deepEqual(series.filter(({ name }) => /_(requests_(allow|deny|answer|report)|denied|reported)/.test(name)), []);
  assert.ok(valueOf(series, 'mcp_oauth_fetches_keys') >= 2);
});

itStillServes(plain);
