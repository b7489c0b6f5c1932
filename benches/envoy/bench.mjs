// `make bench`: what does the filter cost, beside Envoy's own? One Envoy, one run, every case in turn, several rounds;
// medians. The measure is the CPU time of the Envoy process per request, less that of a request without any filter:
// throughput on a shared machine says little.
import { createServer } from 'node:http';
import { mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runDirectory, ROOT } from '../../testbed/paths.mjs';
import { freePort } from '../../testbed/ports.mjs';
import { stopAll } from '../../testbed/processes.mjs';
import { cluster, startBare } from '../../testbed/envoy.mjs';
import { BODIES, MCP_HEADERS } from './bodies.mjs';
import { bootstrap, buffer, claimHeaders, introspection, listener, mcp, native, ours } from './configuration.mjs';
import { load } from '../../testbed/load.mjs';
import { introspected, makeHolders, makeKeys, makeTokens } from './tokens.mjs';
import { report } from './report.mjs';

const { values: options } = parseArgs({ options: {
  rounds: { type: 'string', default: '5' }, requests: { type: 'string', default: '8000' },
  tokens: { type: 'string', default: '10000' }, only: { type: 'string', default: '' }, module: { type: 'string', default: '' }, plot: { type: 'boolean', default: false },
} });
const [ROUNDS, REQUESTS, TOKENS] = [options.rounds, options.requests, options.tokens].map(Number);
const MODULE = options.module || join(ROOT, 'target/mcp_resource_server.wasm');
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA'];
const HEADERS = [4, 12]; // how many claims go into headers, beside the four that are always there
const HOLDERS = 64; // of keys that prove: each client has its own
const MOST_MINUTES = 20;

/**
 * The cases: name → how its listener filters, which tokens it is asked with, and what it is compared with. New tokens are
 * more than the cache holds, in turn: each is read, verified, remembered and forgotten. Proofs are made before the time is
 * taken, so many as are asked for.
 */
function plan(jwks, tokens, proofs) {
  const cold = { token_cache: { max_entries: 64 } };
  const cases = new Map([['none', { filters: () => [], tokens: tokens.RS256 }]]);
  for (const algorithm of ALGORITHMS) {
    const name = algorithm.toLowerCase();
    const add = (kind, tokens, filters) => cases.set(`${kind}_${name}`, { filters, tokens });
    const [all, one] = [tokens[algorithm], tokens[algorithm].slice(0, 1)];
    add('native', all, (resource) => [native(resource, jwks)]);
    add('native_cached', one, (resource) => [native(resource, jwks, { cache: 1000 })]);
    add('warm', one, (resource) => [ours(MODULE, resource, jwks)]);
    if (algorithm !== 'EdDSA') add('cold', all, (resource) => [ours(MODULE, resource, jwks, { settings: cold })]);
    add('cold_in_wasm', all, (resource) => [ours(MODULE, resource, jwks, { settings: { ...cold, verify_signature: 'never' } })]);
  }
  cases.set('native_identity_rs256', { filters: (resource) => [native(resource, jwks, { identity: true })], tokens: tokens.RS256 });
  cases.set('warm_many_tokens', { filters: (resource) => [ours(MODULE, resource, jwks)], tokens: tokens.many });
  cases.set('native_cached_many_tokens', { filters: (resource) => [native(resource, jwks, { cache: 20_000 })], tokens: tokens.many });
  for (const resources of [100, 1000]) {
    cases.set(`warm_${resources}_resources`, { filters: (resource) => [ours(MODULE, resource, jwks, { resources })], tokens: tokens.RS256.slice(0, 1) });
  }
  cases.set('introspected_warm', { filters: (resource) => [ours(MODULE, resource, jwks, { server: introspection('introspection') })], tokens: ['opaque-aVeryLongTextThatNobodyCanGuess'] });
  cases.set('dpop', { filters: (resource) => [ours(MODULE, resource, jwks, { own: { dpop: {} } })], tokens: proofs });
  for (const count of [0, ...HEADERS]) {
    cases.set(`headers_${count}`, { filters: (resource) => [ours(MODULE, resource, jwks, { settings: claimHeaders(count) })], tokens: tokens.telling });
  }
  const ruled = { settings: { hold_requests: 'headers' }, rules: [{ tools: ['add'], scopes: ['mcp:write'] }] };
  for (const [size, body] of Object.entries(BODIES)) {
    // Each waits for the body: a listener that answers before it came closes the connection, which costs more than all else.
    const add = (kind, filters) => cases.set(`${kind}_body_${size}`, { filters: (resource) => [...filters(resource), buffer], tokens: tokens.RS256.slice(0, 1), body, base: `none_body_${size}` });
    add('none', () => []);
    add('native_cached_mcp', (resource) => [native(resource, jwks, { cache: 1000 }), mcp]);
    add('warm', (resource) => [ours(MODULE, resource, jwks, ruled)]);
  }
  // Everything is compared with no filter.
  return new Map([...cases].filter(([name]) => name.startsWith('none') || !options.only || new RegExp(options.only).test(name)));
}

