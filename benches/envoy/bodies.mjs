// Two tool calls of MCP 2026-07-28, of about 1 KiB and 36 KiB.
const call = (length) => JSON.stringify({
  jsonrpc: '2.0', id: 1, method: 'tools/call',
  params: {
    name: 'add',
    arguments: { text: 'x'.repeat(length), list: Array.from({ length: Math.floor(length / 64) }, (_, k) => ({ k, v: 'abc' })) },
    _meta: { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' },
  },
});

export const BODIES = { '1k': call(660), '36k': call(28_100) };

export const MCP_HEADERS = {
  'content-type': 'application/json', 'accept': 'application/json, text/event-stream',
  'mcp-method': 'tools/call', 'mcp-name': 'add', 'mcp-protocol-version': '2026-07-28',
};
