// Envoy as operators run it who change it while it serves: its listener comes from a file that is replaced (LDS), and it
// can be replaced itself (hot restart).
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectionManagerOf, render, startBare, version } from '../../testbed/envoy.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from '../e2e/support/http.mjs';

const DRAIN = 10; // seconds, in which what is held has to be answered
const PARENT = 15; // … and until the old Envoy goes
const LISTENER = 'type.googleapis.com/envoy.config.listener.v3.Listener';
const IDLE = {
  'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
    '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
    'common_http_protocol_options': { idle_timeout: '2s' },
    'explicit_http_config': { http_protocol_options: {} },
  },
};
const HELD = 'wasmcustom.mcp_oauth.held_requests';
/** What must be 0 when nobody asks anything. */
const ACTIVE = [HELD, 'http.mcp.downstream_rq_active', 'cluster.mcp_server.upstream_rq_active', 'cluster.authorization_server.upstream_rq_active'];

/** `edit(bootstrap, plugin)` as in testbed/envoy.mjs; `places` are the ports and the issuer. */
export async function startProxy({ directory, places, edit }) {
  const listeners = join(directory, 'listeners');
  const accessLog = join(directory, 'access.log');
  mkdirSync(listeners);

  function configure(change) {
    const text = render({
      ...places,
      directory,
      edit: (bootstrap, plugin) => {
        bootstrap.node = { id: 'faults', cluster: 'faults' };
        bootstrap.dynamic_resources = {
          lds_config: { resource_api_version: 'V3', path_config_source: { path: join(listeners, 'lds.json'), watched_directory: { path: listeners } } },
        };
        connectionManagerOf(bootstrap).access_log = [
          {
            name: 'envoy.access_loggers.file',
            typed_config: {
              '@type': 'type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog',
              'path': accessLog,
              'log_format': {
                text_format_source: { inline_string: '%REQ(X-FAULT-ID)% %RESPONSE_CODE% %RESPONSE_FLAGS% %DURATION% %RESPONSE_CODE_DETAILS%\n' },
              },
            },
          },
        ];
        // Node closes a connection that is idle for 5 s, perhaps in the moment in which Envoy sends a request over it
        for (const cluster of bootstrap.static_resources.clusters) cluster.typed_extension_protocol_options = IDLE;
        edit(bootstrap, plugin);
        return change?.(plugin);
      },
    });
    const bootstrap = JSON.parse(text);
    const [listener] = bootstrap.static_resources.listeners.splice(0);
    return { bootstrap, lds: JSON.stringify({ resources: [{ '@type': LISTENER, ...listener }] }) };
  }
  /** Replaced in one step: Envoy must not read half a file. */
  function write(lds) {
    writeFileSync(join(directory, 'lds.json'), lds);
    renameSync(join(directory, 'lds.json'), join(listeners, 'lds.json'));
  }

  const first = configure();
  let current = first.lds;
  write(current);
  const baseId = join(directory, 'base-id');
  const common = ['--drain-time-s', String(DRAIN), '--parent-shutdown-time-s', String(PARENT), '--file-flush-interval-msec', '100'];
  const launch = (epoch, args) =>
    startBare({
      directory,
      admin: places.admin,
      config: first.bootstrap,
      workers: 2,
      logLevel: 'info',
      name: `envoy-${epoch}`,
      args: ['--restart-epoch', String(epoch), ...args, ...common],
    });
  const proxy = { accessLog, epochs: [] };
  // Envoy leaves behind the memory that two of them share
  process.once('exit', () => existsSync(baseId) && rmSync(`/dev/shm/envoy_shared_memory_${Number(readFileSync(baseId, 'utf8')) * 10}`, { force: true }));
  proxy.part = await launch(0, ['--use-dynamic-base-id', '--base-id-path', baseId]);
  proxy.epochs.push(proxy.part);

  // each over a connection of its own: one that is kept open is answered by the old Envoy for as long as that is there
  const admin = async (path) => (await send(`http://127.0.0.1:${places.admin}${path}`, { method: 'GET' })).body;
  /** Values by name, of all that is there. */
  proxy.stats = async (names) => {
    const filter = encodeURIComponent(`^(${names.join('|').replaceAll('.', '\\.')})$`);
    const found = [...(await admin(`/stats?filter=${filter}`)).matchAll(/^(\S+): (\d+)$/gm)];
    return Object.fromEntries(found.map(([, name, value]) => [name, Number(value)]));
  };
  const stat = async (name) => (await proxy.stats([name]))[name] ?? 0;
  proxy.held = () => stat(HELD);
  proxy.active = async () => {
    const values = await proxy.stats(ACTIVE);
    const missing = ACTIVE.filter((name) => !(name in values));
    if (missing.length) throw new Error(`Envoy has no ${missing.join()}`); // a name that is gone would be 0 for ever
    return values;
  };
  proxy.memory = async () => {
    const { allocated } = JSON.parse(await admin('/memory'));
    const [, resident] = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${proxy.part.pid}/status`, 'utf8'));
    return { allocated: Number(allocated) / 2 ** 20, resident: Number(resident) / 1024 };
  };

  /** Resolves to whether Envoy took it. */
  async function push(lds) {
    const [success, rejected] = ['listener_manager.lds.update_success', 'listener_manager.lds.update_rejected'];
    const before = await proxy.stats([success, rejected]);
    write(lds);
    const after = await until('Envoy has read its listener', async () => {
      const now = await proxy.stats([success, rejected]);
      return (now[success] !== before[success] || now[rejected] !== before[rejected]) && now;
    });
    return after[rejected] === before[rejected];
  }
  /** Delivers the configuration with a change of the plugin's; resolves to whether Envoy took it. */
  proxy.deliver = async (change) => {
    const next = configure(change).lds;
    const taken = await push(next);
    if (taken) current = next;
    else await push(current); // as an operator would; and the next Envoy reads the same file
    return taken;
  };
  proxy.drained = () =>
    until(
      'old listeners are gone',
      async () => {
        const names = ['listener_manager.total_filter_chains_draining', 'listener_manager.total_listeners_draining', 'listener_manager.total_listeners_warming'];
        const values = Object.values(await proxy.stats(names));
        return values.length === names.length && values.every((value) => value === 0);
      },
      { seconds: DRAIN + 20, every: 200 },
    );
  /** A second Envoy takes over; resolves once it serves. `gone` of the first one resolves when that has ended. */
  proxy.restart = async () => {
    const old = proxy.part;
    const epoch = proxy.epochs.length;
    const id = readFileSync(baseId, 'utf8').trim();
    proxy.part = await launch(epoch, ['--base-id', id]);
    proxy.epochs.push(proxy.part);
    await until('the new Envoy has the admin interface', async () => {
      const info = await admin('/server_info').then(JSON.parse, () => undefined);
      return info?.command_line_options?.restart_epoch === epoch && info.state === 'LIVE';
    });
    return old;
  };
  proxy.gone = (old) =>
    Promise.race([
      old.crashed,
      new Promise((_, reject) => {
        setTimeout(() => reject(new Error('the old Envoy did not go')), (PARENT + 20) * 1000).unref();
      }),
    ]);
  proxy.version = version().split('/')[1];
  proxy.stop = () => Promise.all(proxy.epochs.map((part) => part.stop()));
  return proxy;
}

/** The commit, and whether there is more than it. */
export const commit = (cwd) => {
  const git = (...args) => execFileSync('git', args, { cwd, encoding: 'utf8' }).trim();
  return git('rev-parse', '--short', 'HEAD') + (git('status', '--porcelain') ? ' with changes' : '');
};
