// Promise: the authorization server's keys are found from its issuer alone, in the order that the specification gives.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { header } from '../../testbed/record.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startStandIn } from './support/stand-in.mjs';

const RFC = '/.well-known/oauth-authorization-server',
  OIDC = '/.well-known/openid-configuration';
const CANDIDATES = {
  '': [RFC, OIDC],
  '/': [RFC, OIDC],
  '/tenant': [`${RFC}/tenant`, `${OIDC}/tenant`, `/tenant${OIDC}`],
  '/tenant/': [`${RFC}/tenant`, `${OIDC}/tenant`, `/tenant${OIDC}`],
};
const real = await Promise.all(
  ['', '/realms/mcp'].map(async (issuerPath) => ({ issuerPath, stack: await useStack({ issuerPath, workers: 1 }) })),
);
const elsewhere = await Promise.all(
  Object.entries(CANDIDATES).map(async ([path, candidates]) => {
    const standIn = await startStandIn();
    const issuer = standIn.issuer + path;
    standIn.metadata.issuer = issuer;
    standIn.metadataAt = candidates.at(-1);
    const stack = await useStack({
      workers: 1,
      edit: (bootstrap, plugin) => {
        bootstrap.static_resources.clusters.push(cluster('stand_in', standIn.port));
        plugin.authorization_servers = [{ issuer, cluster: 'stand_in' }];
        plugin.resources[0].audiences = ['found'];
      },
    });
    return { path, candidates, issuer, standIn, stack };
  }),
);

for (const { issuerPath, stack } of real) {
  describe(`the real authorization server, ${issuerPath ? `with the path ${issuerPath} in its issuer` : 'without a path in its issuer'}`, () => {
    it('is asked for its metadata and its keys, and for nothing else', async () => {
      assert.equal((await send(stack.url, { token: await machineToken(stack.issuer, stack.url) })).status, 200);
      const ours = stack.authorizationServer
        .requests()
        .filter((request) => header(request, 'x-envoy-expected-rq-timeout-ms'));
      assert.deepEqual(
        [...new Set(ours.map(({ method, url }) => `${method} ${url}`))],
        [`GET ${RFC}${issuerPath}`, `GET ${issuerPath}/jwks`],
      );
      for (const request of ours) {
        assert.equal(header(request, 'accept'), 'application/json');
        assert.equal(header(request, 'host'), `127.0.0.1:${stack.ports.authorizationServer}`);
      }
    });
    itStillServes(stack);
  });
}

describe('an authorization server that has its metadata in the last place', () => {
  for (const { path, candidates, issuer, standIn, stack } of elsewhere) {
    it(`issuer ${path || 'without a path'}: ${candidates.join(', ')}`, async () => {
      await until('the keys were fetched', () => standIn.requests.includes('/jwks'));
      assert.equal((await send(stack.url, { token: standIn.token('found', { claims: { iss: issuer } }) })).status, 200);
      assert.deepEqual([...new Set(standIn.requests)], [...candidates, '/jwks']);
    });
  }
});

it('jwks_uri skips the discovery, and may be reached by a cluster of its own', async () => {
  const standIn = await startStandIn();
  const stack = await useStack({
    edit: (bootstrap, plugin) => {
      bootstrap.static_resources.clusters.push(cluster('keys', standIn.port));
      plugin.authorization_servers = [
        {
          issuer: 'https://idp.example',
          cluster: 'authorization_server',
          jwks_uri: `${standIn.issuer}/jwks`,
          jwks_cluster: 'keys',
        },
      ];
      plugin.resources[0].audiences = ['direct'];
    },
  });
  const token = standIn.token('direct', { claims: { iss: 'https://idp.example' } });
  assert.equal((await send(stack.url, { token })).status, 200);
  assert.deepEqual([...new Set(standIn.requests)], ['/jwks']);
});
