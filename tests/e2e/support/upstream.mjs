// An upstream in place of the MCP server that answers as a test says.
import { createServer } from 'node:http';
import { after } from 'node:test';
import { cluster } from '../../../testbed/envoy.mjs';

/** `upstream.answer(request, response)` can be exchanged at any time. `edit` puts it behind Envoy. */
export async function startUpstream() {
  const upstream = { answer: (_request, response) => response.end() };
  const server = createServer((request, response) => upstream.answer(request, response));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  after(() => {
    server.close();
    server.closeAllConnections();
  });
  upstream.edit = (bootstrap) => {
    bootstrap.static_resources.clusters[0] = cluster('mcp_server', server.address().port);
  };
  return upstream;
}
