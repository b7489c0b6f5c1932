// A closed loop of requests over a few connections, with each token in turn. Raw sockets, because a client that costs as
// much as the proxy leaves the proxy idle between requests, and then most of what is measured is waking up.
import { connect } from 'node:net';

const CONNECTIONS = 16;
const HEAD_END = Buffer.from('\r\n\r\n');

/** How many bytes the first response in `bytes` has and its status, or nothing if it is not complete. */
function response(bytes) {
  const end = bytes.indexOf(HEAD_END);
  if (end < 0) return undefined;
  const head = bytes.latin1Slice(0, end);
  const length = /\r\ncontent-length: (\d+)/i.exec(head);
  const size = end + HEAD_END.length + Number(length?.[1] ?? 0);
  return bytes.length < size ? undefined : { status: Number(head.slice(9, 12)), size };
}

/** Asks again and again over one connection until `take` has no request left. */
const run = (port, take, done) => new Promise((resolve, reject) => {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  let [bytes, began] = [Buffer.alloc(0), 0];
  const ask = () => {
    const request = take();
    if (!request) { socket.end(); return resolve(); }
    began = performance.now();
    socket.write(request);
  };
  socket.setTimeout(10_000, () => socket.destroy(new Error(`port ${port}: no answer for 10 s`)));
  socket.on('connect', ask).on('error', reject).on('close', () => reject(new Error(`port ${port}: closed early`)));
  socket.on('data', (chunk) => {
    bytes = bytes.length ? Buffer.concat([bytes, chunk]) : chunk;
    const answer = response(bytes);
    if (!answer) return;
    bytes = bytes.subarray(answer.size);
    if (answer.status !== 200) return socket.destroy(new Error(`port ${port}: a request was answered ${answer.status}`));
    done(performance.now() - began);
    ask();
  });
});

/**
 * Sends `requests` requests for `resource` to this port, and fails if one of them is not answered 200: GET, or POST with
 * `body` and its `headers`. `tokens` are used in turn; one may be an object, the headers that it takes to show it.
 */
export async function load({ port, tokens, requests, resource, body, headers = {} }) {
  const { host, pathname } = new URL(resource);
  const messages = tokens.map((token) => {
    const credentials = typeof token === 'string' ? { authorization: `Bearer ${token}` } : token;
    const lines = Object.entries({ host, ...credentials, ...headers, ...(body && { 'content-length': Buffer.byteLength(body) }) });
    return Buffer.from(`${body ? 'POST' : 'GET'} ${pathname} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body ?? ''}`);
  });
  const times = [];
  let next = 0;
  const take = () => (next < requests ? messages[next++ % messages.length] : undefined);
  const began = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, () => run(port, take, (time) => times.push(time))));
  const seconds = (performance.now() - began) / 1000;
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.floor((times.length - 1) * part)] * 1000) / 1000;
  return { requestsPerSecond: requests / seconds, p50: at(0.5), p99: at(0.99) };
}
