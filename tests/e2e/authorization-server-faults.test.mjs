// Promise: when the authorization server cannot be asked, requests get 503 (never 401: clients would throw good tokens
// away), the log says whose fault it is, and all is well again when it is back.
import assert from 'node:assert/strict';
import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { cluster } from '../../testbed/envoy.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { forge, goodClaims, machineToken } from '../../testbed/tokens.mjs';
import { until } from '../../testbed/until.mjs';
import { send } from './support/http.mjs';
import { assertRefusal } from './support/replies.mjs';
import { everyStatus, itStillServes, keysFile, useStack } from './support/stack.mjs';
import { startStandIn } from './support/stand-in.mjs';

const type = (contentType) => ({ 'content-type': contentType });
const html = (_request, response) => response.writeHead(200, type('text/html')).end('<html>welcome</html>');
const large = (_request, response) =>
  response.writeHead(200, type('application/json')).end(JSON.stringify({ x: 'x'.repeat(2_000_000) }));
const status =
  (code, headers = {}) =>
  (_request, response) =>
    response.writeHead(code, { ...type('application/json'), ...headers }).end('{}');
const onlyAt =
  (path, answer) =>
  (request, ...rest) =>
    request.url === path && answer(request, ...rest);

/** What goes wrong, and what the log must say about it. */
const FAULTS = {
  'is down': [undefined, /answered 503, or could not be reached/],
  'is too slow': [() => true, /did not answer in time/],
  'answers HTML': [html, /answered `text\/html` instead of JSON/],
  'answers 2 MB': [large, /answered `20000\d\d` bytes, more than `262144`/],
  'answers 500': [status(500), /answered `500`/],
  'has no such document': [status(404), /answered `404`/],
  'redirects': [status(302, { location: '/elsewhere' }), /answered `302`/],
  'has the metadata of another issuer': [
    (_request, response, { metadata }) =>
      response
        .writeHead(200, type('application/json'))
        .end(JSON.stringify({ ...metadata, issuer: 'https://evil.example' })),
    /issuer/,
  ],
  'names no key set': [
    (_request, response, { issuer }) =>
      response.writeHead(200, type('application/json')).end(JSON.stringify({ issuer })),
    /jwks_uri/,
  ],
  'answers broken JSON': [
    (_request, response) => response.writeHead(200, type('application/json')).end('{"issuer":'),
    /JSON/,
  ],
  'hangs up': [(request) => request.socket.destroy(), /could not be reached|without a response/],
  'answers HTML for its keys': [onlyAt('/jwks', html), /jwks`: answered `text\/html` instead of JSON/],
  'answers 2 MB of keys': [onlyAt('/jwks', large), /jwks`: answered `20000\d\d` bytes/],
  'is too slow with its keys': [onlyAt('/jwks', () => true), /jwks`: .*did not answer in time/],
};

const cases = [];
for (const [what, [answer, cause]] of Object.entries(FAULTS)) {
  const standIn = await startStandIn(answer);
  if (!answer) await standIn.close();
  cases.push({ what, cause, standIn, path: `/case-${cases.length}` });
}

const directory = runDirectory('e2e');
const privateKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'jwk' });
const key = { ...privateKey, kid: 'known', alg: 'ES256', use: 'sig' };
const rsa = {
  ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }),
  kid: 'rsa',
  alg: 'RS256',
  use: 'sig',
};
writeFileSync(keysFile(directory), JSON.stringify({ keys: [key, rsa] }));

const stack = await useStack({
  directory,
  withoutAuthorizationServer: true,
  edit: (bootstrap, { authorization_servers, resources }) => {
    const { origin } = new URL(resources[0].resource);
    resources[0].authorization_servers = [authorization_servers[0].issuer];
    for (const {
      what,
      standIn: { issuer, port },
      path,
    } of cases) {
      bootstrap.static_resources.clusters.push(cluster(path, port));
      authorization_servers.push({ issuer, cluster: path, ...(/slow/.test(what) && { fetch_timeout: '500ms' }) });
      resources.push({ resource: origin + path, authorization_servers: [issuer] });
    }
  },
});

/** A request gets 503 and the log names the issuer and the cause; then `repair`, and the same request gets 200. */
async function failsAndRecovers({ url, token, issuer, cause, repair }) {
  const answer = await send(url, { token });
  assertRefusal(answer, { status: 503, error: 'temporarily_unavailable' });
  assert.match(answer.header('retry-after'), /^[1-9]\d?$/);
  assert.equal(
    stack.mcpServer.requests().filter((seen) => url.endsWith(seen.url)).length,
    0,
    'requests that the MCP server got',
  );
  await until(
    `a log line names ${issuer} and ${cause}`,
    () => stack.envoy.output.split('\n').some((line) => line.includes(`\`${issuer}\``) && cause.test(line)),
    { seconds: 10 },
  );
  await repair();
  await until(
    'the same request is served by every worker',
    async () => (await everyStatus(url, token)).join() === '200',
    { every: 250 },
  );
}

describe('an authorization server that', { concurrency: true }, () => {
  for (const { what, cause, standIn, path } of cases) {
    it(what, async () => {
      const url = stack.origin + path;
      await failsAndRecovers({
        url,
        cause,
        token: standIn.token(url),
        issuer: standIn.issuer,
        repair: async () => {
          standIn.answer = () => false;
          if (what === 'is down') await standIn.listen();
        },
      });
    });
  }
});

it('the real one, started only after Envoy', async () => {
  const token = forge(key, { alg: 'ES256', kid: 'known', typ: 'at+jwt' }, goodClaims(stack.issuer, stack.url));
  await failsAndRecovers({
    url: stack.url,
    token,
    issuer: stack.issuer,
    cause: /answered 503, or could not be reached/,
    repair: () => stack.restartAuthorizationServer(),
  });
  assert.equal(
    (await send(stack.url, { token: await machineToken(stack.issuer, stack.url) })).status,
    200,
    'a token that it issued itself',
  );
});

it('the real one, stopped again: known keys stay in use, and what they cannot decide is 503', async () => {
  const token = await machineToken(stack.issuer, stack.url);
  await stack.authorizationServer.stop();
  assert.deepEqual(await everyStatus(stack.url, token), [200]);
  const unknown = forge(key, { alg: 'ES256', kid: 'new', typ: 'at+jwt' }, goodClaims(stack.issuer, stack.url));
  assertRefusal(await send(stack.url, { token: unknown }), { status: 503, error: 'temporarily_unavailable' });
  assert.deepEqual(await everyStatus(stack.url, token), [200], 'the known key, after the failed refetch');
});

itStillServes(stack, () =>
  forge(key, { alg: 'ES256', kid: 'known', typ: 'at+jwt' }, goodClaims(stack.issuer, stack.url)),
);
