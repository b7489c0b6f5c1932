// Folders for the tests of the release: copies of the repository, and what is in a folder.
import { cpSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join, relative } from 'node:path';
import { after } from 'node:test';
import { ROOT } from '../../../testbed/paths.mjs';

/** A new folder, gone after the tests. */
export function folder(name = 'release-') {
  const made = mkdtempSync(join(tmpdir(), name));
  after(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

const MADE = new Set(['target', 'node_modules', '.venv', '.git', '__pycache__']);

/** The repository's sources, copied to `to`. */
export function copySources(to) {
  cpSync(ROOT, to, { recursive: true, filter: (source) => !MADE.has(basename(source)) });
  return to;
}

/** Every file below `directory`: path → bytes. */
export function filesOf(directory) {
  const entries = readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const paths = entries.map((entry) => join(entry.parentPath ?? entry.path, entry.name)).sort();
  return new Map(paths.map((path) => [relative(directory, path), readFileSync(path)]));
}
