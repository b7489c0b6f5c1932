// `make faults`: traffic of all kinds through a real Envoy while everything around it fails, and what must be true all the same:
// nothing is wrongly allowed, nothing is stuck, all is well again soon, and memory stays level.
//
//   FAULTS_SECONDS=25   how long a phase lasts
//   FAULTS_ONLY='a, b'  only phases whose names begin so; the page then stays as it is
//   FAULTS_BREAK=...    breaks what is promised, so that the run must fail: `report-only`, `forged`, `stuck`, `open`, `memory`
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { ROOT, runDirectory } from '../../testbed/paths.mjs';
import { freePort } from '../../testbed/ports.mjs';
import { stopAll } from '../../testbed/processes.mjs';
import { choosePorts, startAuthorizationServer, startMcpServer } from '../../testbed/stack.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { withRules } from '../e2e/support/rules.mjs';
import { keysFile } from '../e2e/support/stack.mjs';
import { GATEWAY, setVariables } from '../e2e/support/variables.mjs';
import { echo, FETCH_TIMEOUT, KEY_KNOWN, KEY_LIFETIME, KEYS_MAX_AGE, kinds } from './kinds.mjs';
import { startFront } from './front.mjs';
import { startJudge } from './judge.mjs';
import { PHASES } from './phases.mjs';
import { commit, startProxy } from './proxy.mjs';
import { section, writeSection } from './report.mjs';
import { Traffic } from './traffic.mjs';

const PER_SECOND = 60;
const SECONDS = Number(process.env.FAULTS_SECONDS ?? 25);
const ONLY = (process.env.FAULTS_ONLY ?? '').split(/,\s*/).filter(Boolean);
const BREAK = process.env.FAULTS_BREAK ?? '';
// MiB that may be more after the last round of leaving clients than after the first: less than a KiB of each client.
const BOUNDS = { keyKnown: KEY_KNOWN, keyLifetime: KEY_LIFETIME, resident: 16, allocated: 8 };
const DIRECTORY = runDirectory('faults');
if (!(SECONDS >= 5 && SECONDS <= 120)) throw new Error(`FAULTS_SECONDS must be 5 to 120: ${process.env.FAULTS_SECONDS}`);

/** Starts all that there is. */
async function start() {
  const ports = await choosePorts();
  const front = await startFront({ port: await freePort(), backend: ports.authorizationServer });
  const origin = `http://127.0.0.1:${ports.listen}`;
  const [url, opaque] = [`${origin}/mcp`, `${origin}/opaque`];
  const world = { origin, front, ring: [], tokens: {}, memory: [], parts: new Set() };

  let part;
  world.server = {
    async start() {
      const resources = [url, `${opaque}=opaque`];
      part = await startAuthorizationServer({ directory: DIRECTORY, port: ports.authorizationServer, resources, keys: keysFile(DIRECTORY) });
      world.issuer = part.issuer;
    },
    kill: () => process.kill(part.pid, 'SIGKILL'),
    /** New tokens: those from before run out. */
    async issue() {
      const [jwt, other] = await Promise.all([machineToken(part.issuer, url, 'mcp:read mcp:write'), machineToken(part.issuer, opaque)]);
      Object.assign(world.tokens, { jwt, opaque: other });
    },
  };
  await world.server.start();
  world.mcpServer = await startMcpServer({ directory: DIRECTORY, port: ports.mcpServer });
  await world.server.issue();
  world.key = JSON.parse(readFileSync(keysFile(DIRECTORY), 'utf8')).keys.find(({ alg }) => alg === 'ES256');
  if (BREAK === 'forged') world.forger = world.key;

  const settings = { rules: [{ tools: ['slow'], scopes: ['mcp:admin'] }] };
  const edit = withRules('headers', settings, (bootstrap, plugin) => {
    setVariables(bootstrap, { INTROSPECTION_SECRET: GATEWAY.secret });
    Object.assign(plugin.authorization_servers[0], {
      refetch_cooldown: '1s',
      fetch_timeout: `${FETCH_TIMEOUT}ms`,
      keys_max_age: `${KEYS_MAX_AGE}ms`,
      keys_max_stale: '20s', // so that a phase in which the server is dead goes beyond it
      introspection: {
        endpoint: `${world.issuer}/token/introspection`,
        client_id: GATEWAY.client_id,
        client_secret_variable: 'INTROSPECTION_SECRET',
        max_age: '1s',
        inactive_max_age: '1s',
      },
    });
    plugin.resources.push({ resource: opaque, scopes: { required: ['mcp:read'] } });
    plugin.token_cache = { max_entries: 256 }; // full soon, so that what grows after that is no cache
    if (BREAK === 'report-only') plugin.resources[0].report_only = true;
  });
  world.proxy = await startProxy({ directory: DIRECTORY, places: { ...ports, authorizationServer: front.port, issuer: world.issuer }, edit });
  world.traffic = new Traffic(kinds(world), origin, PER_SECOND);
  if (BREAK === 'stuck') front.release = () => {};
  return world;
}

