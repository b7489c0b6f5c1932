// Promise: what the MCP server answers reaches the client as it is, except for a challenge: the server never saw the
// client's token, so its challenge is about something else and would lead the client astray.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { machineToken } from '../../testbed/tokens.mjs';
import { send } from './support/http.mjs';
import { challenges } from './support/replies.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const upstream = await startUpstream();
const stack = await useStack({ edit: upstream.edit });
const token = await machineToken(stack.issuer, stack.url);
const ELSEWHERE = 'Bearer resource_metadata="https://evil.example/.well-known/oauth-protected-resource"';

const answers = (status, headers, body = 'from the upstream') => {
  upstream.answer = (_request, response) => response.writeHead(status, headers).end(body);
};

describe('a challenge of the upstream', () => {
  const OURS = challenges(stack.origin).missing();
  const CASES = [
    [401, ELSEWHERE, OURS],
    [401, [ELSEWHERE, 'Basic realm="x"'], OURS],
    [401, 'Negotiate', OURS],
    [403, ELSEWHERE, undefined],
    [407, ELSEWHERE, undefined],
    [200, ELSEWHERE, undefined],
  ];
  for (const [status, challenge, expected] of CASES) {
    it(`${status} with ${JSON.stringify(challenge)}: the status stays, the challenge is ${expected ? "the resource's own" : 'removed'}`, async () => {
      answers(status, { 'www-authenticate': challenge, 'x-other': 'kept' });
      const answer = await send(stack.url, { token });
      assert.deepEqual([answer.status, answer.body, answer.header('x-other')], [status, 'from the upstream', 'kept']);
      assert.deepEqual(answer.lines('www-authenticate'), expected ? [expected] : []);
    });
  }
});

describe('everything else stays', () => {
  for (const [status, headers] of [
    [200, { 'mcp-session-id': 's', 'set-cookie': ['a=1', 'b=2'] }],
    [202, {}],
    [404, {}],
    [405, { allow: 'POST' }],
    [500, {}],
    [503, { 'retry-after': '7' }],
  ]) {
    it(`${status} ${JSON.stringify(headers)}`, async () => {
      answers(status, headers);
      const answer = await send(stack.url, { token });
      assert.deepEqual([answer.status, answer.body], [status, 'from the upstream']);
      for (const [name, value] of Object.entries(headers)) assert.deepEqual(answer.lines(name), [value].flat());
    });
  }
});

describe('CORS of an upstream', () => {
  const fromPage = { token, headers: { origin: 'https://app.example' } };
  it('is not touched where there is one', async () => {
    answers(200, { 'access-control-allow-origin': 'https://app.example', 'access-control-expose-headers': 'x-a' });
    const answer = await send(stack.url, fromPage);
    assert.deepEqual(
      [answer.header('access-control-allow-origin'), answer.header('access-control-expose-headers')],
      ['https://app.example', 'x-a'],
    );
  });
  it('is added where there is none, also to errors', async () => {
    answers(500, {});
    assert.equal((await send(stack.url, fromPage)).header('access-control-allow-origin'), '*');
  });
});

it('an upstream that hangs up is a 503 of Envoy, and no 401', async () => {
  upstream.answer = (request) => request.socket.destroy();
  assert.equal((await send(stack.url, { token })).status, 503);
  answers(200, {});
});

itStillServes(stack);