/** CPU time that a process has used, in microseconds: the scheduler counts nanoseconds, one thread at a time. */
function cpu(pid) {
  const threads = readdirSync(`/proc/${pid}/task`);
  const nanoseconds = threads.map((thread) => Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]));
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1000;
}

const residentKiB = (pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);

const median = (numbers) => { const sorted = [...numbers].sort((a, b) => a - b); return sorted[sorted.length >> 1]; };

/** How long Envoy takes to serve, and how much memory it has when each worker has done so. */
async function startUp(directory, filters, ask, workers = 1) {
  const [port, admin] = [await freePort(), await freePort()];
  const began = performance.now();
  const envoy = await startBare({ directory, admin, workers, config: bootstrap(admin, [listener(port, filters)]) });
  const milliseconds = performance.now() - began;
  await load({ port, requests: 2000, ...ask });
  const kib = residentKiB(envoy.pid);
  await envoy.stop();
  return { milliseconds, kib };
}

/** The same several times: the middle of each figure. */
async function starts(directory, filters, ask, workers) {
  const all = [];
  for (let i = 0; i < 3; i++) all.push(await startUp(directory, filters, ask, workers));
  return { milliseconds: median(all.map(({ milliseconds }) => milliseconds)), kib: median(all.map(({ kib }) => kib)) };
}

