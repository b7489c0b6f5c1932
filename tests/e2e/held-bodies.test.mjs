// Promise: a body that comes half before the keys and half after them is judged whole, and arrives whole or not at all,
// whatever the proxy was told about delivering bodies of paused requests.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { it } from 'node:test';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { until } from '../../testbed/until.mjs';
import { toolCall, withRules } from './support/rules.mjs';
import { startStandIn } from './support/stand-in.mjs';
import { useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const RULES = { rules: [{ tools: ['echo'] }, { tools: ['*'], scopes: ['mcp:admin'] }] };

for (const { hold, delivers, settings } of [
  { hold: 'headers', delivers: true, settings: RULES },
  { hold: 'body', delivers: false, settings: RULES },
  { hold: 'body', delivers: true, settings: RULES },
  { hold: 'headers', delivers: true, settings: {} },
  { hold: 'headers', delivers: false, settings: {} },
]) {
  const name = `${settings.rules ? `rules, hold_requests: ${hold}` : 'no rules'}; Envoy ${delivers ? 'delivers' : 'keeps'} bodies of paused requests`;
  it(name, async () => {
    const received = [];
    const upstream = await startUpstream();
    upstream.answer = (incoming, response) => {
      const entry = { body: '' };
      received.push(entry);
      incoming
        .on('data', (bytes) => {
          entry.body += bytes;
        })
        .on('end', () => response.writeHead(200).end())
        .on('error', () => {});
    };
    let release;
    const keysMayCome = new Promise((resolve) => {
      release = resolve;
    });
    const standIn = await startStandIn((asked, response, self) => {
      if (asked.url !== '/jwks') return false;
      keysMayCome.then(() =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(self.jwks)),
      );
      return true;
    });
    const stack = await useStack({
      workers: 1,
      edit: withRules(hold, settings, (bootstrap, plugin) => {
        upstream.edit(bootstrap);
        connectionManagerOf(bootstrap).http_filters[0].typed_config.config.allow_on_headers_stop_iteration = delivers;
        const [server] = plugin.authorization_servers;
        server.issuer = standIn.issuer;
        const { endpoints } = bootstrap.static_resources.clusters.find(
          ({ name: cluster }) => cluster === server.cluster,
        ).load_assignment;
        endpoints[0].lb_endpoints[0].endpoint.address.socket_address.port_value = standIn.port;
      }),
    });
    const token = await standIn.token(stack.url);
    await until('Envoy asks for the keys', () => standIn.requests.includes('/jwks'));

    const bodies = ['echo', 'other'].map((tool) => `${' '.repeat(20_000)}${toolCall(tool)}${' '.repeat(20_000)}`);
    const started = bodies.map((body) => startPost(stack.url, token, body.slice(0, 20_010)));
    // The halves are on their way when a third request, which is refused at once, was answered.
    await startPost(stack.url, 'no token', '{}').finish('');
    release();
    await until('the keys came', () => /keys: issuer .* fetched|usable/.test(stack.envoy.output));
    const statuses = await Promise.all(started.map((post, i) => post.finish(bodies[i].slice(20_010))));
    // What is on its way to the upstream arrived before a later request did.
    const later = toolCall('echo', 'a later request');
    assert.equal(await startPost(stack.url, token, later).finish(''), 200);
    const arrived = received.map(({ body }) => body).filter((body) => body !== '' && body !== later);
    if (settings.rules) {
      assert.deepEqual(statuses, [200, 403]);
      assert.deepEqual(arrived, [bodies[0]]);
    } else {
      assert.deepEqual(statuses, [200, 200]);
      assert.deepEqual(arrived.sort(), [...bodies].sort());
    }
  });
}

/** A POST whose beginning is sent at once; `finish(rest)` sends the rest and waits for the status. */
function startPost(url, token, beginning) {
  const headers = { 'authorization': `Bearer ${token}`, 'content-type': 'application/json' };
  let outgoing;
  const status = new Promise((resolve, reject) => {
    outgoing = request(url, { method: 'POST', headers, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    outgoing.on('error', reject);
    outgoing.write(beginning);
  });
  return {
    finish: (rest) => {
      outgoing.end(rest);
      return status;
    },
  };
}
