// Promise: `make demo` proves what it says and `make up` can be used as it prints; neither leaves a process behind.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { after, it } from 'node:test';
import { ROOT } from '../../testbed/paths.mjs';
import { until } from '../../testbed/until.mjs';

/** Runs a command as a user would, and collects what it prints. */
function run(command, args, options = {}) {
  const child = spawn(command, args, { cwd: ROOT, ...options });
  after(() => child.kill('SIGTERM')); // should an assertion fail before the test ends it
  const running = { child, output: '', ended: once(child, 'close') };
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      running.output += text;
    });
  return running;
}

/** The ids of all processes that `id` started, and theirs. */
function descendants(id) {
  const children = new Map();
  for (const name of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    let stat;
    try {
      stat = readFileSync(`/proc/${name}/stat`, 'utf8');
    } catch {
      continue;
    } // it has ended meanwhile
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (state !== 'Z') children.set(Number(parent), [...(children.get(Number(parent)) ?? []), Number(name)]);
  }
  const below = (parent) => (children.get(parent) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(id);
}
const isAlive = (id) => {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${id}/stat`, 'utf8'));
  } catch {
    return false;
  }
};

it('the demo tells the whole way and ends with five proofs', async () => {
  const demo = run(process.execPath, ['demo/demo.mjs']);
  const [code] = await demo.ended;
  assert.equal(code, 0, demo.output);
  const told = [
    '401  client -> Envoy',
    'www-authenticate: Bearer resource_metadata=',
    '/.well-known/oauth-protected-resource/mcp',
    '/.well-known/oauth-authorization-server',
    '201  client -> authorization server',
    'code_challenge_method=S256',
    '"token_type": "Bearer"',
    '(tools/list)',
    '(tools/call echo)',
    'authorization: (none)  x-mcp-subject: alice',
  ];
  let from = 0;
  for (const text of told) {
    const at = demo.output.indexOf(text, from);
    assert.ok(at >= 0, `"${text}" should come after what was told before, in:\n${demo.output}`);
    from = at;
  }
  assert.equal(demo.output.match(/^ {3}yes {2}/gm)?.length, 5, demo.output);
  assert.doesNotMatch(demo.output, /\x1b\[/, 'no colours where nobody looks');
});

for (const [how, signal] of [
  ['Ctrl-C', 'SIGINT'],
  ['SIGTERM', 'SIGTERM'],
  ['kill -9', 'SIGKILL'],
]) {
  it(
    `what \`make up\` prints works when it is pasted, and ${how} stops everything`,
    { skip: process.platform !== 'linux' && 'reads /proc' },
    async () => {
      const up = run(process.execPath, ['demo/up.mjs']);
      await until('it is up', () => {
        assert.equal(up.child.exitCode, null, up.output);
        return up.output.includes('Ctrl-C stops everything');
      });
      const parts = descendants(up.child.pid);
      assert.ok(
        parts.length >= 4,
        `authorization server, MCP server, Envoy and their guard, got ${parts.length} processes`,
      );

      if (signal === 'SIGINT') {
        const [challenge, client] = up.output.match(/^ {2}(curl|node) .*$/gm).map((line) => line.trim());
        const asked = run('sh', ['-c', challenge]);
        await asked.ended;
        assert.match(asked.output, /^HTTP\/1\.1 401 [\s\S]*^www-authenticate: Bearer resource_metadata="/m);
        const used = run('sh', ['-c', client], { cwd: '/' });
        assert.deepEqual([(await used.ended)[0], /^echo answered: hello$/m.test(used.output)], [0, true], used.output);
      }
      process.kill(up.child.pid, signal);
      await up.ended;
      await until(`nothing of ${parts.join(', ')} is left`, () => !parts.some(isAlive), { seconds: 10 });
    },
  );
}

it('two at once find ports of their own', async () => {
  const both = [run(process.execPath, ['demo/up.mjs']), run(process.execPath, ['demo/up.mjs'])];
  const urls = new Set();
  for (const up of both) {
    await until('it is up', () => {
      assert.equal(up.child.exitCode, null, up.output);
      return up.output.includes('Ctrl-C stops everything');
    });
    urls.add(/server: +(\S+)/.exec(up.output)[1]);
  }
  assert.equal(urls.size, 2);
  for (const url of urls) assert.equal((await fetch(url, { method: 'POST' })).status, 401);
  for (const up of both) {
    up.child.kill('SIGTERM');
    await up.ended;
  }
});
