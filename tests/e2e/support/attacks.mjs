// Ways to have a server read `slow` where a gateway reads something else, or nothing: each a request that runs `slow` if
// one of the two reads laxly. The bodies are texts, because what matters is how they are written.
import { deflateSync, gzipSync } from 'node:zlib';
import { headersOf } from './mcp.mjs';

const base64 = (text) => Buffer.from(text).toString('base64');

/** The parts of an attack of `client`. `mark` is an argument of the call, by which a run is recognised. */
function parts(client, mark) {
  const meta = client.meta ? `,"_meta":${JSON.stringify(client.meta)}` : '';
  const slowArguments = `"arguments":{"steps":0,"ms":${mark},"message":"${mark}"}`;
  const named = (name) => `{"name":${name},${slowArguments}${meta}}`;
  const slow = named('"slow"');
  const echo = named('"echo"');
  const message = (params, method = '"tools/call"') =>
    `{"jsonrpc":"2.0","id":7,"method":${method},"params":${params}}`;
  return { slowArguments, meta, named, slow, echo, message, call: message(slow), harmless: message(echo), mark };
}

const body = (text) => ({ body: text });
const withHeaders = (headers) => (part) => ({ body: part.call, headers });
const utf16 = (text, { bigEndian, mark }) => {
  const bytes = Buffer.from((mark ? '\ufeff' : '') + text, 'utf16le');
  return bigEndian ? bytes.swap16() : bytes;
};

