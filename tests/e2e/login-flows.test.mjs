// Promise: the official clients, in both eras, log in by themselves and use the tools; the MCP server learns who calls
// and never sees a token.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Session } from '../../testbed/oauth-client.mjs';
import { PYTHON, TESTBED } from '../../testbed/paths.mjs';
import { header } from '../../testbed/record.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const FORGED = { 'x-mcp-subject': 'mallory', 'X-MCP-Scopes': 'mcp:admin', 'x-mcp-issuer': 'https://evil.example' };

async function withTypeScript(url, era) {
  const session = await Session.open(url, { era, headers: FORGED });
  const { tools } = await session.run((client) => client.listTools());
  const { content } = await session.run((client) => client.callTool({ name: 'echo', arguments: { message: 'hello' } }));
  const { protocolVersion, serverName, tokens, host } = session;
  await session.close();
  return {
    protocolVersion,
    serverName,
    tools: tools.map(({ name }) => name),
    text: content[0].text,
    scope: tokens.scope,
    clientId: host.registered.client_id,
  };
}

async function withPython(url, era) {
  const mode = era === '2025-11-25' ? 'legacy' : 'auto';
  const forged = Object.entries(FORGED).flatMap((pair) => ['--header', ...pair]);
  const { stdout } = await promisify(execFile)(
    PYTHON,
    [join(TESTBED, 'client.py'), url, '--mode', mode, ...forged, '--call', 'echo', '{"message":"hello"}'],
    { timeout: 60_000 },
  );
  const report = JSON.parse(stdout);
  return { ...report, text: report.calls[0].text };
}

const SERVERS = { typescript: 'testbed-typescript', python: 'testbed-python' };
const CLIENTS = { TypeScript: withTypeScript, Python: withPython };

const stacks = await Promise.all(Object.keys(SERVERS).map((kind) => useStack({ kind })));

for (const [i, [kind, serverName]] of Object.entries(SERVERS).entries()) {
  const stack = stacks[i];
  describe(`the ${kind} MCP server`, () => {
    for (const [language, use] of Object.entries(CLIENTS)) {
      for (const era of ['2025-11-25', '2026-07-28']) {
        it(`with the ${language} client, in the era of ${era}`, async () => {
          const before = stack.mcpServer.requests().length;
          const seen = await use(stack.url, era);
          assert.deepEqual(
            { protocolVersion: seen.protocolVersion, serverName: seen.serverName, text: seen.text },
            { protocolVersion: era, serverName, text: 'hello' },
          );
          assert.deepEqual(seen.tools, ['echo', 'slow']);

          const upstream = stack.mcpServer.requests().slice(before);
          assert.ok(upstream.length >= 3, `the MCP server got ${upstream.length} requests`);
          for (const request of upstream) {
            const { method, url, headers } = request;
            const names = headers.map(([name]) => name);
            assert.deepEqual(
              names.filter((name) => ['authorization', 'dpop', 'proxy-authorization'].includes(name)),
              [],
              `${method} ${url}`,
            );
            assert.deepEqual(
              headers.filter(([name]) => /^x.mcp/.test(name)).sort(),
              [
                ['x-mcp-client-id', seen.clientId],
                ['x-mcp-issuer', stack.issuer],
                ['x-mcp-scopes', seen.scope],
                ['x-mcp-subject', 'alice'],
              ],
              `${method} ${url}`,
            );
          }
          if (kind === 'python' && era === '2025-11-25') {
            const inSession = upstream.filter((request) => header(request, 'mcp-session-id'));
            assert.deepEqual(
              [...new Set(inSession.map(({ method }) => method))].sort(),
              ['DELETE', 'GET', 'POST'],
              'methods of the session',
            );
            assert.equal(new Set(inSession.map((request) => header(request, 'mcp-session-id'))).size, 1, 'sessions');
          }
        });
      }
    }
  });
  itStillServes(stack);
}
