// The real parts together: authorization server, MCP server, and Envoy with the filter in between.
import { join } from 'node:path';
import { startEnvoy } from './envoy.mjs';
import { PYTHON, TESTBED } from './paths.mjs';
import { freePort } from './ports.mjs';
import { start, stopAll } from './processes.mjs';
import { readRecord, readRuns } from './record.mjs';

const script = (name) => join(TESTBED, name);

/**
 * Starts the authorization server; tokens can be had for `resources` (a URL, URL=ALG, or URL=opaque). `forms(endpoint)`
 * are those that were posted to its endpoint 'token', 'introspection', or 'revocation':
 * `{ form, authorization, status, answer }`.
 */
export async function startAuthorizationServer({ directory, port, resources, issuerPath = '', alg = 'ES256', keys }) {
  const record = join(directory, 'authorization-server.requests.jsonl');
  const part = await start(
    'the authorization server',
    process.execPath,
    [
      script('authorization-server.mjs'),
      '--port',
      String(port),
      '--alg',
      alg,
      '--record',
      record,
      ...(issuerPath ? ['--issuer-path', issuerPath] : []),
      ...(keys ? ['--keys', keys] : []),
      ...resources.flatMap((resource) => ['--resource', resource]),
    ],
    { log: join(directory, 'authorization-server.log'), ready: /^issuer (\S+)/m },
  );
  const forms = (endpoint) =>
    readRuns(record)
      .filter(({ ran }) => ran === endpoint)
      .map(({ arguments: form }) => form);
  return Object.assign(part, { issuer: part.match[1], requests: () => readRecord(record), forms });
}

const TYPESCRIPT = { typescript: 'mcp-server.mjs', conformance: 'conformance-server.mjs' };

/** Starts the MCP server of the 'typescript' or the 'python' SDK, or the one for the 'conformance' suite. */
export async function startMcpServer({ directory, kind = 'typescript', port }) {
  const record = join(directory, 'mcp-server.requests.jsonl');
  const args = ['--port', String(port), '--record', record];
  const log = join(directory, 'mcp-server.log');
  const answers = () =>
    fetch(`http://127.0.0.1:${port}/ready`).then(
      () => true,
      () => false,
    );
  const part =
    kind === 'python'
      ? await start('the Python MCP server', PYTHON, [script('mcp_server.py'), ...args], { log, ready: answers })
      : await start('the TypeScript MCP server', process.execPath, [script(TYPESCRIPT[kind]), ...args], {
          log,
          ready: /listening/,
        });
  return Object.assign(part, {
    requests: () => readRecord(record).filter(({ url }) => url !== '/ready'),
    runs: () => readRuns(record),
  });
}

const PORTS = { listen: 8080, admin: 9901, authorizationServer: 9400, mcpServer: 9500 }; // those of envoy.yaml

/** A port for each part: that of envoy.yaml if it is wanted and free, else any free one. */
export async function choosePorts({ likeExample = false } = {}) {
  const ports = {};
  for (const [part, example] of Object.entries(PORTS)) ports[part] = await freePort(likeExample ? example : undefined);
  return ports;
}

/** Starts a stack on the ports of envoy.yaml, or on others where those are taken, even if only just now. */
export async function startLikeExample(options) {
  try {
    return await startStack({ ...options, ports: await choosePorts({ likeExample: true }) });
  } catch (error) {
    if (!/EADDRINUSE|address already in use/i.test(error.message)) throw error;
    await stopAll();
    return startStack(options);
  }
}

/**
 * Starts all three. `resources` are further paths on the same host, or URLs, that tokens can be had for; the example protects
 * only /mcp, so `edit(bootstrap, plugin)` has to declare those that Envoy shall protect too. An authorization server
 * that was left out is started by `restartAuthorizationServer`. `example` is the text of another example than envoy.yaml.
 */
export async function startStack({
  directory,
  ports,
  resources = [],
  kind,
  alg,
  keys,
  issuerPath,
  edit,
  example,
  workers,
  logLevel,
  withoutAuthorizationServer,
}) {
  ports ??= await choosePorts();
  const origin = `http://127.0.0.1:${ports.listen}`;
  const issuer = `http://127.0.0.1:${ports.authorizationServer}${issuerPath ?? ''}`;
  const tokensFor = {
    directory,
    port: ports.authorizationServer,
    resources: [`${origin}/mcp`, ...resources.map((resource) => new URL(resource, origin).href)],
    alg,
    keys,
    issuerPath,
  };
  const stack = { directory, ports, origin, issuer, url: `${origin}/mcp` };
  [stack.authorizationServer, stack.mcpServer] = await Promise.all([
    withoutAuthorizationServer ? undefined : startAuthorizationServer(tokensFor),
    startMcpServer({ directory, kind, port: ports.mcpServer }),
  ]);
  // last: it asks the authorization server for its keys at once
  stack.envoy = await startEnvoy({ directory, ...ports, issuer, workers, logLevel, edit, example });
  stack.restartAuthorizationServer = async (changes = {}) => {
    await stack.authorizationServer?.stop();
    stack.authorizationServer = await startAuthorizationServer({ ...tokensFor, ...changes });
  };
  stack.parts = () => [stack.envoy, stack.authorizationServer, stack.mcpServer].filter(Boolean);
  stack.stop = () => Promise.all(stack.parts().map((part) => part.stop()));
  return stack;
}
