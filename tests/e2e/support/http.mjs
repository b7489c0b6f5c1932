// HTTP for tests: requests that arrive as they were written, and answers with every header line in them.
import { request } from 'node:http';
import { request as requestOverTls } from 'node:https';
import { connect } from 'node:net';

/** The smallest MCP request that a server of the 2025-11-25 era answers with 200. */
export const INITIALIZE = JSON.stringify({
  jsonrpc: '2.0',
  id: 1,
  method: 'initialize',
  params: { protocolVersion: '2025-11-25', capabilities: {}, clientInfo: { name: 'test', version: '1' } },
});

const FOR_MCP = { 'content-type': 'application/json', 'accept': 'application/json, text/event-stream' };

/** `lines(name)` are all lines of a header, `header(name)` is the only one. */
function answer(status, rawHeaders, body) {
  const lines = (name) => rawHeaders.filter((_, i) => i % 2 && rawHeaders[i - 1].toLowerCase() === name);
  const header = (name) => {
    const found = lines(name);
    if (found.length > 1) throw new Error(`${found.length} lines of ${name}: ${found.join(' | ')}`);
    return found[0];
  };
  return {
    status,
    lines,
    header,
    body,
    get json() {
      return JSON.parse(body);
    },
  };
}

/**
 * Sends a request, by default an MCP POST, and reads the whole answer. `path` goes out as it stands; an array as header
 * value makes several lines of it, `undefined` leaves it out. `onOpen(request)` gets hold of it before it is answered.
 * `tls` are the options of a connection to an https URL.
 */
export function send(
  url,
  { method = 'POST', path, token, headers = {}, body = method === 'POST' ? INITIALIZE : undefined, onOpen, tls } = {},
) {
  const target = new URL(url);
  const all = {
    ...(body !== undefined && { ...FOR_MCP, 'content-length': Buffer.byteLength(body) }),
    ...(token && { authorization: `Bearer ${token}` }),
    ...headers,
  };
  for (const [name, value] of Object.entries(all)) if (value === undefined) delete all[name];
  return new Promise((resolve, reject) => {
    const { protocol, hostname, port, pathname, search } = target;
    const outgoing = (protocol === 'https:' ? requestOverTls : request)(
      {
        ...tls,
        hostname,
        port,
        method,
        path: path ?? pathname + search,
        headers: all,
        setHost: !all.host,
        agent: false,
        timeout: 30_000,
      },
      (incoming) => {
        let text = '';
        incoming
          .setEncoding('utf8')
          .on('data', (part) => {
            text += part;
          })
          .on('error', reject)
          .on('end', () => resolve(answer(incoming.statusCode, incoming.rawHeaders, text)));
      },
    );
    outgoing
      .on('error', reject)
      .on('timeout', () => outgoing.destroy(new Error(`no answer to ${method} ${url} within 30 s`)));
    onOpen?.(outgoing);
    outgoing.end(body);
  });
}

/** The same promise, which fails if it takes more than ten seconds. */
export const within = (what, promise) =>
  Promise.race([
    promise,
    new Promise((_, reject) => {
      setTimeout(() => reject(new Error(`not within 10 s: ${what}`)), 10_000).unref();
    }),
  ]);

/** Sends bytes over a connection of their own and returns the answer. */
export function sendRaw(port, bytes) {
  return new Promise((resolve, reject) => {
    let text = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes));
    const finish = (complete) => {
      const [head, body] = [text.slice(0, text.indexOf('\r\n\r\n')), text.slice(text.indexOf('\r\n\r\n') + 4)];
      const length = /^content-length: *(\d+)/im.exec(head)?.[1];
      // Envoy keeps a connection whose request it did not read to the end open for another second
      if (!complete && !(text.includes('\r\n\r\n') && body.length >= length)) return;
      socket.destroy();
      const [statusLine, ...fields] = head.split('\r\n');
      const pairs = fields.flatMap((field) => [
        field.slice(0, field.indexOf(':')),
        field.slice(field.indexOf(':') + 1).trim(),
      ]);
      resolve(answer(Number(statusLine.split(' ')[1]), pairs, body));
    };
    socket.setEncoding('latin1').setTimeout(10_000, () => socket.destroy(new Error('no answer within 10 s')));
    socket
      .on('data', (chunk) => {
        text += chunk;
        finish(false);
      })
      .on('error', reject)
      .on('close', () => finish(true));
  });
}

/** An MCP POST as bytes; `path` and `headers` (an array of lines) may hold anything. */
export const rawPost = (port, path, headers = []) =>
  Buffer.from(
    [
      `POST ${path} HTTP/1.1`,
      `host: 127.0.0.1:${port}`,
      'connection: close',
      'content-type: application/json',
      'accept: application/json, text/event-stream',
      `content-length: ${INITIALIZE.length}`,
      ...headers,
      '',
      INITIALIZE,
    ].join('\r\n'),
    'latin1',
  );
