// Promise: when the authorization server changes its keys, new tokens are accepted without a restart, and nobody can
// make Envoy ask for keys again and again.
import assert from 'node:assert/strict';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { startStandIn } from './support/stand-in.mjs';
import { everyStatus, itStillServes, keysFile, keysOf, useStack } from './support/stack.mjs';

const stack = await useStack({
  edit: (_bootstrap, { authorization_servers: [server] }) => {
    server.refetch_cooldown = '1s';
  },
});
const standIn = await startStandIn();
const counted = await useStack({
  workers: 1, // each worker keeps its own keys and its own count
  edit: (bootstrap, { authorization_servers, resources }) => {
    bootstrap.static_resources.clusters.push(cluster('stand_in', standIn.port));
    authorization_servers.splice(0, 1, { issuer: standIn.issuer, cluster: 'stand_in', refetch_cooldown: '1h' });
    resources[0].audiences = ['counted'];
  },
});

const statuses = (token) => everyStatus(stack.url, token);

it('new keys under new names: the first token with them is accepted at once, by every worker', async () => {
  const old = await machineToken(stack.issuer, stack.url);
  assert.deepEqual(await statuses(old), [200]);
  await stack.restartAuthorizationServer({ keys: undefined });
  assert.deepEqual(await statuses(await machineToken(stack.issuer, stack.url)), [200]);
  assert.deepEqual(await statuses(old), [401], 'the old token, whose key is gone');
});

it('a new key under the old name: accepted too', async () => {
  const keys = join(stack.directory, 'changed.keys.json');
  await stack.restartAuthorizationServer();
  const [{ kid, alg, use }, ...others] = keysOf(stack);
  // The last refetch may have been a moment ago, and then the next one has to wait for its turn.
  const before = await machineToken(stack.issuer, stack.url);
  await until('the first keys are back in use', async () => (await statuses(before)).join() === '200');
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  writeFileSync(
    keys,
    JSON.stringify({ keys: [{ ...privateKey.export({ format: 'jwk' }), kid, alg, use }, ...others] }),
  );
  await stack.restartAuthorizationServer({ keys });
  const after = await machineToken(stack.issuer, stack.url);
  assert.notEqual(after.split('.')[2], before.split('.')[2]);
  await until('the changed key is in use', async () => (await statuses(after)).join() === '200');
  assert.deepEqual(await statuses(before), [401], 'the token that was signed with the old key');
  writeFileSync(
    keysFile(stack.directory),
    JSON.stringify({ keys: [{ ...privateKey.export({ format: 'jwk' }), kid, alg, use }, ...others] }),
  );
});

itStillServes(stack);

it('a flood of tokens with unknown keys and wrong signatures causes one refetch, and all are answered 401', async () => {
  const good = standIn.token('counted');
  assert.equal((await send(counted.url, { token: good })).status, 200);
  await until(
    'every thread of Envoy has its keys',
    () => standIn.requests.filter((url) => url === '/jwks').length >= 2,
  );
  const before = standIn.requests.length;

  const stranger = {
    ...generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' }),
    alg: 'ES256',
  };
  const bad = (i) => standIn.token('counted', i % 2 ? { header: { kid: randomUUID() } } : { key: stranger });
  for (let round = 0; round < 5; round++) {
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => send(counted.url, { token: bad(i) })));
    assert.deepEqual(new Set(answers.map(({ status }) => status)), new Set([401]));
  }
  assert.deepEqual(standIn.requests.slice(before), ['/jwks'], 'what was asked of the authorization server');
  assert.equal((await send(counted.url, { token: good })).status, 200, 'the good token, after the flood');
});

it('tokens that are refused for something else cause none', async () => {
  const before = standIn.requests.length;
  const now = Math.floor(Date.now() / 1000);
  for (const claims of [{ aud: 'other' }, { exp: now - 100 }, { iss: 'https://x.example' }]) {
    assert.equal(
      (await send(counted.url, { token: standIn.token('counted', { header: { kid: randomUUID() }, claims }) })).status,
      401,
    );
  }
  assert.equal(standIn.requests.length, before);
});

itStillServes(counted, () => standIn.token('counted'));
