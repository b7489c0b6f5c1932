// Sealed sessions: their settings, and more Envoys in front of the same MCP server.
import { randomBytes } from 'node:crypto';
import { request } from 'node:http';
import { after } from 'node:test';
import { connectionManagerOf, startEnvoy } from '../../../testbed/envoy.mjs';
import { runDirectory } from '../../../testbed/paths.mjs';
import { freePort } from '../../../testbed/ports.mjs';

const VARIABLE = 'MCP_SESSION_KEYS';
export const newKey = () => randomBytes(32).toString('base64url');

/** An `edit` that seals sessions with these keys, the first of them for new ones. */
export const withSessions =
  (keys, more = () => {}) =>
  (bootstrap, plugin, directory) => {
    plugin.resources[0].sessions = { key_variable: VARIABLE };
    const { config } = connectionManagerOf(bootstrap).http_filters[0].typed_config;
    config.vm_config.environment_variables = { key_values: { [VARIABLE]: keys.join(',') } };
    return more(bootstrap, plugin, directory);
  };

/**
 * Another Envoy for the resource of `stack`, on a port of its own: `{ url, host, output }`. Requests to `url` must name
 * `host`, as if a load balancer had passed them on.
 */
export async function startReplica(stack, edit, { workers } = {}) {
  const [listen, admin] = [await freePort(), await freePort()];
  const envoy = await startEnvoy({
    ...stack.ports,
    directory: runDirectory('e2e'),
    listen,
    admin,
    workers,
    issuer: stack.issuer,
    edit: (bootstrap, plugin, directory) => {
      plugin.resources[0].resource = stack.url;
      return edit(bootstrap, plugin, directory);
    },
  });
  after(() => envoy.stop());
  return { url: `http://127.0.0.1:${listen}/mcp`, host: new URL(stack.url).host, envoy };
}

/** The status of a GET whose answer may be a stream without end. */
export const statusOfGet = (url, headers) =>
  new Promise((resolve, reject) => {
    const outgoing = request(url, { headers: { accept: 'text/event-stream', ...headers }, agent: false }, (response) => {
      resolve(response.statusCode);
      outgoing.destroy();
    });
    outgoing.on('error', reject).setTimeout(30_000, () => reject(new Error(`no answer to GET ${url} within 30 s`)));
    outgoing.end();
  });
