// An authorization server's documents without the server: for what a real one cannot be made to do, and to count who asks.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after } from 'node:test';
import { freePort } from '../../../testbed/ports.mjs';
import { forge, goodClaims } from '../../../testbed/tokens.mjs';

const json = (response, value, status = 200) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value));

/**
 * `answer(request, response, standIn)` may answer in its own way and say so by returning true; it can be exchanged at
 * any time. `requests` are the URLs that were asked for.
 */
export async function startStandIn(answer = () => false) {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const port = await freePort();
  const issuer = `http://127.0.0.1:${port}`;
  const kid = randomUUID();
  const standIn = {
    port,
    issuer,
    answer,
    requests: [],
    metadataAt: '/.well-known/oauth-authorization-server',
    metadata: { issuer, jwks_uri: `${issuer}/jwks` },
    jwks: { keys: [{ ...publicKey.export({ format: 'jwk' }), kid, alg: 'ES256', use: 'sig' }] },
    key: { ...privateKey.export({ format: 'jwk' }), alg: 'ES256' },
    token: (resource, { header, claims, key } = {}) =>
      forge(
        key ?? standIn.key,
        { alg: 'ES256', kid, typ: 'at+jwt', ...header },
        { ...goodClaims(issuer, resource), ...claims },
      ),
  };
  const server = createServer((request, response) => {
    standIn.requests.push(request.url);
    if (standIn.answer(request, response, standIn)) return;
    if (request.url === standIn.metadataAt) json(response, standIn.metadata);
    else if (request.url === '/jwks') json(response, standIn.jwks);
    else json(response, { error: 'not_found' }, 404);
  });
  standIn.listen = () => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  standIn.close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  await standIn.listen();
  after(() => standIn.close().catch(() => {}));
  return standIn;
}
