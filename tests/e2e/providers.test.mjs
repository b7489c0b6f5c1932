// Promise: a preset finds the keys where the product has them, takes its access tokens, and none of its other tokens.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { forge, goodClaims } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { itStillServes, keysOf, reasonFor, useStack } from './support/stack.mjs';

const stack = await useStack({
  issuerPath: '/realms/mcp',
  edit: (_bootstrap, plugin) => {
    plugin.authorization_servers[0].provider = 'keycloak';
  },
});
const [key] = keysOf(stack);
// As Keycloak writes them: the header says JWT, the claim says which kind.
const token = (changes) => forge(key, { alg: key.alg, kid: key.kid, typ: 'JWT' }, { ...goodClaims(stack.issuer, stack.url), ...changes });
const received = () => stack.mcpServer.requests();

describe('keycloak', () => {
  it('is asked first where its metadata is', async () => {
    // Now the keys were fetched, if not before.
    assert.equal((await send(stack.url, { token: token({ typ: 'Bearer' }) })).status, 200);
    const asked = stack.authorizationServer.requests().map(({ url }) => url);
    assert.equal(asked[0], '/realms/mcp/.well-known/openid-configuration');
  });
  it('has its access tokens accepted, and the server reads who calls', async () => {
    const answer = await send(stack.url, { token: token({ typ: 'Bearer', nonce: 'as before version 24' }) });
    assert.equal(answer.status, 200, answer.body);
    const headers = Object.fromEntries(received().at(-1).headers);
    assert.equal(headers['x-mcp-subject'], 'alice');
    assert.equal(headers.authorization, undefined);
  });
  for (const typ of ['ID', 'Refresh', 'Logout', undefined]) {
    it(`has a token of the kind ${typ} refused`, async () => {
      const before = received().length;
      const answer = await send(`${stack.url}/kind-${typ}`, { token: token({ typ }) });
      assert.equal(answer.status, 401);
      assert.equal(await reasonFor(stack, `/mcp/kind-${typ}`), 'mcp_oauth_token_type');
      assert.equal(received().length, before, 'the MCP server got the request');
    });
  }
});

itStillServes(stack);
