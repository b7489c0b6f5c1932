// The official MCP conformance suite, run against a server.
import { execFile } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TESTBED } from './paths.mjs';

const SUITE = join(TESTBED, 'node_modules/@modelcontextprotocol/conformance/dist/index.js');

/**
 * Runs all that the suite has for servers of this era against the server at `url`, and returns what it found, by the
 * names of its scenarios: `{ [scenario]: [{ id, name, status, errorMessage?, details? }...] }`. Everything that the suite
 * wrote stays in `directory`.
 */
export async function runConformance({ url, era, directory }) {
  mkdirSync(directory, { recursive: true });
  const output = await new Promise((resolve) => {
    const args = ['--import', join(TESTBED, 'glob-sync.mjs'), SUITE, 'server', '--url', url, '--requirements', era];
    // its exit code says whether all scenarios passed, which is not what we ask for
    execFile(process.execPath, [...args, '-o', directory], { timeout: 60_000 }, (_error, stdout, stderr) =>
      resolve(stdout + stderr),
    );
  });
  writeFileSync(join(directory, 'output.txt'), output);
  if (!output.includes('=== SUMMARY ==='))
    throw new Error(`the conformance suite did not come to its end:\n${output.slice(-3000)}`);
  const results = {};
  for (const { name } of readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory())) {
    const [, scenario] = /^server-(.+)-\d{4}-\d\d-\d\dT[-\d]+Z$/.exec(name);
    results[scenario] = JSON.parse(readFileSync(join(directory, name, 'checks.json'), 'utf8'));
  }
  return results;
}
