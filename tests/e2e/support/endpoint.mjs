// An endpoint that forms are posted to (introspection, tokens), in place of a real one: for what that cannot be made to
// do, and to see what it is asked.
import { createServer } from 'node:http';
import { after } from 'node:test';
import { freePort } from '../../../testbed/ports.mjs';

const JSON_TYPE = { 'content-type': 'application/json' };
const json = (value, status = 200, headers = {}) => (response) =>
  response.writeHead(status, { ...JSON_TYPE, ...headers }).end(typeof value === 'string' ? value : JSON.stringify(value));

/**
 * `answer(asked)` gives the answer to a form, `{ form, headers }`: a value that is sent as JSON, or a function of the
 * response. It can be exchanged at any time. `asked` are all forms so far.
 */
export async function startEndpoint(answer = () => ({})) {
  const port = await freePort();
  const endpoint = { port, url: `http://127.0.0.1:${port}/endpoint`, answer, asked: [] };
  const server = createServer(async (request, response) => {
    let text = '';
    for await (const chunk of request.setEncoding('utf8')) text += chunk;
    const { method, url, headers } = request;
    const asked = { method, url, headers, form: Object.fromEntries(new URLSearchParams(text)), text };
    endpoint.asked.push(asked);
    const answered = endpoint.answer(asked);
    (typeof answered === 'function' ? answered : json(answered))(response);
  });
  endpoint.listen = () => new Promise((resolve) => server.listen(port, '127.0.0.1', resolve));
  endpoint.close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  await endpoint.listen();
  after(() => endpoint.close().catch(() => {}));
  return endpoint;
}

/** What any such endpoint may do wrong. `undefined` is one that is not there. */
export const FAULTS = {
  'is down': undefined,
  'is too slow': () => {},
  'resets the connection': (response) => response.socket.resetAndDestroy(),
  'stops in the middle': (response) => {
    response.writeHead(200, { ...JSON_TYPE, 'content-length': 100 }).write('{"active":true');
    setTimeout(() => response.socket?.destroy(), 50);
  },
  'answers 500': json({ error: 'server_error' }, 500),
  'answers 503': json({ error: 'temporarily_unavailable' }, 503, { 'retry-after': '3600' }),
  'redirects': json('', 302, { location: '/elsewhere' }),
  'answers HTML': (response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>welcome</html>'),
  'answers 2 MB': json({ x: 'x'.repeat(2_000_000) }),
  'answers broken JSON': json('{"active": true, "access_token": "x"'),
  'answers an array': json([]),
  'answers nothing': json(''),
};
