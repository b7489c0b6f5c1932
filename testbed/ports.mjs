// Free TCP ports on the loopback address.
import { createServer } from 'node:net';

// Below the range from which systems take the ports of outgoing connections (32768 on Linux, 49152 elsewhere): a port
// found free here stays free until the server that it is meant for has started.
const LOWEST = 15000,
  HIGHEST = 32000;
// Test files run at the same time. Each process looks in a part of its own, so that two do not find the same port free
// before either has used it.
const PARTS = 64,
  SIZE = Math.floor((HIGHEST - LOWEST) / PARTS);
const FIRST = LOWEST + (process.pid % PARTS) * SIZE;
const given = new Set();

const isFree = (port) =>
  new Promise((resolve) => {
    const probe = createServer().once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });

/** `preferred`, if it is free, else any free port. The same port is never given twice. */
export async function freePort(preferred) {
  for (let attempt = 0; attempt < 200; attempt++) {
    const port = attempt === 0 && preferred ? preferred : FIRST + Math.floor(Math.random() * SIZE);
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`found no free port on 127.0.0.1 between ${FIRST} and ${FIRST + SIZE}`);
}
