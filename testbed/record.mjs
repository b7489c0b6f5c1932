// The record that a server keeps of every request it gets: one JSON line when it arrives, one when it was answered. An
// MCP server also writes one for each tool that it runs.
import { appendFileSync, existsSync, readFileSync } from 'node:fs';

/** Wraps a node:http request listener so that `file` gets the record (nothing is recorded without a file). */
export function recorded(file, listener) {
  if (!file) return listener;
  const write = (entry) => appendFileSync(file, `${JSON.stringify(entry)}\n`);
  let last = 0;
  return (request, response) => {
    const id = ++last;
    const { method, url, rawHeaders } = request;
    const headers = [];
    for (let i = 0; i < rawHeaders.length; i += 2) headers.push([rawHeaders[i].toLowerCase(), rawHeaders[i + 1]]);
    write({ id, at: performance.timeOrigin + performance.now(), method, url, headers });
    response.once('close', () => write({ id, status: response.statusCode }));
    listener(request, response);
  };
}

/** The lines of a record that are complete: the server may be writing another one. */
const linesOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').slice(0, -1) : []);

/** All requests of a record, in order: `{ id, at, method, url, headers: [[name, value]...], status? }`. */
export function readRecord(file) {
  const requests = new Map();
  for (const line of linesOf(file)) {
    const entry = JSON.parse(line);
    if (!entry.ran) requests.set(entry.id, { ...requests.get(entry.id), ...entry });
  }
  return [...requests.values()];
}

/** Writes down that a tool runs, before it does; an authorization server, which form it was posted. */
export const recordRun = (file, ran, args) =>
  file && appendFileSync(file, `${JSON.stringify({ ran, arguments: args })}\n`);

/** The tools that ran, in order: `{ ran, arguments }`. */
export const readRuns = (file) =>
  linesOf(file)
    .filter((line) => line.startsWith('{"ran":'))
    .map((line) => JSON.parse(line));

/** The value of a header in a recorded request; undefined if it was not sent. */
export const header = (request, name) => request.headers.find(([n]) => n === name)?.[1];
