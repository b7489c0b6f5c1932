// Promise: tokens of the real authorization server are accepted whatever it signs with, and only where that is allowed.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { itStillServes, itUnderstoodEnvoysVerdicts, reasonFor, useStack } from './support/stack.mjs';

const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'EdDSA'];
const path = (alg) => `/signed-with-${alg}`;

const protect = (allowed) => ({
  resources: ALGORITHMS.map((alg) => `${path(alg)}=${alg}`),
  edit: (_bootstrap, { authorization_servers: [server], resources }) => {
    const { origin } = new URL(resources[0].resource);
    for (const alg of ALGORITHMS) resources.push({ resource: origin + path(alg), scopes: { required: ['mcp:read'] } });
    if (allowed) server.algorithms = allowed;
  },
});
const all = await useStack(protect());
const two = await useStack(protect(['PS256', 'ES256']));

describe('accepted', () => {
  for (const alg of ALGORITHMS) {
    it(alg, async () => {
      const token = await machineToken(all.issuer, all.origin + path(alg));
      assert.equal(
        JSON.parse(Buffer.from(token.split('.')[0], 'base64url')).alg,
        alg,
        'what the token is really signed with',
      );
      assert.equal((await send(all.origin + path(alg), { token })).status, 200);
    });
  }
});

describe('where only PS256 and ES256 are allowed', () => {
  for (const alg of ALGORITHMS) {
    const allowed = ['PS256', 'ES256'].includes(alg);
    it(`${alg} is ${allowed ? 'accepted' : 'refused'}`, async () => {
      const token = await machineToken(two.issuer, two.origin + path(alg));
      assert.equal((await send(two.origin + path(alg), { token })).status, allowed ? 200 : 401);
      if (!allowed) assert.equal(await reasonFor(two, path(alg)), 'mcp_oauth_token_algorithm');
    });
  }
});

itUnderstoodEnvoysVerdicts(all);
itStillServes(all);
