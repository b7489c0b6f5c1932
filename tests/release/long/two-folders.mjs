// Promise: the whole way from the sources to the image gives one digest, wherever the sources, the packages and the user are.
// Two builds from nothing: about two minutes. `make test-image`
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdirSync, symlinkSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';
import { promisify } from 'node:util';
import { ROOT } from '../../../testbed/paths.mjs';
import { copySources, filesOf, folder } from '../support/folders.mjs';

const CARGO = process.env.CARGO_HOME ?? join(homedir(), '.cargo');
const RUSTUP = process.env.RUSTUP_HOME ?? join(homedir(), '.rustup');
const MINUTES = 20; // per build; two on an idle machine

/** Builds and packs a copy of the sources in the new folder `name`: path → bytes. */
async function built(name, variables) {
  const root = copySources(join(folder(), name));
  symlinkSync(join(ROOT, 'tools/node_modules'), join(root, 'tools/node_modules'));
  const cargo = join(root, '..', 'packages of its own'); // the same packages in another place, without fetching them again
  mkdirSync(cargo);
  symlinkSync(join(CARGO, 'registry'), join(cargo, 'registry'));
  const settings = { PATH: process.env.PATH, HOME: join(root, '..'), RUSTUP_HOME: RUSTUP, CARGO_HOME: cargo, ...variables };
  const began = performance.now();
  console.log(`   building in ${root} ...`);
  const step = (command, ...args) =>
    promisify(execFile)('nice', [command, ...args], { cwd: root, env: settings, timeout: MINUTES * 60_000, maxBuffer: 1 << 26 });
  await step('tools/build');
  const { stdout } = await step(process.execPath, 'tools/release/image.mjs');
  console.log(`   ${/^Image: .*$/m.exec(stdout)[0]} (${Math.round((performance.now() - began) / 1000)} s)`);
  return filesOf(join(root, 'target/image'));
}

it(
  'two folders, two homes of Cargo, two time zones, locales and degrees of parallelism: one image',
  { timeout: 2 * MINUTES * 60_000 },
  async () => {
    const one = await built('a', {});
    const two = await built('another folder, with spaces', {
      TZ: 'Pacific/Kiritimati',
      LC_ALL: 'tr_TR.UTF-8',
      CARGO_BUILD_JOBS: '1',
    });
    assert.deepEqual([...two.keys()], [...one.keys()]);
    for (const [name, bytes] of one) assert.ok(two.get(name).equals(bytes), `${name} differs`);
  },
);
