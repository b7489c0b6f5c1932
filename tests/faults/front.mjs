// What stands between Envoy and the real authorization server, and does what that cannot be asked to do: be slow, be silent,
// and publish keys that change every second. Where the server is dead it behaves as a dead server's machine does.
import { createServer, request as ask } from 'node:http';

const DRIP = 250; // ms between two bytes: a document takes minutes, so that only a limit in time ends it
const DELAY = 2000; // ms, below every timeout of the filter's

/**
 * `front.mode` is 'passes', 'delays', 'drips' or 'is silent', for what arrives from now on; `release()` answers all that was
 * left waiting. `front.passing` are those that the server has not answered yet, and `front.keys` are public keys that the key set has beside those of the server.
 */
export async function startFront({ port, backend }) {
  const front = { port, mode: 'passes', keys: [], asked: 0, passing: 0 };
  const waiting = new Set();

  function pass(incoming, response, text) {
    front.passing++;
    // without a connection of its own, one that died with the server would be tried first
    const options = { host: '127.0.0.1', port: backend, method: incoming.method, path: incoming.url, headers: incoming.headers, agent: false };
    const onward = ask(options, async (answer) => {
      let body = '';
      try {
        for await (const part of answer.setEncoding('utf8')) body += part;
      } catch {
        return incoming.socket.destroy();
      }
      if (incoming.url === '/jwks') body = JSON.stringify({ keys: [...JSON.parse(body).keys, ...front.keys] });
      const head = { 'content-type': answer.headers['content-type'] ?? 'text/plain' };
      if (front.mode === 'drips') drip(response, answer.statusCode, head, body);
      else response.writeHead(answer.statusCode, head).end(body);
    });
    onward.on('close', () => front.passing--).on('error', () => incoming.socket.destroy()).end(text);
  }
  function drip(response, status, head, body) {
    response.writeHead(status, { ...head, 'content-length': Buffer.byteLength(body) });
    let sent = 0;
    const timer = setInterval(() => (sent < body.length ? response.write(body[sent++]) : response.end()), DRIP);
    response.once('close', () => clearInterval(timer));
  }

  const server = createServer(async (incoming, response) => {
    front.asked++;
    let text = '';
    try {
      for await (const part of incoming.setEncoding('utf8')) text += part;
    } catch {
      return; // Envoy has given it up
    }
    const now = () => pass(incoming, response, text);
    if (front.mode === 'delays') setTimeout(now, DELAY);
    else if (front.mode !== 'is silent') now();
    else {
      waiting.add(now);
      response.once('close', () => waiting.delete(now));
    }
  });
  front.release = () => {
    front.mode = 'passes';
    for (const now of waiting) now();
    waiting.clear();
  };
  front.listen = () => new Promise((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve));
  front.close = () =>
    new Promise((resolve) => {
      server.close(resolve);
      server.closeAllConnections();
    });
  await front.listen();
  return front;
}
