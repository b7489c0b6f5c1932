// MCP requests of both eras, written by hand as a plain client would write them.
import { INITIALIZE, send } from './http.mjs';

export const ERAS = ['2025-11-25', '2026-07-28'];
export const VERSION_CLAIM = 'io.modelcontextprotocol/protocolVersion';

/** `params._meta` of a request of 2026-07-28. */
const META = {
  [VERSION_CLAIM]: '2026-07-28',
  'io.modelcontextprotocol/clientInfo': { name: 'test', version: '1' },
  'io.modelcontextprotocol/clientCapabilities': {},
};

/**
 * A client of an era: `{ era, headers, meta }` go with each of its requests. In the older era it introduces itself first,
 * and has a session if the server gives it one.
 */
export async function introduce(url, era, { token, headers = {} } = {}) {
  if (era === '2026-07-28') return { era, headers: { 'mcp-protocol-version': era }, meta: META };
  const answer = await send(url, { token, headers, body: INITIALIZE });
  if (answer.status !== 200) throw new Error(`${answer.status} to initialize: ${answer.body}`);
  const session = answer.header('mcp-session-id');
  const client = { era, headers: { 'mcp-protocol-version': era, ...(session && { 'mcp-session-id': session }) } };
  const body = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/initialized' });
  const { status } = await send(url, { token, headers: { ...headers, ...client.headers }, body });
  if (status !== 202) throw new Error(`${status} to notifications/initialized`);
  return client;
}

/** The headers that a client sends with a request. */
export const headersOf = ({ era, headers }, method, name) => ({
  ...headers,
  ...(era === '2026-07-28' && { 'mcp-method': method, ...(name && { 'mcp-name': name }) }),
});

/** A request of a client, for `send`. */
export const request = (client, method, params = {}, id = 7) => ({
  headers: headersOf(client, method, params.name ?? params.uri),
  body: JSON.stringify({ jsonrpc: '2.0', id, method, params: client.meta ? { ...params, _meta: client.meta } : params }),
});

/** The JSON-RPC message in an answer, be it JSON or an event stream. */
export function messageOf({ body }) {
  const data = /^data: ?(.*)$/m.exec(body)?.[1] ?? body;
  return JSON.parse(data);
}
