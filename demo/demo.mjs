// `make demo`: the whole way once, told as it happened, and then what it proves.
import { relative } from 'node:path';
import { Session } from '../testbed/oauth-client.mjs';
import { runDirectory } from '../testbed/paths.mjs';
import { header } from '../testbed/record.mjs';
import { startLikeExample } from '../testbed/stack.mjs';
import { logIn } from '../testbed/tokens.mjs';
import { until } from '../testbed/until.mjs';
import { bold, exchanges, green, print, red } from './transcript.mjs';

const MESSAGE = 'hello from behind the filter';
const directory = runDirectory('demo');
const OTHER = '/another-resource';

/** Asks the MCP server something small with a token, directly. */
const ask = (url, token) =>
  fetch(url, {
    method: 'POST',
    headers: {
      'authorization': `Bearer ${token}`,
      'content-type': 'application/json',
      'accept': 'application/json, text/event-stream',
    },
    body: JSON.stringify({
      jsonrpc: '2.0',
      id: 1,
      method: 'initialize',
      params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'demo', version: '1' } },
    }),
  });

async function run() {
  console.log('Starting a real authorization server, a real MCP server, and Envoy with the filter ...');
  const stack = await startLikeExample({ directory, resources: [OTHER] });

  const client = [];
  const session = await Session.open(stack.url, {
    headers: { 'x-mcp-subject': 'mallory' },
    onExchange: (exchange) => client.push(exchange),
  });
  const { tools } = await session.run((mcp) => mcp.listTools());
  const {
    content: [{ text }],
  } = await session.run((mcp) => mcp.callTool({ name: 'echo', arguments: { message: MESSAGE } }));
  await session.close();
  const upstream = await until('the MCP server has recorded all its answers', () => {
    const requests = stack.mcpServer.requests();
    return requests.every(({ status }) => status) && requests;
  });
  const places = { origin: stack.origin, issuer: stack.issuer, mcpServer: `http://127.0.0.1:${stack.ports.mcpServer}` };
  print(exchanges({ client, authorizationServer: stack.authorizationServer.requests(), mcpServer: upstream, places }));

  const [ours, other] = await Promise.all(
    [stack.url, stack.origin + OTHER].map((resource) => logIn(stack.issuer, { resource })),
  );
  const accepted = await ask(stack.url, ours.access_token);
  const refused = await ask(stack.url, other.access_token);
  const refusal = /error="([^"]+)"/.exec(refused.headers.get('www-authenticate'))?.[1];
  const all = stack.mcpServer.requests();
  const tokens = all.filter((request) => ['authorization', 'dpop'].some((name) => header(request, name) !== undefined));
  const callers = new Set(upstream.map((request) => header(request, 'x-mcp-subject')));

  const proved = [
    [
      `without a token the answer was 401, with the URL of the metadata`,
      client[0].status === 401 &&
        client[0].headers
          .get('www-authenticate')
          ?.includes(`resource_metadata="${stack.origin}/.well-known/oauth-protected-resource/mcp"`),
    ],
    [
      `after the login the tools were listed (${tools.map(({ name }) => name).join(', ')}) and \`echo\` answered "${text}"`,
      tools.length > 0 && text === MESSAGE,
    ],
    [
      `the MCP server got ${all.length} requests, ${tokens.length} of them with a token`,
      all.length > upstream.length && upstream.length >= 3 && tokens.length === 0,
    ],
    [
      `it was told that the caller is ${[...callers].join(', ')}, although the client claimed to be mallory`,
      callers.size === 1 && callers.has('alice'),
    ],
    [
      `a real token for another resource got ${refused.status}${refusal ? ` (${refusal})` : ''}, its sibling for this one ${accepted.status}`,
      refused.status === 401 && refusal === 'invalid_token' && accepted.status === 200,
    ],
  ];
  console.log(`\n${bold('What this proves')}`);
  for (const [claim, holds] of proved) console.log(`   ${holds ? green('yes') : red('NO ')}  ${claim}`);
  await Promise.all([accepted, refused].map(({ body }) => body.cancel()));
  await stack.stop();
  console.log(`\nLogs and records of this run: ${relative(process.cwd(), directory)}. To try it by hand: make up`);
  return proved.every(([, holds]) => holds);
}

try {
  process.exitCode = (await run()) ? 0 : 1;
} catch (error) {
  console.error(`\nThe demo failed: ${error.message}\nLogs: ${directory}`);
  process.exit(1);
}
