// Promise: the body decides before the upstream gets it, in both ways to hold a request: a denied payload never arrives.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { describe, it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { assertRefusal } from './support/replies.mjs';
import { HOLDS, call, toolCall, withRules } from './support/rules.mjs';
import { startStandIn } from './support/stand-in.mjs';
import { useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const RULES = { rules: [{ tools: ['echo'], scopes: ['mcp:read'] }, { tools: ['*'], scopes: ['mcp:admin'] }] };

/** An upstream that keeps what it received: a head when it came, and the body so far. */
async function recordingUpstream() {
  const upstream = await startUpstream();
  upstream.received = [];
  upstream.answer = (request, response) => {
    const entry = { method: request.method, headers: request.headers, body: '' };
    upstream.received.push(entry);
    request
      .on('data', (bytes) => {
        entry.body += bytes;
      })
      .on('end', () => response.writeHead(200, { 'content-type': 'text/plain' }).end('served'))
      .on('error', () => {});
  };
  return upstream;
}

/** A stack whose MCP server only records. */
async function recordingStack(hold, settings) {
  const upstream = await recordingUpstream();
  const edit = withRules(hold, settings, (bootstrap) => {
    upstream.edit(bootstrap);
    connectionManagerOf(bootstrap).http2_protocol_options = {};
  });
  // one worker: what a request leads to is over when a later one was served
  return { upstream, stack: await useStack({ edit, workers: 1 }) };
}

const set = {};
const small = {};
for (const hold of HOLDS) {
  set[hold] = await recordingStack(hold, RULES);
  small[hold] = await recordingStack(hold, { ...RULES, body: { max_size: '4KiB' } });
}

for (const hold of HOLDS) {
  const { upstream, stack } = set[hold];
  const LATER = toolCall('echo', 'a later request');
  const fresh = async () => {
    upstream.received.length = 0;
    return machineToken(stack.issuer, stack.url, 'mcp:read');
  };
  /** What the upstream got, now that it got a later request, too. */
  const arrived = async () => {
    const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
    assert.equal((await send(stack.url, { token, body: LATER })).status, 200);
    const others = upstream.received.filter(({ body }) => body !== LATER);
    assert.ok(others.length < upstream.received.length, 'the later request arrived');
    return others;
  };
  const payloads = async () => (await arrived()).map(({ body }) => body).filter(Boolean);

  describe(`hold_requests: ${hold}`, () => {
    it('what a rule allows arrives as it was sent, without the token and with the identity', async () => {
      const token = await fresh();
      const body = toolCall('echo');
      const answer = await send(stack.url, { token, body });
      assert.deepEqual([answer.status, answer.body], [200, 'served']);
      assert.deepEqual(await payloads(), [body]);
      const [{ headers }] = upstream.received;
      assert.equal(headers.authorization, undefined);
      assert.equal(headers['x-mcp-client-id'], 'machine');
    });

    it('what needs another scope is told so, and its payload does not arrive', async () => {
      const token = await fresh();
      const answer = await send(stack.url, { token, body: toolCall('delete_all', 'seven') });
      assert.equal(answer.status, 403);
      assert.match(answer.header('www-authenticate'), /error="insufficient_scope", scope="mcp:admin mcp:read"/);
      assert.deepEqual(answer.json, {
        jsonrpc: '2.0',
        id: 'seven',
        error: {
          code: 403,
          message: 'the access token does not carry the needed permissions',
          data: { error: 'insufficient_scope' },
        },
      });
      assert.deepEqual(await payloads(), []);
      if (hold === 'headers') assert.deepEqual(await arrived(), [], 'not even a head');
    });

    it('a body in many pieces is judged as a whole', async () => {
      const token = await fresh();
      for (const [tool, status] of [['echo', 200], ['other', 403]]) {
        const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { arguments: { text: 'x'.repeat(300_000) }, name: tool } });
        upstream.received.length = 0;
        const got = await inPieces(stack.url, token, body);
        assert.equal(got, status, tool);
        assert.deepEqual(await payloads(), status === 200 ? [body] : []);
      }
    });

    it('a body that ends with trailers is judged too', async () => {
      const token = await fresh();
      for (const [tool, status] of [['echo', 200], ['other', 403]]) {
        upstream.received.length = 0;
        assert.equal(await overHttp2WithTrailers(stack, token, toolCall(tool)), status, tool);
        assert.deepEqual(await payloads(), status === 200 ? [toolCall(tool)] : []);
      }
    });

    it('a body that is too long is refused before it ends', async () => {
      const token = await fresh();
      const answer = await send(stack.url, { token, body: ' '.repeat(1024 * 1024 + 1) });
      assert.equal(answer.status, 413);
      assert.deepEqual(await payloads(), []);
    });

    it('a body that is longer than body.max_size gets the answer of the filter, and its payload does not arrive', async () => {
      const { upstream, stack } = small[hold];
      const token = await machineToken(stack.issuer, stack.url, 'mcp:read');
      const empty = call('tools/call', { name: 'echo', arguments: { x: '' } });
      const sized = (size) => empty.replace('""', `"${'x'.repeat(size - empty.length)}"`);
      const arrived = () => upstream.received.map(({ body }) => body).filter(Boolean);
      assert.equal((await send(stack.url, { token, body: sized(4096) })).status, 200);
      assert.deepEqual(arrived().map(({ length }) => length), [4096]);
      for (const size of [4097, 100_000]) {
        upstream.received.length = 0;
        const answer = await send(stack.url, { token, body: sized(size) });
        assertRefusal(answer, { status: 413, error: 'invalid_request', description: 'the body is too large' });
        assert.equal(await inPieces(stack.url, token, sized(size)), 413, 'without a length');
        assert.deepEqual(arrived(), []);
        if (hold === 'headers') assert.deepEqual(upstream.received, [], 'not even a head');
      }
    });

    it('a header that comes twice is a mismatch, told with the id where the whole request waits', async () => {
      const token = await fresh();
      for (const [header, value] of [['mcp-method', 'tools/call'], ['mcp-name', 'echo'], ['mcp-protocol-version', '2026-07-28']]) {
        const answer = await send(stack.url, { token, body: toolCall('echo', 'seven'), headers: { [header]: [value, value] } });
        assert.equal(answer.status, 400, header);
        if (hold === 'headers') assert.deepEqual([answer.json.id, answer.json.error.code], ['seven', -32020]);
        else assert.equal(answer.json.error, 'invalid_request');
      }
      assert.deepEqual(upstream.received, [], 'neither a payload nor a head');
    });

    it('the answer to a request of the server passes up to 2025-11-25, and not later', async () => {
      const token = await fresh();
      const body = JSON.stringify({ jsonrpc: '2.0', id: 1, result: {} });
      for (const [version, status] of [[undefined, 200], ['2025-11-25', 200], ['2026-07-28', 400], ['2027-01-01', 400]]) {
        upstream.received.length = 0;
        const answer = await send(stack.url, { token, body, headers: { 'mcp-protocol-version': version } });
        assert.equal(answer.status, status, version);
        assert.deepEqual(await payloads(), status === 200 ? [body] : []);
      }
    });

    it('no token, no reading: 401 while the client still writes', async () => {
      await fresh();
      const head = await firstAnswer(stack.ports.listen, ['POST /mcp HTTP/1.1', `host: 127.0.0.1:${stack.ports.listen}`, 'content-type: application/json', 'content-length: 100', '', '{']);
      assert.match(head, /^HTTP\/1\.1 401 /);
      // the head of the request before may have come only now
      assert.deepEqual((await arrived()).filter(({ headers }) => headers['content-length'] === '100'), []);
    });

    it('a body and its length, its type and its encoding are what they seem', async () => {
      const token = await fresh();
      for (const [headers, status] of [
        [{ 'content-type': 'text/plain' }, 415],
        [{ 'content-type': ['application/json', 'text/plain'] }, 415],
        [{ 'content-encoding': 'gzip' }, 415],
        [{ 'content-type': 'Application/JSON; charset=utf-8' }, 200],
      ]) {
        assert.equal((await send(stack.url, { token, body: toolCall('echo'), headers })).status, status, JSON.stringify(headers));
      }
      assert.equal((await send(stack.url, { token, body: '' })).status, 400, 'an empty body');
      assert.equal((await send(stack.url, { token, method: 'PUT', body: toolCall('echo') })).status, 405);
      assert.equal((await send(stack.url, { token, method: 'GET' })).status, 200);
      assert.equal((await send(stack.url, { token, method: 'GET', body: toolCall('other') })).status, 400);
      assert.deepEqual(await payloads(), [toolCall('echo')]);
    });
  });
}

