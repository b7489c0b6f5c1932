// A closed loop of requests over a few connections, with each token in turn.
import { Agent, request } from 'node:http';

const CONNECTIONS = 4;

const ask = (options, body) => new Promise((resolve, reject) => {
  request(options, (response) => { response.resume().on('end', () => resolve(response.statusCode)).on('error', reject); }).on('error', reject).end(body);
});

/**
 * Sends `requests` requests for `resource` to this port, and fails if one of them is not answered 200: GET, or POST with
 * `body` and its `headers`.
 */
export async function load({ port, tokens, requests, resource, body, headers = {} }) {
  const { host, pathname } = new URL(resource);
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const options = tokens.map((token) => ({ agent, host: '127.0.0.1', port, path: pathname, method: body ? 'POST' : 'GET', headers: { host, authorization: `Bearer ${token}`, ...headers, ...(body && { 'content-length': Buffer.byteLength(body) }) } }));
  const times = [];
  let next = 0;
  const worker = async () => {
    while (next < requests) {
      const began = performance.now();
      const status = await ask(options[next++ % options.length], body);
      times.push(performance.now() - began);
      if (status !== 200) throw new Error(`port ${port}: a request was answered ${status}`);
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: CONNECTIONS }, worker));
  const seconds = (performance.now() - began) / 1000;
  agent.destroy();
  times.sort((a, b) => a - b);
  const at = (part) => Math.round(times[Math.floor((times.length - 1) * part)] * 1000) / 1000;
  return { requestsPerSecond: requests / seconds, p50: at(0.5), p99: at(0.99) };
}