async function main() {
  const directory = runDirectory('bench');
  console.log(`Bench: ${ROUNDS} rounds of ${REQUESTS} requests per case, ${TOKENS} tokens, ${availableParallelism()} cores`);
  const { jwks, keys } = makeKeys();
  const resource = 'https://mcp.example.com/demo/mcp';
  const tokens = makeTokens(keys, resource, TOKENS);
  const cases = plan(jwks, tokens, makeHolders(keys, resource, HOLDERS));
  const ports = new Map();
  for (const name of cases.keys()) ports.set(name, await freePort());

  const filter = [ours(MODULE, resource, jwks)];
  const ask = { tokens: tokens.RS256.slice(0, 1), resource };
  const [plain, filtered] = [await starts(directory, [], ask), await starts(directory, filter, ask)];
  const five = { plain: await starts(directory, [], ask, 5), filtered: await starts(directory, filter, ask, 5) };

  const [admin, asked] = [await freePort(), await freePort()];
  const answering = createServer((_request, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(introspected(resource)));
  await new Promise((resolve) => answering.listen(asked, '127.0.0.1', resolve));
  answering.unref();
  const listeners = [...cases].map(([name, { filters }]) => listener(ports.get(name), filters(resource)));
  const config = bootstrap(admin, listeners, [cluster('introspection', asked)]);
  const envoy = await startBare({ directory, admin, config });
  const samples = new Map([...cases.keys()].map((name) => [name, []]));
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, { tokens: given, body }] of cases) {
      // the first round warms up code and caches; every token must have been seen
      const requests = Math.max(round === 0 ? 1000 : REQUESTS, given instanceof Array ? given.length : 0);
      const tokens = given instanceof Array ? given : given(requests);
      const before = cpu(envoy.pid);
      const result = await load({ port: ports.get(name), tokens, requests, resource, body, headers: body && MCP_HEADERS });
      const microseconds = (cpu(envoy.pid) - before) / requests;
      if (round > 0) samples.get(name).push({ microseconds, ...result });
    }
    process.stdout.write(round === 0 ? '  warmed up\n' : `  round ${round} of ${ROUNDS}\n`);
  }
  const memory = residentKiB(envoy.pid);
  await envoy.stop();

  const each = (name, field) => samples.get(name).map((sample) => sample[field]);
  const middle = (name, field) => median(each(name, field));
  // Compared within a round, so that a slow minute of the machine is in both.
  const added = (name) => {
    const base = each(cases.get(name).base ?? 'none', 'microseconds');
    return median(each(name, 'microseconds').map((microseconds, round) => microseconds - base[round]));
  };
  const results = Object.fromEntries([...cases.keys()].map((name) => [name, {
    added_cpu_us: round2(added(name)), cpu_us: round2(middle(name, 'microseconds')),
    requests_per_second: Math.round(middle(name, 'requestsPerSecond')), p50_ms: middle(name, 'p50'), p99_ms: middle(name, 'p99'),
  }]));
  // What a header costs: the difference of two cases, by the headers that are between them.
  const perHeader = (count) => samples.has(`headers_${count}`) && samples.has('headers_0')
    ? round2(median(each(`headers_${count}`, 'microseconds').map((microseconds, round) => (microseconds - each('headers_0', 'microseconds')[round]) / count))) : undefined;
  const ratio = (of, to) => results[of] && results[to] && round2(results[of].added_cpu_us / results[to].added_cpu_us);
  const summary = {
    cases: results,
    ratios: {
      warm_rs256: ratio('warm_rs256', 'native_rs256'),
      cold_rs256: ratio('cold_rs256', 'native_rs256'), cold_es256: ratio('cold_es256', 'native_es256'),
      cold_eddsa: ratio('cold_in_wasm_eddsa', 'native_eddsa'),
      resources_1000: ratio('warm_1000_resources', 'warm_rs256'), tokens_10000: ratio('warm_many_tokens', 'warm_rs256'),
      introspected: ratio('introspected_warm', 'warm_rs256'), dpop: ratio('dpop', 'warm_rs256'),
      ...Object.fromEntries(HEADERS.map((count) => [`header_of_${count}_us`, perHeader(count)])),
      body_1k: ratio('warm_body_1k', 'native_cached_mcp_body_1k'), body_36k: ratio('warm_body_36k', 'native_cached_mcp_body_36k'),
      module_kib: Math.ceil(statSync(MODULE).size / 1024),
    },
    start_up: { plain_ms: Math.round(plain.milliseconds), filtered_ms: Math.round(filtered.milliseconds) },
    memory: { plain_kib: plain.kib, filtered_kib: filtered.kib, after_all_cases_kib: memory, filter_per_further_worker_kib: Math.round((five.filtered.kib - filtered.kib - five.plain.kib + plain.kib) / 4) },
    rounds: ROUNDS, requests: REQUESTS,
  };
  mkdirSync(join(ROOT, 'target'), { recursive: true });
  writeFileSync(join(ROOT, 'target/bench.json'), `${JSON.stringify(summary, null, 2)}\n`);
  report(summary, { plot: options.plot && !options.only && join(ROOT, 'docs/bench.svg') });
}

const round2 = (number) => Math.round(number * 100) / 100;

const deadline = setTimeout(() => { console.error(`bench: not done after ${MOST_MINUTES} minutes; cure: fewer --rounds or --requests`); stopAll().finally(() => process.exit(1)); }, MOST_MINUTES * 60_000);
try { await main(); } finally { clearTimeout(deadline); await stopAll(); }
