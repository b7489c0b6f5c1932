// Promise: a route's metadata names the resource that it is for, exactly one that is configured. Runs
// examples/route-metadata.yaml, with routes more whose names are wrong.
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { connectionManagerOf, readExample } from '../../testbed/envoy.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { itStillServes, reasonFor, useStack } from './support/stack.mjs';

const WRONG = { unknown: 'http://127.0.0.1:1/nobody', empty: '', number: 7, list: ['a'], truth: true };

const stack = await useStack({
  example: readExample('examples/route-metadata.yaml'),
  resources: ['/internal'],
  edit: (bootstrap) => {
    const [host] = connectionManagerOf(bootstrap).route_config.virtual_hosts;
    const [named, plain] = host.routes;
    const routes = Object.entries(WRONG).map(([name, resource]) => ({
      match: { prefix: `/mcp/${name}` },
      metadata: { filter_metadata: { mcp_oauth: { resource } } },
      route: plain.route,
    }));
    const other = { match: { prefix: '/mcp/absent' }, metadata: { filter_metadata: { mcp_oauth: { other: 'x' } } } };
    // Envoy cannot read this one out.
    const nothing = {
      match: { prefix: '/mcp/nothing' },
      metadata: { filter_metadata: { mcp_oauth: { resource: null } } },
      route: plain.route,
    };
    // A header that the filter removes decides between these two.
    const byHeader = {
      match: { prefix: '/mcp/header', headers: [{ name: 'dpop', present_match: true }] },
      metadata: named.metadata,
      route: { ...plain.route, prefix_rewrite: '/mcp' },
    };
    const withoutHeader = { match: { prefix: '/mcp/header' }, direct_response: { status: 418 } };
    host.routes = [named, ...routes, nothing, byHeader, withoutHeader, { ...other, route: { ...plain.route, prefix_rewrite: '/mcp' } }, plain];
  },
});
const internal = `${stack.origin}/internal`;
const token = (resource) => machineToken(stack.issuer, resource);
const served = () => stack.mcpServer.requests().length;

it('a named route takes tokens for its resource and no others, and a route without a name those for host and path', async () => {
  for (const [path, resource, status] of [
    ['/tools/mcp', internal, 200],
    ['/tools/mcp', stack.url, 401],
    ['/mcp', stack.url, 200],
    ['/mcp', internal, 401],
    ['/mcp/absent', stack.url, 200],
  ]) {
    const before = served();
    const answer = await send(stack.origin, { path, token: await token(resource) });
    assert.equal(answer.status, status, `${path} ${resource}: ${answer.body}`);
    assert.equal(served() - before, status === 200 ? 1 : 0);
  }
});

it('the challenge leads to the metadata of the named resource', async () => {
  const challenge = (await send(stack.origin, { path: '/tools/mcp' })).header('www-authenticate');
  const [, url] = /resource_metadata="([^"]+)"/.exec(challenge);
  assert.equal(url, `${stack.origin}/.well-known/oauth-protected-resource/internal`);
  assert.equal((await send(url, { method: 'GET' })).json.resource, internal);
});

for (const name of Object.keys(WRONG)) {
  it(`a route whose name is wrong (${name}) is refused, whatever the token`, async () => {
    const before = served();
    const answer = await send(stack.origin, { path: `/mcp/${name}`, token: await token(stack.url) });
    assert.equal(answer.status, 503);
    assert.ok(answer.header('retry-after'));
    assert.equal(await reasonFor(stack, `/mcp/${name}`), 'mcp_oauth_route_resource');
    assert.equal(served(), before);
  });
}

it('a name that Envoy cannot read out is refused', async () => {
  assert.equal((await send(stack.origin, { path: '/mcp/nothing', token: await token(stack.url) })).status, 503);
  assert.equal(await reasonFor(stack, '/mcp/nothing'), 'mcp_oauth_host_failure');
});

// docs/threats.md: Envoy chooses the route anew when the filter has edited headers, and does not tell the filter of it.
it('a header that the filter removes chooses a route only until then', async () => {
  const headers = { dpop: 'x' };
  const judged = await send(stack.origin, { path: '/mcp/header', headers, token: await token(stack.url) });
  assert.equal(judged.status, 401, 'by the name of the route with the header');
  const taken = await send(stack.origin, { path: '/mcp/header', headers, token: await token(internal) });
  assert.equal(taken.status, 418, 'the route without it');
});

it('a path with two readings is refused on a named route too', async () => {
  assert.equal((await send(stack.origin, { path: '/tools/a;b', token: await token(internal) })).status, 400);
});

itStillServes(stack);