for (const hold of HOLDS) {
  it(`hold_requests: ${hold}: a request that waits for keys is judged when they come`, async () => {
    const upstream = await recordingUpstream();
    let release;
    const waiting = new Promise((resolve) => {
      release = resolve;
    });
    const standIn = await startStandIn((request, response, self) => {
      if (request.url !== '/jwks') return false;
      waiting.then(() => response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(self.jwks)));
      return true;
    });
    const stack = await useStack({
      workers: 1,
      edit: withRules(hold, RULES, (bootstrap, plugin) => {
        upstream.edit(bootstrap);
        plugin.authorization_servers[0].issuer = standIn.issuer;
        const idp = bootstrap.static_resources.clusters.find(({ name }) => name === plugin.authorization_servers[0].cluster);
        idp.load_assignment.endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = standIn.port;
      }),
    });
    const token = await standIn.token(stack.url);
    const answers = ['echo', 'other'].map((tool) => send(stack.url, { token, body: toolCall(tool) }));
    setTimeout(release, 500);
    assert.deepEqual((await Promise.all(answers)).map(({ status }) => status), [200, 403]);
    assert.equal((await send(stack.url, { token, body: toolCall('echo', 'later') })).status, 200);
    const bodies = upstream.received.map(({ body }) => body).filter(Boolean);
    assert.deepEqual(bodies, [toolCall('echo'), toolCall('echo', 'later')]);
  });
}

/** The status of a POST that is written piece by piece. */
function inPieces(url, token, body) {
  const headers = { 'authorization': `Bearer ${token}`, 'content-type': 'application/json' };
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    outgoing.on('error', reject);
    for (let at = 0; at < body.length; at += 50_000) outgoing.write(body.slice(at, at + 50_000));
    outgoing.end();
  });
}

/** The status of a POST whose end is told by trailers. */
function overHttp2WithTrailers(stack, token, body) {
  return new Promise((resolve, reject) => {
    const session = connectHttp2(stack.origin);
    session.on('error', reject);
    const stream = session.request(
      { ':method': 'POST', ':path': '/mcp', 'authorization': `Bearer ${token}`, 'content-type': 'application/json' },
      { waitForTrailers: true },
    );
    stream
      .on('wantTrailers', () => stream.sendTrailers({ 'x-end': 'yes' }))
      .on('response', (headers) => {
        resolve(headers[':status']);
        session.destroy();
      })
      .on('error', reject)
      .end(body);
  });
}

/** The first line that a server answers while the request is not complete. */
function firstAnswer(port, lines) {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(lines.join('\r\n')));
    socket
      .setEncoding('utf8')
      .once('data', (text) => {
        resolve(text);
        socket.destroy();
      })
      .on('error', reject)
      .setTimeout(10_000, () => reject(new Error('no answer within 10 s')));
  });
}
