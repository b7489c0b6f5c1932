// The commands of the release, run as `make` runs them.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { ROOT } from '../../../testbed/paths.mjs';

/** What a shell has, and nothing of who the tester is to a registry. */
const ENVIRONMENT = { PATH: process.env.PATH, HOME: '/nonexistent' };

/** Runs tools/release/`name`: `{ code, output }`, standard output and errors together. */
export function run(name, { args = [], environment = {}, root = ROOT, cwd = root, umask = '022' } = {}) {
  return new Promise((resolve, reject) => {
    const script = join(root, 'tools/release', name);
    const child = spawn('sh', ['-c', 'umask "$0"; exec "$@"', umask, process.execPath, script, ...args], {
      cwd,
      env: { ...ENVIRONMENT, ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: 60_000,
    });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text));
    child.once('error', reject).once('close', (code) => resolve({ code, output }));
  });
}