/** name: [the answer's status, the request]. Headers replace those of a plain call of `slow`. */
const ATTACKS = {
  'the plain call': [403, ({ call }) => body(call)],

  // Mcp-Method and Mcp-Name (5.1, 5.2 item 7)
  'Mcp-Method: tools/list': [400, withHeaders({ 'mcp-method': 'tools/list' })],
  'Mcp-Name: echo': [400, withHeaders({ 'mcp-method': 'tools/call', 'mcp-name': 'echo' })],
  'Mcp-Method: initialize': [400, withHeaders({ 'mcp-method': 'initialize', 'mcp-name': undefined })],
  'another case of Mcp-Method': [400, withHeaders({ 'mcp-method': 'Tools/Call', 'mcp-name': 'slow' })],
  'two lines of Mcp-Method, the good one first': [400, withHeaders({ 'mcp-method': ['tools/list', 'tools/call'] })],
  'two lines of Mcp-Method, the good one last': [400, withHeaders({ 'mcp-method': ['tools/call', 'tools/list'] })],
  'two methods in one line': [400, withHeaders({ 'mcp-method': 'tools/list, tools/call' })],
  'two lines of Mcp-Name': [400, withHeaders({ 'mcp-method': 'tools/call', 'mcp-name': ['echo', 'slow'] })],
  'two lines of MCP-Protocol-Version': [400, withHeaders({ 'mcp-protocol-version': ['2025-11-25', '2026-07-28'] })],
  'the same version twice': [400, withHeaders({ 'mcp-protocol-version': ['2025-11-25', '2025-11-25'] })],
  ...Object.fromEntries(
    [
      ['of echo', `=?base64?${base64('echo')}?=`, 400],
      ['of slow, which is what the body says', `=?base64?${base64('slow')}?=`, 403],
      ['without padding', '=?base64?c2xvdw?=', 400],
      ['with a space in it', '=?base64?c2xv dw==?=', 400],
      ['with upper-case marks', `=?BASE64?${base64('slow')}?=`, 400],
      ['without its end', `=?base64?${base64('slow')}`, 400],
      ['of nothing', '=?base64??=', 400],
      ['of a NUL', `=?base64?${base64('slow\0')}?=`, 400],
      ['of no UTF-8', '=?base64?/w==?=', 400],
      ['of the Base64 form', `=?base64?${base64(`=?base64?${base64('slow')}?=`)}?=`, 400],
    ].map(([what, name, status]) => [
      `Mcp-Name in Base64 ${what}`,
      [status, withHeaders({ 'mcp-method': 'tools/call', 'mcp-name': name })],
    ]),
  ),

  // media type and encoding (5.2 item 2)
  ...Object.fromEntries(
    [
      ['Application/JSON', 403],
      ['APPLICATION/JSON ; Charset="utf-8"', 403],
      ['application/json;charset=utf-16', 415],
      [undefined, 415],
      ['', 415],
      ['text/plain', 415],
      ['text/plain; application/json', 415],
      ['application/json, text/plain', 415],
      ['text/plain, application/json', 415],
      [['application/json', 'text/plain'], 415],
      [['text/plain', 'application/json'], 415],
      [['application/json', 'application/json'], 415],
      ['application/json-rpc', 415],
      ['application/problem+json', 415],
      ['application/json\ttext/plain', 415],
      ['application/x-www-form-urlencoded', 415],
    ].map(([type, status]) => [`Content-Type ${JSON.stringify(type)}`, [status, withHeaders({ 'content-type': type })]]),
  ),
  'a gzip body': [415, ({ call }) => ({ body: gzipSync(call), headers: { 'content-encoding': 'gzip' } })],
  'a gzip body that is not said to be one': [400, ({ call }) => body(gzipSync(call))],
  'a gzip body that is said to be plain': [
    400,
    ({ call }) => ({ body: gzipSync(call), headers: { 'content-encoding': 'identity' } }),
  ],
  'a deflate body': [415, ({ call }) => ({ body: deflateSync(call), headers: { 'content-encoding': 'deflate' } })],
  'a plain body that is said to be gzip': [415, withHeaders({ 'content-encoding': 'gzip' })],
  'two encodings': [415, withHeaders({ 'content-encoding': 'identity, gzip' })],
  'two lines of Content-Encoding': [415, withHeaders({ 'content-encoding': ['identity', 'gzip'] })],
  'an empty Content-Encoding': [415, withHeaders({ 'content-encoding': '' })],

  // bytes (5.2 item 3)
  'a byte order mark': [400, ({ call }) => body(`\ufeff${call}`)],
  'UTF-16, little end first': [400, ({ call }) => body(utf16(call, {}))],
  'UTF-16, little end first, with a mark': [400, ({ call }) => body(utf16(call, { mark: true }))],
  'UTF-16, big end first': [400, ({ call }) => body(utf16(call, { bigEndian: true }))],
  'UTF-16, big end first, with a mark': [400, ({ call }) => body(utf16(call, { bigEndian: true, mark: true }))],
  'UTF-7, in which the call hides in a text': [
    415,
    ({ call, harmless }) => ({
      body: harmless.replace('{', () => `{"x":"+ACI-,${call.slice(1, -1).replaceAll('"', '+ACI-')},+ACI-y+ACI-:+ACI-",`),
      headers: { 'content-type': 'application/json; charset=utf-7' },
    }),
  ],
  'UTF-16 that is said to be it': [
    415,
    ({ call }) => ({ body: utf16(call, {}), headers: { 'content-type': 'application/json;charset=utf-16le' } }),
  ],
  'UTF-32': [400, ({ call }) => body(Buffer.concat([...call].map((c) => Buffer.from([0, 0, 0, c.charCodeAt(0)]))))],
  'an overlong form of a letter': [400, ({ call }) => body(Buffer.from(call.replace('slow', '\xc1\xb3low'), 'latin1'))],
  'a byte that is no UTF-8 behind the name': [400, ({ call }) => body(Buffer.from(call.replace('slow', 'slow\xff'), 'latin1'))],
  'a second value behind the first': [400, ({ call, harmless }) => body(harmless + call)],
  'a second value on a line of its own': [400, ({ call, harmless }) => body(`${harmless}\n${call}`)],
  'a second value behind a NUL': [400, ({ call, harmless }) => body(`${harmless}\0${call}`)],
  'a harmless value behind it': [400, ({ call, harmless }) => body(`${call} ${harmless}`)],
  'a comma behind it': [400, ({ call }) => body(`${call},`)],
  'a comment in it': [400, ({ call }) => body(call.replace('{', '{/* */'))],
  'single quotes': [400, ({ call }) => body(call.replaceAll('"', "'"))],
  'a value that is too deep': [
    400,
    ({ call }) => body(call.replace('"arguments":{', `"arguments":{"x":${'['.repeat(200)}${']'.repeat(200)},`)),
  ],
  'a body that is too long': [413, ({ call }) => body(call + ' '.repeat(1024 * 1024))],

  // names of members (5.2 item 3)
  'two methods, the harmless first': [400, ({ slow, message }) => body(message(slow, '"tools/list","method":"tools/call"'))],
  'two methods, the harmless last': [400, ({ slow, message }) => body(message(slow, '"tools/call","method":"tools/list"'))],
  'two params, the harmless first': [400, ({ slow, echo, message }) => body(message(`${echo},"params":${slow}`))],
  'two params, the harmless last': [400, ({ slow, echo, message }) => body(message(`${slow},"params":${echo}`))],
  'two names, the harmless first': [400, ({ named, message }) => body(message(named('"echo","name":"slow"')))],
  'two names, the harmless last': [400, ({ named, message }) => body(message(named('"slow","name":"echo"')))],
  'two names, one of them escaped': [400, ({ named, message }) => body(message(named('"echo","n\\u0061me":"slow"')))],
  'two ids': [400, ({ slow, message }) => body(message(slow, '"tools/call","id":8'))],
  'two members of one name in the arguments': [400, ({ call }) => body(call.replace('"steps":0', '"steps":0,"steps":0'))],
  'an escaped name of a member': [403, ({ call }) => body(call.replace('"name"', '"n\\u0061me"'))],
  'escaped names all over': [
    403,
    ({ call }) => body(call.replace('"method"', '"\\u006dethod"').replace('"params"', '"para\\u006Ds"')),
  ],
  'an escaped tool': [403, ({ named, message }) => body(message(named('"sl\\u006fw"')))],
  'an escaped method': [403, ({ slow, message }) => body(message(slow, '"tools\\/c\\u0061ll"'))],
  ...Object.fromEntries(
    [
      ['"method"', '"Method"'],
      ['"method"', '"METHOD"'],
      ['"params"', '"PARAMS"'],
      ['"params"', '"Params"'],
      ['"params"', '"param\u017f"'],
      ['"name"', '"Name"'],
      ['"name"', '"NAME"'],
      ['"arguments"', '"Arguments"'],
      ['"arguments"', '"argument\u017f"'],
      ['"id"', '"ID"'],
    ].flatMap(([name, variant]) => [
      [`${variant} in place of ${name}`, [400, ({ call }) => body(call.replace(name, variant))]],
      [
        `${variant} beside ${name}`,
        [400, ({ call }) => body(call.replace(name, `${variant}:${name === '"id"' ? 7 : '"tools/list"'},${name}`))],
      ],
    ]),
  ),
  'params and PARAMS': [400, ({ slow, echo, message }) => body(message(`${echo},"PARAMS":${slow}`))],
  'params and a long s': [400, ({ slow, echo, message }) => body(message(`${echo},"param\u017f":${slow}`))],
  'name and Name': [400, ({ named, message }) => body(message(named('"echo","Name":"slow"')))],
  'taskId with a Kelvin sign': [400, ({ named, message }) => body(message(named('"slow","tas\u212aId":"echo"')))],
  'taskId in snake case': [400, ({ named, message }) => body(message(named('"slow","task_id":"echo"')))],
  'a NUL behind the name': [400, ({ named, message }) => body(message(named('"slow\\u0000"')))],
  'a NUL within the name': [400, ({ named, message }) => body(message(named('"echo\\u0000slow"')))],
  'a bare NUL in the name': [400, ({ named, message }) => body(message(named('"slow\0"')))],
  'half a surrogate pair in the name': [400, ({ named, message }) => body(message(named('"slow\\ud800"')))],
  'a line feed behind the method': [400, ({ slow, message }) => body(message(slow, '"tools/call\\n"'))],
  'an array as name': [400, ({ named, message }) => body(message(named('["slow"]')))],
  'an object as name': [400, ({ named, message }) => body(message(named('{"name":"slow"}')))],
  'an array as params': [400, ({ slow, message }) => body(message(`[${slow}]`))],
  'a text as params': [400, ({ slow, message }) => body(message(JSON.stringify(slow)))],

  // arrays and kinds (5.2 items 4 and 5)
  'an array of one': [400, ({ call }) => body(`[${call}]`)],
  'an array of two, the harmless first': [400, ({ call, harmless }) => body(`[${harmless},${call}]`)],
  'an array of two, the harmless last': [400, ({ call, harmless }) => body(`[${call},${harmless}]`)],
  'an array in an array': [400, ({ call }) => body(`[[${call}]]`)],
  'an array in the only revision with batches': [
    400,
    ({ call }) => ({ body: `[${call}]`, headers: { 'mcp-protocol-version': '2025-03-26' } }),
  ],
  'a notification': [403, ({ call }) => body(call.replace('"id":7,', ''))],
  'a request with the id null': [400, ({ call }) => body(call.replace('"id":7,', '"id":null,'))],
  'a request that is also a response': [400, ({ call }) => body(call.replace('"id":7,', '"id":7,"result":{},'))],
};

/** The attacks of a client: `{ what, status, send(mark) }`, where `send(mark)` is for `send` of http.mjs. */
export const attacksOf = (client) =>
  Object.entries(ATTACKS).map(([what, [status, make]]) => ({
    what,
    status,
    send: (mark) => {
      const { body: bytes, headers } = make(parts(client, mark));
      return { body: bytes, headers: { ...headersOf(client, 'tools/call', 'slow'), ...headers } };
    },
  }));
