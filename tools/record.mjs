// Puts the result of a run into docs/hardening.md, between the two marks of its section, under date and commit.
//   node tools/record.mjs <section> < result
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'

const PAGE = 'docs/hardening.md'

export function record(section, result) {
  const text = readFileSync(PAGE, 'utf8')
  const [start, end] = [`<!-- result of ${section} -->`, `<!-- end of ${section} -->`].map(mark => {
    const at = text.indexOf(mark)
    if (at < 0) throw new Error(`${PAGE} lacks the mark ${mark}`)
    return at + (mark.startsWith('<!-- result') ? mark.length : 0)
  })
  const git = (...args) => execFileSync('git', args, { encoding: 'utf8' }).trim()
  // The page itself is never part of what was tried.
  const changed = git('status', '--porcelain', '--', '.', `:!${PAGE}`) === '' ? '' : ' with changes'
  const when = `Last run: ${new Date().toISOString().slice(0, 10)}, commit ${git('rev-parse', '--short', 'HEAD')}${changed}.`
  writeFileSync(PAGE, `${text.slice(0, start)}\n\n${when}\n\n${result.trim()}\n\n${text.slice(end)}`)
}

if (process.argv[1].endsWith('record.mjs')) record(process.argv[2], readFileSync(0, 'utf8'))
