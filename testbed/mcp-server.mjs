// A real MCP server on the official TypeScript SDK. One endpoint, both eras: 2026-07-28 and, from the same tools,
// 2025-11-25. It answers at every path, so that several resources can share it.
//
//   node mcp-server.mjs [--port N] [--record FILE]
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';
import { completable, createMcpHandler, McpServer, ResourceTemplate } from '@modelcontextprotocol/server';
import { toNodeHandler } from '@modelcontextprotocol/node';
import * as z from 'zod/v4';
import { recorded, recordRun } from './record.mjs';

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: '0' }, record: { type: 'string' } },
});
const text = (value) => ({ content: [{ type: 'text', text: value }] });
const record = (what, args) => recordRun(options.record, what, args);

/** Forecasts of towns and secrets of stations: a resource, two templates, and two prompts that complete their argument. */
function addResourcesAndPrompts(server) {
  const read = (uri, name) => {
    record('read', { uri: String(uri), name });
    return { contents: [{ uri: String(uri), text: `about ${name}` }] };
  };
  server.registerResource('about', 'weather://about', { title: 'About' }, (uri) => read(uri, 'about'));
  for (const kind of ['towns', 'stations']) {
    const complete = (value) => {
      record('complete', { ref: kind, value });
      return [`${value}-1`];
    };
    const template = new ResourceTemplate(`weather://${kind}/{name}`, { list: undefined, complete: { name: complete } });
    server.registerResource(kind, template, { title: kind }, (uri, { name }) => read(uri, name));
  }
  for (const name of ['greet', 'debrief']) {
    const complete = (value) => {
      record('complete', { ref: name, value });
      return [`${value}-1`];
    };
    const argsSchema = z.object({ who: completable(z.string(), complete) });
    server.registerPrompt(name, { title: name, argsSchema }, ({ who }) => {
      record('prompt', { name, who });
      return { messages: [{ role: 'user', content: { type: 'text', text: `${name} ${who}` } }] };
    });
  }
  // Up to 2025-11-25; later revisions have subscriptions/listen, which needs nothing of a server.
  server.server.registerCapabilities({ resources: { subscribe: true } });
  for (const method of ['subscribe', 'unsubscribe'])
    server.server.setRequestHandler(`resources/${method}`, ({ params: { uri } }) => {
      record(method, { uri });
      return {};
    });
}

function build() {
  const server = new McpServer({ name: 'testbed-typescript', version: '1.0.0' });
  addResourcesAndPrompts(server);
  server.registerTool(
    'echo',
    { description: 'Says the message back', inputSchema: z.object({ message: z.string() }) },
    ({ message }) => {
      record('echo', { message });
      return text(message);
    },
  );
  server.registerTool(
    'slow',
    { description: 'Reports progress, then answers', inputSchema: z.object({ steps: z.number(), ms: z.number() }) },
    async ({ steps, ms }, { mcpReq }) => {
      record('slow', { steps, ms });
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

const handler = createMcpHandler(build, {
  legacy: 'stateless',
  onerror: (error) => console.error(`mcp: ${error.message}`),
});
const server = createServer(recorded(options.record, toNodeHandler(handler)));
server.listen(Number(options.port), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
