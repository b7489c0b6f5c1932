// An upstream in place of the MCP server that answers as a test says.
import { createServer } from 'node:http';
import { createServer as createHttp2Server } from 'node:http2';
import { after } from 'node:test';
import { cluster } from '../../../testbed/envoy.mjs';

/** How Envoy is told that a cluster speaks HTTP/2. */
const HTTP2 = {
  typed_extension_protocol_options: {
    'envoy.extensions.upstreams.http.v3.HttpProtocolOptions': {
      '@type': 'type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions',
      'explicit_http_config': { http2_protocol_options: {} },
    },
  },
};

/** `upstream.answer(request, response)` can be exchanged at any time. `edit` puts it behind Envoy. */
export async function startUpstream({ http2 = false } = {}) {
  const upstream = { answer: (_request, response) => response.end() };
  const sessions = new Set();
  const create = http2 ? createHttp2Server : createServer;
  const server = create((request, response) => upstream.answer(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  server.on('session', (session) => sessions.add(session));
  after(() => {
    server.close();
    server.closeAllConnections?.();
    for (const session of sessions) session.destroy();
  });
  upstream.edit = (bootstrap) => {
    bootstrap.static_resources.clusters[0] = {
      ...cluster('mcp_server', server.address().port),
      ...(http2 && HTTP2),
    };
  };
  return upstream;
}
