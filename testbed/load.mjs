// A closed loop of requests over a few connections, with each token in turn.
import { Agent, get } from 'node:http';

const CONNECTIONS = 4;

const ask = (options) => new Promise((resolve, reject) => {
  get(options, (response) => { response.resume().on('end', () => resolve(response.statusCode)).on('error', reject); }).on('error', reject);
});

/** Sends `requests` requests for `resource` to this port, and fails if one of them is not answered 200. */
export async function load({ port, tokens, requests, resource }) {
  const { host, pathname } = new URL(resource);
  const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });
  const options = tokens.map((token) => ({ agent, host: '127.0.0.1', port, path: pathname, headers: { host, authorization: `Bearer ${token}` } }));
  const times = [];
  let next = 0;
  const worker = async () => {
    while (next < requests) {
      const began = performance.now();
      const status = await ask(options[next++ % options.length]);
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
