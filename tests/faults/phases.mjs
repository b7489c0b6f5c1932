// What goes wrong, in order. Each phase gets the world and leaves it well again; it resolves to what was measured, as texts.
import { until } from '../../testbed/until.mjs';
import { newKey } from './kinds.mjs';

const pass = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
const since = (start) => (performance.now() - start) / 1000;
const told = (seconds) => `${seconds.toFixed(1)} s`;

/**
 * Waits until every kind of answer is that of a well system again, from all workers, and says how long it took. Until then the
 * answers of a fault are documented ones. `seconds`: the longest pause between two tries of the filter's is 30.
 */
async function recovers({ traffic }, seconds = 45) {
  const start = performance.now();
  const probes = ['good, new', 'good, introspected', 'unknown key', 'forged'];
  await until(
    `all is well again: ${probes.join(', ')}`,
    async () => {
      // enough of each that no worker is left out: the system deals connections out to them at random
      const entries = await Promise.all(probes.flatMap((kind) => Array.from({ length: 12 }, () => traffic.ask(kind))));
      return entries.every(({ status, kind }) => status === kind.well[0]);
    },
    { seconds, every: 250 },
  );
  traffic.fault = false;
  return since(start);
}

/** The keys change: a new one comes now, and the oldest goes when there are more than `most`. */
function rotate({ ring, front }, most) {
  const key = newKey();
  key.publishedAt = Date.now();
  ring.push(key);
  const current = ring.filter(({ removedAt }) => removedAt === Infinity);
  for (const gone of current.slice(0, Math.max(0, current.length - most))) gone.removedAt = Date.now();
  front.keys = ring.filter(({ removedAt }) => removedAt === Infinity).map((one) => one.public);
  return key;
}
function retireAll({ ring, front }) {
  front.keys = [];
  for (const key of ring) key.removedAt = Math.min(key.removedAt, Date.now());
}

/**
 * `count` good requests that are held: the server is silent, and their key is one that nobody has yet. Where the keys were fetched
 * a moment ago such a token is refused (decision 5), and another one is sent in its place.
 */
async function holdGood(world, count) {
  const { proxy, traffic, front } = world;
  traffic.fault = true;
  front.mode = 'is silent';
  await until('the server has answered what it was asked before', () => front.passing === 0);
  rotate(world, 5);
  const asked = new Set();
  await until(
    `${count} requests are held`,
    async () => {
      while (asked.size < count) {
        const answer = traffic.ask('good, changing key');
        asked.add(answer);
        answer.then(({ status }) => status === 401 && asked.delete(answer));
      }
      return (await proxy.held()) >= count && asked.size === count;
    },
    { every: 300 },
  );
  return asked;
}
async function releaseGood(world, asked, what) {
  world.front.release();
  const entries = await Promise.all(asked);
  const bad = entries.filter(({ status }) => status !== 200);
  if (bad.length) throw new Error(`${bad.length} of ${entries.length} good requests that were held ${what} were answered ${bad[0].status ?? bad[0].error} (${bad[0].id})`);
}

async function baseline(_world, seconds) {
  await pass(seconds / 2);
  return [];
}

async function killed(world, seconds) {
  const { traffic, front, server, tokens } = world;
  /** Dead for a time, with connections that die (its machine's proxy is there) or that are refused; until all is well again. */
  async function dies(time, refused) {
    traffic.fault = true;
    server.kill();
    if (refused) await front.close();
    await pass(time);
    if (!refused) await front.close();
    await server.start();
    // It has forgotten its opaque tokens: those from before are no good ones any more, once it can be asked again.
    tokens.opaque = undefined;
    await until('nobody uses them', () => ![...traffic.open].some(({ kind }) => kind.name === 'good, introspected'));
    await server.issue();
    await front.listen();
    return recovers(world);
  }
  const said = [];
  for (const [time, refused] of [
    [seconds / 5, false],
    [seconds, true],
  ])
    said.push(`well again ${told(await dies(time, refused))} after ${told(time)}`);
  return said;
}

async function slowed(world, seconds) {
  const { traffic, front } = world;
  traffic.fault = true;
  front.mode = 'delays';
  await pass(seconds / 2);
  front.mode = 'drips';
  await pass(seconds / 2);
  front.release();
  return [`well again after ${told(await recovers(world))}`];
}

async function rotation(world, seconds) {
  const { traffic } = world;
  let turns = 0;
  const timer = setInterval(() => {
    rotate(world, 5);
    turns++;
  }, 1000);
  await pass(seconds);
  clearInterval(timer);
  // the last one stays until every worker knows it
  const start = performance.now();
  await until('the newest key is known to every worker', async () => {
    const entries = await Promise.all(Array.from({ length: 12 }, () => traffic.ask('good, changing key')));
    return entries.every(({ status }) => status === 200);
  }, { seconds: 10, every: 100 });
  const known = since(start);
  retireAll(world);
  const gone = performance.now();
  await until('no worker takes a key that has gone', async () => {
    const entries = await Promise.all(Array.from({ length: 12 }, () => traffic.ask('retired key')));
    return entries.every(({ status }) => status === 401);
  }, { seconds: 30, every: 250 });
  return [`${turns} keys`, `the last one known to both workers after ${told(known)}`, `all refused ${told(since(gone))} after their end`];
}

