// One stack of real parts per test file.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { runDirectory } from '../../../testbed/paths.mjs';
import { startStack } from '../../../testbed/stack.mjs';
import { machineToken } from '../../../testbed/tokens.mjs';
import { until } from '../../../testbed/until.mjs';
import { send } from './http.mjs';

/**
 * Starts a stack for the tests of this file, or of the test that calls it; it stops when they are done. A file must start
 * all that it shares before its first test: the runner thinks it is done when every test that it knows is.
 */
export async function useStack({ directory = runDirectory('e2e'), ...options } = {}) {
  const stack = await startStack({ directory, keys: keysFile(directory), ...options });
  after(() => stack.stop());
  return stack;
}

/** The private keys of an authorization server that was told to keep them in the stack's directory. */
export const keysFile = (directory) => join(directory, 'authorization-server.keys.json');
export const keysOf = (stack) => JSON.parse(readFileSync(keysFile(stack.directory), 'utf8')).keys;

/** Waits until Envoy's access log tells why `path` was answered as it was. Envoy writes it a moment after the answer. */
export function reasonFor(stack, path) {
  const line = new RegExp(`^\\S+ \\S+ ${path.replace(/[.*+?^$()|[\]{}\\]/g, '\\$&')} \\d+ (\\S+) `, 'm');
  return until(`the access log tells why ${path} was answered`, () => line.exec(stack.envoy.output)?.[1], {
    seconds: 15,
  });
}

/** A counter of the filter, of all workers together. */
export async function metric(stack, name) {
  const text = await (await fetch(`http://127.0.0.1:${stack.ports.admin}/stats?filter=${name}`)).text();
  const found = new RegExp(`\\b${name.replaceAll('.', '\\.')}: (\\d+)$`, 'm').exec(text);
  assert.ok(found, `Envoy has no counter ${name}: ${text}`);
  return Number(found[1]);
}

/** The filter may ask Envoy about signatures, and understood all that Envoy said; another version may say it otherwise. */
export function itUnderstoodEnvoysVerdicts(stack) {
  it('what Envoy says of signatures is understood', async () => {
    assert.equal(await metric(stack, 'mcp_oauth.verify_signature_fallback'), 0);
  });
}

/**
 * The statuses that a token gets from all workers of Envoy, without duplicates. The system deals connections out to them
 * at random, so enough are made that none is left out.
 */
export async function everyStatus(url, token) {
  const answers = await Promise.all(Array.from({ length: 24 }, () => send(url, { token })));
  return [...new Set(answers.map(({ status }) => status))].sort();
}

/** The last test of a file: the gate is still there, and still lets the right ones in. `sent` is what needs a token. */
export function itStillServes(stack, makeToken = () => machineToken(stack.issuer, stack.url), sent = {}) {
  it('after all that, Envoy still refuses without a token and serves with one', async () => {
    assert.equal((await send(stack.url, sent)).status, 401);
    assert.equal((await send(stack.url, { ...sent, token: await makeToken() })).status, 200);
    assert.doesNotMatch(stack.envoy.output, /proxy_on_|wasm trap|Unreachable|panic/, 'the module trapped');
    assert.doesNotMatch(stack.envoy.output, /eyJ[\w-]{8}/, "the beginning of a JWT is in Envoy's log");
  });
}
