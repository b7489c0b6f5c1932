// Rules in the example's configuration, in both ways to hold a request.
import { connectionManagerOf } from '../../../testbed/envoy.mjs';

/** What of a request waits for the verdict on its body, and whether Envoy delivers bodies of paused requests. */
export const HOLDS = ['headers', 'body'];

/** An `edit` that gives the example's resource these settings and holds requests as `hold` says. */
export const withRules =
  (hold, settings, more = () => {}) =>
  (bootstrap, plugin, directory) => {
    plugin.hold_requests = hold;
    Object.assign(plugin.resources[0], settings);
    const { config } = connectionManagerOf(bootstrap).http_filters[0].typed_config;
    config.allow_on_headers_stop_iteration = hold === 'headers';
    return more(bootstrap, plugin, directory);
  };

/** A JSON-RPC request as text. */
export const call = (method, params, id = 7) => JSON.stringify({ jsonrpc: '2.0', id, method, params });
export const toolCall = (name, id) => call('tools/call', { name, arguments: {} }, id);