const HELD_LONGEST = 45_000; // ms, with these timeouts
/** The configuration with longer timeouts, so that what is held stays so; `strict` asks for a scope that `lesser` tokens lack. */
const settings = (strict) => (plugin) => {
  const [server] = plugin.authorization_servers;
  server.fetch_timeout = '20s';
  server.introspection.timeout = '20s';
  plugin.resources[0].scopes.required = strict ? ['mcp:read', 'mcp:write'] : ['mcp:read'];
};

async function reloaded(world, seconds) {
  const { proxy, traffic } = world;
  let [deliveries, mistakes, held] = [0, 0, 0];
  const deliver = async (strict) => {
    if (!(await proxy.deliver(settings(strict)))) throw new Error('Envoy refused a good configuration');
    deliveries++;
  };
  traffic.fault = true; // what is new begins without keys
  await deliver(false);
  await recovers(world);
  traffic.longest = HELD_LONGEST;
  const begin = performance.now();
  for (let strict = true; since(begin) < seconds || strict === false; strict = !strict) {
    const asked = await holdGood(world, 20);
    held += asked.size;
    traffic.strict = undefined;
    await deliver(strict);
    await releaseGood(world, asked, 'while the configuration changed');
    await recovers(world);
    const wanted = strict ? 403 : 200;
    await until(
      'the new configuration is in force',
      async () => {
        const entries = await Promise.all(Array.from({ length: 12 }, () => traffic.ask('lesser')));
        return entries.every(({ status }) => status === wanted);
      },
      { seconds: 10, every: 100 },
    );
    traffic.strict = strict;
    if (await proxy.deliver((plugin) => void (plugin.resources[0].scopes.requierd = []))) throw new Error('Envoy took a configuration with a mistake');
    mistakes++;
    await pass(1); // traffic with it, before the next change
  }
  await proxy.drained();

  // The server stays silent for longer than Envoy lets old connections live: Envoy cuts them, and nothing of them may stay behind
  const cut = await holdGood(world, 20);
  traffic.mayBeCut = true;
  for (const entry of traffic.open) entry.mayBeCut = true;
  const strict = !traffic.strict;
  traffic.strict = undefined;
  await deliver(strict);
  traffic.mayBeCut = false;
  await proxy.drained();
  const ended = (await Promise.all(cut)).filter(({ error }) => error).length;
  if (ended !== cut.size) throw new Error(`of ${cut.size} requests that were held for longer than Envoy drains it cut ${ended}`);
  world.front.release();
  await recovers(world);
  traffic.strict = strict;

  // Envoy itself is replaced, while requests are held in the old one
  const asked = await holdGood(world, 20);
  held += asked.size;
  const old = await proxy.restart();
  await releaseGood(world, asked, 'while Envoy was replaced');
  await recovers(world);
  await proxy.gone(old);
  retireAll(world);
  return [`${deliveries} configurations delivered`, `${mistakes} with a mistake refused`, `${held} good requests held meanwhile, all served`, `${ended} held for longer than Envoy drains`, 'one hot restart'];
}

const CLIENTS = 1000;
const STAY = 20;
// Some KiB that each client left behind would be more than the bound in so many rounds, and one round takes a second.
const ROUNDS = 20;

async function left(world) {
  const { proxy, traffic, memory } = world;
  traffic.fault = true;
  // the timeouts of the phase before, which may have been left out
  if (!(await proxy.deliver(settings(traffic.strict)))) throw new Error('Envoy refused a good configuration');
  await recovers(world);
  traffic.longest = HELD_LONGEST;
  let most = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const staying = await holdGood(world, STAY);
    await world.server.issue(); // an opaque token that nobody has asked about: its question is held too
    const leaving = [];
    const gone = Array.from({ length: CLIENTS }, (_, i) =>
      traffic.ask(['good, changing key', 'unknown key', 'good, changing key', 'good, introspected'][i % 4], (entry) => leaving.push(entry)),
    );
    const held = await until(`${CLIENTS + STAY} requests are held`, async () => {
      const now = await proxy.held();
      return now >= CLIENTS + STAY && now;
    }, { seconds: 15, every: 50 });
    most = Math.max(most, held);
    for (const entry of leaving) entry.leave();
    await Promise.all(gone);
    await until('the filter has noticed who left', async () => (await proxy.held()) <= traffic.open.size, { every: 50 });
    await releaseGood(world, staying, 'while others left');
    await recovers(world);
    memory.push(await proxy.memory());
  }
  retireAll(world);
  return [`${ROUNDS} rounds`, `at most ${most} held at a time`, `${ROUNDS * STAY} that stayed were served`];
}

/** name → what it does. */
export const PHASES = {
  'baseline': baseline,
  'authorization server killed': killed,
  'authorization server slowed': slowed,
  'keys change every second': rotation,
  'Envoy reloaded': reloaded,
  '1 000 clients leave': left,
};
