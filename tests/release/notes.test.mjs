// Promise: the notes of a release are its section of the changelog, and a section that is missing is told.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { notes } from '../../tools/release/notes.mjs';
import { run } from './support/commands.mjs';

const CHANGELOG = `# Changelog

What a user would notice.

## Unreleased

- One thing that
  goes on in a second line
  and a third.
- Another.

  A paragraph of it
  in two lines.
1. Numbered,
   too.

| a | b |
|---|---|

\`\`\`sh
make image
  make push
\`\`\`

## 0.2.0 (2027-01-31)

- Of 0.2.0.

## [0.1.0] - 2026-12-01

- Of 0.1.0.

## 0.0.9

## 0.0.8

twice

## 0.0.8
`;

describe('the notes', () => {
  it('of what is not released yet: an item is one line, code and tables stay', () => {
    assert.equal(
      notes(CHANGELOG),
      '- One thing that goes on in a second line and a third.\n- Another.\n\n  A paragraph of it in two lines.\n1. Numbered, too.\n\n| a | b |\n|---|---|\n\n```sh\nmake image\n  make push\n```',
    );
  });
  it('of a version, with or without `v`, whatever stands behind it', () => {
    assert.equal(notes(CHANGELOG, '0.2.0'), '- Of 0.2.0.');
    assert.equal(notes(CHANGELOG, 'v0.1.0'), '- Of 0.1.0.');
  });
  it('of a version that is not there, is empty or is there twice: the cause', () => {
    assert.throws(() => notes(CHANGELOG, '0.2'), {
      message: 'CHANGELOG.md has no section 0.2, only: Unreleased, 0.2.0, 0.1.0, 0.0.9, 0.0.8, 0.0.8',
      cure: 'write it into CHANGELOG.md as `## 0.2`, or name one that is there',
    });
    assert.throws(() => notes(CHANGELOG, '0.0.9'), { message: 'the section 0.0.9 of CHANGELOG.md is empty' });
    assert.throws(() => notes(CHANGELOG, '0.0.8'), { message: 'CHANGELOG.md has 2 sections 0.0.8' });
    assert.throws(() => notes('', '1.0.0'), { message: 'CHANGELOG.md has no section 1.0.0, only: none' });
  });
  it('by the command, from the changelog of this repository', async () => {
    const { code, output } = await run('notes.mjs');
    assert.equal(code, 0, output);
    assert.match(output, /^- /m);
    assert.match(output, /^The section Unreleased of CHANGELOG\.md:$/m);
    const missing = await run('notes.mjs', { environment: { VERSION: '99.0.0' } });
    assert.equal(missing.code, 1);
    assert.match(missing.output, /^failed: CHANGELOG\.md has no section 99\.0\.0, only: .*\n {2}cure: .*\n$/);
  });
});