/** What no request shows: that Envoy is at rest and well, and that nothing is in its log that must not be. */
async function atRest({ proxy, mcpServer, traffic }, wrong) {
  const say = (what) => wrong.push({ id: '-', what });
  let values;
  await until(
    'Envoy is at rest',
    async () => {
      values = await proxy.active();
      return Object.values(values).every((value) => value === 0);
    },
    { seconds: 15, every: 100 },
  ).catch((error) => say(`STUCK: ${error.message}: ${JSON.stringify(values)}`));
  const entry = await traffic.ask('good, new');
  if (entry.status !== 200) say(`after all that Envoy answers ${entry.status ?? entry.error}`);
  for (const { output } of proxy.epochs) {
    if (/proxy_on_|wasm trap|Unreachable|panic/.test(output)) say('the module trapped: see the log of Envoy');
    if (/eyJ[\w-]{8}/.test(output)) say("the beginning of a JWT is in Envoy's log");
  }
  for (const running of [proxy.part, mcpServer]) {
    const cause = await Promise.race([running.crashed, undefined]);
    if (cause) say(`${running.name}: ${cause}`);
  }
}

function memoryIsLevel({ memory }, wrong) {
  for (const what of ['resident', 'allocated']) {
    const more = memory.at(-1)[what] - memory[0][what];
    if (more > BOUNDS[what]) wrong.push({ id: '-', what: `MEMORY: ${what} grew by ${more.toFixed(1)} MiB in ${memory.length} rounds, and may by ${BOUNDS[what]}: ${memory.map((it) => it[what].toFixed(1))}` });
  }
}

/** Requests whose bodies do not come to their end: what `open` and `memory` break. */
function neverEnd({ origin, traffic }, count, bytes) {
  const { port } = new URL(origin);
  const { token } = traffic.kinds.get('good, new').make();
  for (let i = 0; i < count; i++) {
    const body = echo('-').padEnd(bytes);
    const head = ['POST /mcp HTTP/1.1', `host: 127.0.0.1:${port}`, `authorization: Bearer ${token}`, 'content-type: application/json', 'content-length: 1000000', '', ''];
    const socket = connect(port, '127.0.0.1', () => socket.write(head.join('\r\n') + body));
    socket.on('error', () => {}).unref();
  }
}

async function run(world) {
  const { traffic } = world;
  const judge = startJudge({ accessLog: world.proxy.accessLog, record: join(DIRECTORY, 'mcp-server.requests.jsonl') });
  if (BREAK === 'memory') world.memory.push = (value) => (neverEnd(world, 40, 800_000), Array.prototype.push.call(world.memory, value));
  const results = [];
  for (const [name, phase] of Object.entries(PHASES)) {
    if (ONLY.length && !ONLY.some((wanted) => name.startsWith(wanted))) continue;
    const began = performance.now();
    const wrong = [];
    let figures = [];
    await world.server.issue();
    traffic.start();
    try {
      figures = await phase(world, SECONDS);
    } catch (error) {
      wrong.push({ id: '-', what: error.message });
      world.front.release();
    }
    if (BREAK === 'open') neverEnd(world, 3, 1000);
    await traffic.pause().catch((error) => wrong.push({ id: '-', what: `STUCK: ${error.message}` }));
    await atRest(world, wrong);
    const counts = await judge(traffic.take());
    wrong.push(...counts.wrong);
    if (phase === PHASES['1 000 clients leave'] && world.memory.length) memoryIsLevel(world, wrong);
    const took = ((performance.now() - began) / 1000).toFixed(0);
    console.log(`   ${name}: ${counts.sent} requests in ${took} s, ${counts.allowed} allowed, ${counts.refused} refused, ${counts.unavailable} × 503, ${counts.left} left. ${figures.join(', ')}`);
    writeFileSync(join(DIRECTORY, `${name}.json`), JSON.stringify(counts, null, 1)); // what was answered to which kind, and why
    results.push({ name, figures, counts });
    if (!wrong.length) continue;
    for (const { id, what } of wrong.slice(0, 20)) console.error(`   FAILED in '${name}', request ${id}: ${what}`);
    console.error(`   ${wrong.length} in all. Logs are in ${DIRECTORY}`);
    return undefined; // what comes next would fail for this
  }
  return results;
}

const began = Date.now();
const limit = setTimeout(() => {
  console.error(`   FAILED: the run takes too long. Logs are in ${DIRECTORY}`);
  stopAll().finally(() => process.exit(1));
}, (SECONDS * 8 + 420) * 1000);
let world;
let code = 1;
try {
  console.log(`   ${SECONDS} s per phase; logs in ${DIRECTORY}`);
  world = await start();
  const phases = await run(world);
  if (phases) {
    code = 0;
    const facts = { phases, memory: world.memory, bounds: BOUNDS, version: world.proxy.version, commit: commit(ROOT), secondsPerPhase: SECONDS, perSecond: PER_SECOND };
    const whole = !ONLY.length && !BREAK;
    if (whole) writeSection(join(ROOT, 'docs/hardening.md'), 'Faults', section({ ...facts, minutes: (Date.now() - began) / 60_000 }));
    console.log(whole ? '   All of it held; docs/hardening.md has the figures.' : '   All of it held; a part only, so docs/hardening.md stays as it is.');
  }
} catch (error) {
  console.error(`   FAILED: ${error.stack}\n   Logs are in ${DIRECTORY}`);
}
clearTimeout(limit);
await world?.proxy.stop();
await stopAll();
process.exit(code);
