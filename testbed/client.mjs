// The official MCP TypeScript client on the command line: logs in by itself, lists the tools and calls one.
//
//   node client.mjs URL [--era 2026-07-28|2025-11-25] [--tool echo] [--arguments '{"message":"hello"}'] [--trace]
import { parseArgs } from 'node:util';
import { Session } from './oauth-client.mjs';

const {
  values: options,
  positionals: [url],
} = parseArgs({
  allowPositionals: true,
  options: {
    era: { type: 'string', default: '2026-07-28' },
    tool: { type: 'string', default: 'echo' },
    arguments: { type: 'string', default: '{"message":"hello"}' },
    trace: { type: 'boolean', default: false },
  },
});
if (!url) {
  console.error('usage: node client.mjs URL [--era 2026-07-28|2025-11-25] [--tool NAME] [--arguments JSON] [--trace]');
  process.exit(2);
}
const onExchange = ({ from, method, url: { origin, pathname }, status }) => {
  if (options.trace) console.log(`${from.padEnd(8)} ${method.padEnd(7)} ${status}  ${origin}${pathname}`);
};

try {
  const session = await Session.open(url, { era: options.era, onExchange });
  console.log(
    `connected to ${session.serverName}, MCP ${session.protocolVersion}, scopes: ${session.tokens?.scope ?? 'none'}`,
  );
  const { tools } = await session.run((client) => client.listTools());
  console.log(`tools: ${tools.map(({ name }) => name).join(', ')}`);
  const { content } = await session.run((client) =>
    client.callTool({ name: options.tool, arguments: JSON.parse(options.arguments) }),
  );
  console.log(`${options.tool} answered: ${content.map((part) => part.text).join(' ')}`);
  await session.close();
} catch (error) {
  console.error(`failed: ${error.message}${error.cause ? ` (${error.cause.message ?? error.cause})` : ''}`);
  process.exitCode = 1;
}
