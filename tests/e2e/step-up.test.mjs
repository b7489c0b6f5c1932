// Promise: a client whose token lacks a scope is told which ones it needs, asks for them and gets on.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { Session } from '../../testbed/oauth-client.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { itStillServes, useStack } from './support/stack.mjs';

const stack = await useStack({
  edit: (_bootstrap, { resources: [resource] }) => {
    resource.scopes = { required: ['mcp:read', 'mcp:write'], challenged: ['mcp:read'] };
  },
});

for (const era of ['2025-11-25', '2026-07-28']) {
  it(`the TypeScript client, in the era of ${era}`, async () => {
    const statuses = [];
    const session = await Session.open(stack.url, {
      era,
      onExchange: ({ from, url, status }) => {
        if (from === 'client' && url.href === stack.url) statuses.push(status);
      },
    });
    const { tools } = await session.run((client) => client.listTools());
    await session.close();
    assert.deepEqual(statuses.slice(0, 3), [401, 403, 200], 'challenged, with too little, with enough');
    assert.equal(session.logins, 2);
    assert.deepEqual(session.tokens.scope.split(' ').sort(), ['mcp:read', 'mcp:write']);
    assert.equal(tools.length, 2);
  });
}

itStillServes(stack, () => machineToken(stack.issuer, stack.url, 'mcp:read mcp:write'));
