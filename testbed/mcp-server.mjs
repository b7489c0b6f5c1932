// A real MCP server on the official TypeScript SDK. One endpoint, both eras: 2026-07-28 and, from the same tools,
// 2025-11-25. It answers at every path, so that several resources can share it.
//
//   node mcp-server.mjs [--port N] [--record FILE]
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { createMcpHandler, McpServer } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import * as z from 'zod/v4';
import { recorded, recordRun } from './record.mjs';

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: '0' }, record: { type: 'string' } },
});
const text = (value) => ({ content: [{ type: 'text', text: value }] });

function tools() {
  const server = new McpServer({ name: 'testbed-typescript', version: '1.0.0' });
  server.registerTool(
    'echo',
    { description: 'Says the message back', inputSchema: z.object({ message: z.string() }) },
    ({ message }) => {
      recordRun(options.record, 'echo', { message });
      return text(message);
    },
  );
  server.registerTool(
    'slow',
    { description: 'Reports progress, then answers', inputSchema: z.object({ steps: z.number(), ms: z.number() }) },
    async ({ steps, ms }, { mcpReq }) => {
      recordRun(options.record, 'slow', { steps, ms });
      const progressToken = mcpReq._meta?.progressToken;
      for (let progress = 1; progress <= steps; progress++) {
        await new Promise((resolve) => setTimeout(resolve, ms));
        if (progressToken !== undefined)
          await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: steps } });
      }
      return text(`done ${steps}`);
    },
  );
  return server;
}

const handler = createMcpHandler(tools, {
  legacy: 'stateless',
  onerror: (error) => console.error(`mcp: ${error.message}`),
});
const server = createServer(recorded(options.record, toNodeHandler(handler)));
server.listen(Number(options.port), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
