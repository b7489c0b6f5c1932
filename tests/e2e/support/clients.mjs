// The real clients, each with the same questions asked: which tools there are, and what some of them answer.
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Session } from '../../../testbed/oauth-client.mjs';
import { PYTHON, TESTBED } from '../../../testbed/paths.mjs';

/**
 * What a client saw: `tools` are names, `calls` are `{ text }` or `{ error }`, and `exchanges` are
 * `{ method, status, session }` with the MCP server, in order. `calls` are asked for as `[tool, arguments]`.
 */
async function withTypeScript(url, era, { calls = [], headers = {} } = {}) {
  const exchanges = [];
  const session = await Session.open(url, {
    era,
    headers,
    onExchange: ({ from, method, url: { href }, status, headers: answer }) => {
      if (from === 'client' && href === url) exchanges.push({ method, status, session: answer.get('mcp-session-id') });
    },
  });
  const { tools } = await session.run((client) => client.listTools());
  const seen = { tools: tools.map(({ name }) => name), calls: [], exchanges };
  for (const [name, args] of calls) {
    try {
      const { content } = await session.run((client) => client.callTool({ name, arguments: args }));
      seen.calls.push({ text: content[0].text });
    } catch (error) {
      seen.calls.push({ error: error.message });
    }
  }
  await session.close();
  return { ...seen, scope: session.tokens?.scope, protocolVersion: session.protocolVersion };
}

async function withPython(url, era, { calls = [], headers = {} } = {}) {
  const asked = calls.flatMap(([name, args]) => ['--call', name, JSON.stringify(args)]);
  const sent = Object.entries(headers).flatMap((pair) => ['--header', ...pair]);
  const mode = era === '2025-11-25' ? 'legacy' : 'auto';
  const { stdout } = await promisify(execFile)(
    PYTHON,
    [join(TESTBED, 'client.py'), url, '--may-fail', '--mode', mode, ...asked, ...sent],
    { timeout: 60_000 },
  );
  const { exchanges, ...seen } = JSON.parse(stdout);
  return {
    ...seen,
    calls: seen.calls.map(({ text, error }) => (error === undefined ? { text } : { error })),
    exchanges: exchanges.filter((exchange) => exchange.url === url),
  };
}

export const CLIENTS = { TypeScript: withTypeScript, Python: withPython };

/** The scopes that clients asked the authorization server for since `from` requests, one entry for each login. */
export const scopesAskedFor = (stack, from = 0) =>
  stack.authorizationServer
    .requests()
    .slice(from)
    .filter(({ url }) => url.startsWith('/auth?'))
    .map(({ url }) => new URL(url, stack.issuer).searchParams.get('scope').split(' ').sort());
