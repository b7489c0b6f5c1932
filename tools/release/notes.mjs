#!/usr/bin/env node
// The notes of a release, from CHANGELOG.md, as a release page wants them: one line per item, since such pages break lines
// where the text does.
//   VERSION=0.2.0 node tools/release/notes.mjs     without VERSION: what is not released yet
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { command, Failure } from './failure.mjs';

const CHANGELOG = fileURLToPath(new URL('../../CHANGELOG.md', import.meta.url));

/** The sections of a changelog: [heading without date, lines]. */
function sections(text) {
  const found = [];
  for (const line of text.split('\n')) {
    const heading = /^## +\[?v?([^\]\s]+)/.exec(line)?.[1];
    if (heading) found.push([heading, []]);
    else found.at(-1)?.[1].push(line);
  }
  return found;
}

/** Lines of one item or paragraph become one; code blocks stay as they are. */
function unwrap(lines) {
  const out = [];
  let code = false;
  let open = false; // whether the line before goes on in this one
  for (const line of lines) {
    const fence = /^\s*```/.test(line);
    const begins = fence || code || line.trim() === '' || /^\s*(\||[-*+]\s|\d+\.\s|#+\s|>)/.test(line);
    if (!begins && open) out.push(`${out.pop()} ${line.trim()}`);
    else out.push(line);
    if (fence) code = !code;
    open = !code && !fence && line.trim() !== '';
  }
  return out.join('\n').trim();
}

/** The notes of `version` (`Unreleased` by default). */
export function notes(changelog, version = 'Unreleased') {
  const all = sections(changelog);
  const wanted = version.replace(/^v(?=\d)/, '').toLowerCase();
  const found = all.filter(([heading]) => heading.toLowerCase() === wanted);
  const add = `write it into CHANGELOG.md as \`## ${version}\``;
  if (found.length === 0) {
    throw new Failure(
      `CHANGELOG.md has no section ${version}, only: ${all.map(([heading]) => heading).join(', ') || 'none'}`,
      `${add}, or name one that is there`,
    );
  }
  if (found.length > 1) throw new Failure(`CHANGELOG.md has ${found.length} sections ${version}`, 'leave one');
  const text = unwrap(found[0][1]);
  if (!text) throw new Failure(`the section ${version} of CHANGELOG.md is empty`, 'say there what a user would notice');
  return text;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await command(() => {
    const version = process.env.VERSION || 'Unreleased';
    const text = notes(readFileSync(CHANGELOG, 'utf8'), version);
    process.stderr.write(`The section ${version} of CHANGELOG.md:\n\n`); // not among what is printed, which may go into a file
    console.log(text);
  });
}
