// Promise: nothing is buffered. Events reach the client while the tool still runs, and bytes the server while the client
// still writes.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { request } from 'node:http';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';
import { Session } from '../../testbed/oauth-client.mjs';
import { PYTHON, TESTBED } from '../../testbed/paths.mjs';
import { machineToken } from '../../testbed/tokens.mjs';
import { within } from './support/http.mjs';
import { itStillServes, useStack } from './support/stack.mjs';
import { startUpstream } from './support/upstream.mjs';

const upstream = await startUpstream();
const gated = await useStack({ edit: upstream.edit });
const stacks = { typescript: await useStack(), python: await useStack({ kind: 'python' }) };
const open = (token, method, onResponse) =>
  request(
    gated.url,
    { method, headers: { 'authorization': `Bearer ${token}`, 'transfer-encoding': 'chunked' }, agent: false },
    onResponse,
  );

it('each event arrives before the server has sent the next', async () => {
  let sendNext;
  upstream.answer = (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    let number = 0;
    sendNext = () => {
      number += 1;
      if (number > 3) response.end();
      else response.write(`data: ${number}\n\n`);
    };
    sendNext();
  };
  const token = await machineToken(gated.issuer, gated.url);
  const seen = [];
  await within(
    'the whole stream',
    new Promise((resolve, reject) => {
      open(token, 'POST', (response) => {
        response
          .setEncoding('utf8')
          .on('data', (text) => {
            seen.push(text.trim());
            sendNext();
          })
          .on('end', resolve)
          .on('error', reject);
      })
        .on('error', reject)
        .end('{}');
    }),
  );
  assert.deepEqual(seen, ['data: 1', 'data: 2', 'data: 3']);
});

it('a request body arrives while the client still writes it, and the answer while it does', async () => {
  const seen = [];
  upstream.answer = (incoming, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' });
    incoming
      .setEncoding('utf8')
      .on('data', (text) => {
        seen.push(text);
        response.write(`got ${text}`);
      })
      .on('end', () => response.end());
  };
  const token = await machineToken(gated.issuer, gated.url);
  const echoes = [];
  await within(
    'the whole exchange',
    new Promise((resolve, reject) => {
      const outgoing = open(token, 'POST', (response) => {
        response
          .setEncoding('utf8')
          .on('data', (text) => {
            echoes.push(text);
            if (echoes.length < 3) outgoing.write(`part ${echoes.length}`);
            else outgoing.end();
          })
          .on('end', resolve)
          .on('error', reject);
      }).on('error', reject);
      outgoing.write('part 0');
    }),
  );
  assert.deepEqual(seen, ['part 0', 'part 1', 'part 2']);
  assert.deepEqual(echoes, ['got part 0', 'got part 1', 'got part 2']);
});

const MS = 250,
  STEPS = 4;
for (const [kind, stack] of Object.entries(stacks)) {
  describe(`progress of a tool of the ${kind} MCP server arrives while it runs`, () => {
    const assertSpread = (progressAt, endedAt) => {
      assert.equal(progressAt.length, STEPS, 'progress events');
      // buffered events would arrive together with the result
      assert.ok(
        endedAt - progressAt[0] > (MS * (STEPS - 1)) / 2,
        `the first of ${STEPS} events arrived ${endedAt - progressAt[0]} ms before the result`,
      );
    };
    for (const era of ['2025-11-25', '2026-07-28']) {
      it(`TypeScript client, ${era}`, async () => {
        const session = await Session.open(stack.url, { era });
        const progressAt = [];
        await session.run((client) =>
          client.callTool(
            { name: 'slow', arguments: { steps: STEPS, ms: MS } },
            { onprogress: () => progressAt.push(performance.now()) },
          ),
        );
        assertSpread(progressAt, performance.now());
        await session.close();
      });
      it(`Python client, ${era}`, async () => {
        const { stdout } = await promisify(execFile)(
          PYTHON,
          [
            join(TESTBED, 'client.py'),
            stack.url,
            '--mode',
            era === '2025-11-25' ? 'legacy' : 'auto',
            '--call',
            'slow',
            JSON.stringify({ steps: STEPS, ms: MS }),
          ],
          { timeout: 60_000 },
        );
        const {
          protocolVersion,
          calls: [{ progressAt, at, text }],
        } = JSON.parse(stdout);
        assert.deepEqual([protocolVersion, text], [era, `done ${STEPS}`]);
        assertSpread(progressAt, at);
      });
    }
  });
  itStillServes(stack);
}
