// Where things are. Everything that set-up and runs leave behind lies in folders that git ignores.
import { mkdirSync, mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));
export const TESTBED = join(ROOT, 'testbed');
export const PYTHON = join(TESTBED, '.venv/bin/python');

/** A new directory below target/ for the logs and files of one run. */
export function runDirectory(kind) {
  const parent = join(ROOT, 'target', kind);
  mkdirSync(parent, { recursive: true });
  return mkdtempSync(join(parent, 'run-'));
}
