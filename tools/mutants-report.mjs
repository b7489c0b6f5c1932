// What is known of the mutants of the core, from all runs of tools/mutants that there were: printed, and written to
// docs/hardening.md. Ends with 1 if there are survivors.
//   node tools/mutants-report.mjs <cargo-mutants>
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

import { record } from './record.mjs'

const lines = text => text.split('\n').filter(line => line !== '')
const list = (...more) => {
  const args = ['mutants', '--list', '--colors=never', '-p', 'mcp-oauth', ...more]
  return lines(execFileSync(process.argv[2], args, { encoding: 'utf8', maxBuffer: 1 << 26 }))
}

// A later run knows better. Names have places, so a mutant of a line that moved counts as not run.
const known = new Map(lines(readFileSync('target/mutants/results', 'utf8')).map(line => line.split('\t').reverse()))
const wanted = list()
const of = kind => wanted.filter(name => known.get(name) === kind)
const rest = wanted.filter(name => !known.has(name))
const files = [...new Set(rest.map(name => name.split(':')[0].replace(/^src\/(.*)\.rs$/, '$1')))]
const survivors = [...of('missed'), ...of('timeout')]

const result = [
  '| caught | survived | took too long | did not build | left out, with a reason | not run |',
  '|--:|--:|--:|--:|--:|--:|',
  `| ${['caught', 'missed', 'timeout', 'unviable'].map(kind => of(kind).length).join(' | ')} | ${list('--no-config').length - wanted.length} | ${rest.length} |`,
  ...(survivors.length > 0 ? ['', 'Survivors without test or reason:', '', ...survivors.map(name => `- \`${name}\``)] : []),
  ...(files.length > 0 ? ['', `Not run, or not to the end: ${files.join(', ')}.`] : []),
].join('\n')
console.log(result)
record('mutants', result)
if (survivors.length > 0) {
  console.error('each survivor needs a test in tests/core, or an entry in .cargo/mutants.toml with the reason why none can tell it')
  process.exit(1)
}
