// For the official conformance suite: a way through the gate, and the comparison of what it found in two runs.
import { readFileSync } from 'node:fs';
import { connectionManagerOf } from '../../../testbed/envoy.mjs';
import { forge, goodClaims } from '../../../testbed/tokens.mjs';
import { keysFile } from './stack.mjs';

/**
 * Puts a filter before ours that gives a valid token to every request, because the suite has none. The stack's
 * authorization server must have been told to keep its keys in the stack's directory, and is already running.
 */
export function injectToken(bootstrap, plugin, directory) {
  const [{ issuer }] = plugin.authorization_servers;
  const [{ resource }] = plugin.resources;
  const key = JSON.parse(readFileSync(keysFile(directory), 'utf8')).keys.find(({ alg }) => alg === 'ES256');
  const token = forge(key, { alg: key.alg, kid: key.kid, typ: 'at+jwt' }, goodClaims(issuer, resource));
  const header = { key: 'authorization', value: `Bearer ${token}` };
  connectionManagerOf(bootstrap).http_filters.unshift({
    name: 'inject_token',
    typed_config: {
      '@type': 'type.googleapis.com/envoy.extensions.filters.http.header_mutation.v3.HeaderMutation',
      'mutations': { request_mutations: [{ append: { header, append_action: 'OVERWRITE_IF_EXISTS_OR_ADD' } }] },
    },
  });
}

// These are another in each run, and whether they are there is all that counts.
const VOLATILE = [
  'date',
  'mcp-session-id',
  'sessionId',
  'sessionIdSent',
  'requestState',
  'subscriptionId',
  'io.modelcontextprotocol/subscriptionId',
];
// These belong to one connection, or say that Envoy was there.
const OF_THE_HOP = ['connection', 'keep-alive', 'server', 'x-envoy-upstream-service-time'];

/** The observation without what must differ: addresses, random ids, times, and the headers of one hop. */
function comparable(observation) {
  const replace = (name, value) => {
    if (OF_THE_HOP.includes(name)) return undefined;
    if (VOLATILE.includes(name)) return '(volatile)';
    if (typeof value !== 'string') return value;
    // the number of an event depends on which of several answers came first
    return value
      .replace(/\b127\.0\.0\.1:\d+/g, '(address)')
      .replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}(_\d+)?/g, '(id)');
  };
  return JSON.stringify(observation, replace);
}

/** A scenario's checks by name; some names come more than once. */
function byName(checks = []) {
  const named = new Map();
  for (const check of checks) {
    let key = check.name;
    for (let n = 2; named.has(key); n++) key = `${check.name} (${n})`;
    named.set(key, check);
  }
  return named;
}

/**
 * What differs: `{ scenario, check, differs, direct, filtered }`, where `differs` is 'verdict', or 'observation' if the
 * verdict is the same but not what the suite saw.
 */
export function differences(direct, filtered) {
  const found = [];
  for (const scenario of new Set([...Object.keys(direct), ...Object.keys(filtered)])) {
    const [one, other] = [byName(direct[scenario]), byName(filtered[scenario])];
    for (const check of new Set([...one.keys(), ...other.keys()])) {
      const [a, b] = [one.get(check), other.get(check)];
      const seen = [a, b].map((it) => comparable([it?.errorMessage, it?.details]));
      const differs = a?.status !== b?.status ? 'verdict' : seen[0] !== seen[1] ? 'observation' : undefined;
      const told = (it, what) => `${it?.status ?? 'absent'} ${what}`;
      if (differs) found.push({ scenario, check, differs, direct: told(a, seen[0]), filtered: told(b, seen[1]) });
    }
  }
  return found;
}

/** How many scenarios passed (a success and no failure), the names of those that failed, and how many checks passed. */
export function summary(results) {
  const all = Object.entries(results);
  const has = (checks, status) => checks.some((check) => check.status === status);
  return {
    passed: all.filter(([, checks]) => has(checks, 'SUCCESS') && !has(checks, 'FAILURE')).length,
    failed: all.filter(([, checks]) => has(checks, 'FAILURE')).map(([scenario]) => scenario),
    checks: all.flatMap(([, checks]) => checks).filter(({ status }) => status === 'SUCCESS').length,
  };
}
