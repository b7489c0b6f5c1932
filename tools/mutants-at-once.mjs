// Builds all mutants of the core into one binary, each behind its number, and runs the tests with one after the other: what costs
// a build each with cargo-mutants, costs one for all. What is caught, or does not compile where all else of its function does,
// is known then; the rest (survivors, constants, functions that are evaluated by the compiler) is left to cargo-mutants.
//   node tools/mutants-at-once.mjs <cargo-mutants> <minutes> <file>...
// In the folder of the source's copy; writes caught.txt and unviable.txt where cargo-mutants looks for what it need not try again.
import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import path from 'node:path'

const [tool, minutes, ...files] = process.argv.slice(2)
const here = path.dirname(import.meta.dirname)
const deadline = Date.now() + minutes * 60_000
process.on('uncaughtException', error => {
  console.error(`all mutants at once: ${error.message}`)
  process.exit(1)
})
const cargo = (...args) => execFileSync('cargo', args, { encoding: 'utf8', maxBuffer: 1 << 28, stdio: ['ignore', 'pipe', 'pipe'] })
const folder = file => `${here}/target/mutants/out/${file.replaceAll('/', '_')}/mutants.out`
const lines = file => (existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(line => line !== '') : [])
const note = (kind, mutant) => {
  mkdirSync(folder(mutant.file), { recursive: true })
  appendFileSync(`${folder(mutant.file)}/${kind}.txt`, `${mutant.name}\n`)
}
const known = new Set(files.flatMap(file => ['caught', 'previously_caught', 'unviable'].flatMap(kind => lines(`${folder(file)}/${kind}.txt`))))

// Code points, because the columns count these. What the compiler need not evaluate is no constant function here, because such a
// one could not choose.
const kept = new Set()
const written = new Map(files.map(file => [file, readFileSync(file, 'utf8')]))
const variable = text => text.replace(/\bconst (?=fn (\w+))/g, (found, name) => (kept.has(name) ? found : ' '.repeat(found.length)))
const source = new Map([...written].map(([file, text]) => [file, [...variable(text)]]))
const starts = new Map([...source].map(([file, text]) => [file, [0, ...text.flatMap((point, at) => (point === '\n' ? [at + 1] : []))]]))
const offset = (file, { line, column }) => starts.get(file)[line - 1] + column - 1

/** Where the next of the characters stands that is no part of a comment, a text or what is in (brackets). */
function find(text, from, wanted) {
  for (let at = from, depth = 0; at < text.length; at++) {
    const rest = text.slice(at, at + 300).join('')
    const skip = /^(\/\/.*|"(\\[^]|[^"\\])*"|b?'(\\[^']+|[^'\\])')/.exec(rest)
    if (skip !== null) at += [...skip[0]].length - 1
    else if (depth === 0 && wanted.includes(text[at])) return at
    else if ('(['.includes(text[at])) depth++
    else if (')]'.includes(text[at])) depth--
  }
  return undefined
}

const isConstant = (file, start, open) => /\bconst .*\bfn\b/.test(source.get(file).slice(start, open).join(''))

/** @returns the functions with their mutants, of which one binary can hold all */
function functions(mutants) {
  const found = new Map()
  for (const mutant of mutants) {
    if (mutant.function === null || mutant.function.return_type.includes('impl ')) continue
    const { file } = mutant
    const [start, end] = [offset(file, mutant.function.span.start), offset(file, mutant.function.span.end)]
    const open = find(source.get(file), start, '{')
    if (open === undefined || isConstant(file, start, open)) continue
    const key = `${file}:${start}`
    if (!found.has(key)) found.set(key, { file, start, open: open + 1, close: end - 1, mutants: [] })
    found.get(key).mutants.push(mutant)
  }
  const all = [...found.values()]
  return all.filter(one => !all.some(other => other !== one && other.file === one.file && other.start < one.start && one.close < other.close))
}

/** Writes the file with all its mutants; tells on which lines each stands. */
function write(file, own) {
  const text = source.get(file)
  const places = []
  let out = ''
  let line = 1
  const put = (part, owner) => {
    const first = line
    line += part.split('\n').length - 1
    out += part
    if (owner !== undefined) places.push({ first, last: line, ...owner })
  }
  const slice = (from, to) => text.slice(from, to).join('')
  let at = 0
  for (const one of own.toSorted((a, b) => a.start - b.start)) {
    put(`${slice(at, one.open)}\nmatch crate::mutant() {\n`)
    for (const mutant of one.mutants) {
      const [from, to] = [offset(file, mutant.span.start), offset(file, mutant.span.end)]
      put(`${mutant.number} => {\n${slice(one.open, from)} ${mutant.replacement} ${slice(to, one.close)}}`, { mutant })
      put('\n')
    }
    put(`_ => {\n${slice(one.open, one.close)}}`, { one })
    put('\n}\n')
    at = one.close
  }
  put(slice(at, text.length))
  writeFileSync(file, own.length === 0 ? text.join('') : out)
  return places
}

const names = JSON.parse(execFileSync(tool, ['mutants', '--list', '--json', '-p', 'mcp-oauth'], { encoding: 'utf8', maxBuffer: 1 << 28 }))
const wanted = names.filter(mutant => files.includes(mutant.file) && !known.has(mutant.name))
if (wanted.length === 0) process.exit(0)
wanted.forEach((mutant, index) => (mutant.number = index + 1))
let usable = functions(wanted)

/** Leaves out the functions that the compiler evaluates, by what it says of their callers. @returns whether there were any */
function keep(errors) {
  const named = errors.filter(({ message }) => message.code?.code === 'E0015').map(({ message }) => /`([^`]+)`/.exec(message.message)?.[1])
  const fresh = named.map(name => name?.split('::').at(-1)).filter(name => name !== undefined && !kept.has(name))
  fresh.forEach(name => kept.add(name))
  for (const [file, text] of written) source.set(file, [...variable(text)])
  usable = usable.filter(one => !isConstant(one.file, one.start, one.open))
  return fresh.length > 0
}

const library = `${source.get('src/lib.rs')?.join('') ?? readFileSync('src/lib.rs', 'utf8')}
extern crate std;
pub(crate) fn mutant() -> u32 {
    static CHOSEN: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
    *CHOSEN.get_or_init(|| std::env::var("MUTANT").map_or(0, |number| number.parse().unwrap()))
}
`
writeFileSync('Cargo.toml', readFileSync('Cargo.toml', 'utf8').replace('[lints]\nworkspace = true\n', ''))
const broken = []
for (let round = 1; ; round++) {
  const places = new Map(files.map(file => [file, write(file, usable.filter(one => one.file === file))]))
  writeFileSync('src/lib.rs', library)
  let errors
  try {
    cargo('check', '--locked', '--quiet', '-p', 'mcp-oauth', '--lib', '--message-format=json')
    break
  } catch (error) {
    errors = error.stdout.split('\n').filter(line => line.startsWith('{')).map(JSON.parse)
      .filter(({ message }) => message?.level === 'error' && message.spans.length > 0)
  }
  if (keep(errors)) continue
  const before = usable.reduce((sum, one) => sum + one.mutants.length, 0)
  for (const { message } of errors) {
    for (const { file_name, line_start } of message.spans.filter(span => span.is_primary)) {
      const hit = places.get(file_name)?.find(({ first, last }) => first <= line_start && line_start <= last)
      if (hit?.mutant !== undefined) {
        broken.push(hit.mutant)
        usable.forEach(one => (one.mutants = one.mutants.filter(mutant => mutant !== hit.mutant)))
      }
      if (hit?.one !== undefined) usable = usable.filter(one => one !== hit.one)
    }
  }
  usable = usable.filter(one => one.mutants.length > 0)
  const left = usable.reduce((sum, one) => sum + one.mutants.length, 0)
  console.log(`   all at once, attempt ${round}: ${left} of ${wanted.length} compile`)
  if (left === before) {
    throw new Error(`errors that belong to no mutant\n${errors.slice(0, 5).map(({ message }) => message.rendered).join('\n')}`)
  }
}

// One build, thousands of runs, and the tests sign a lot. The core is left as it is: the optimizer needs minutes for functions that
// are twenty times as long.
const tests = ['-p', 'mcp-oauth', '--test', 'core', '--locked', '--quiet', '--message-format=json', '--', '-Copt-level=1']
const built = cargo('rustc', ...tests)
const binary = built.split('\n').filter(line => line.startsWith('{')).map(JSON.parse).find(({ executable }) => executable != null).executable
const runner = `${here}/tools/mutants-runner`
const running = new Set()
// A test binary that goes round for ever must not outlive this.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    running.forEach(child => process.kill(-child.pid))
    process.exit(130)
  })
}
/** @returns whether all tests pass with this mutant */
const passes = (number, catchers) =>
  new Promise((resolve, reject) => {
    const env = { ...process.env, MUTANT: String(number), MUTANTS_CATCHERS: `${here}/target/mutants/${catchers}` }
    const child = spawn(runner, [binary], { env, stdio: 'ignore', detached: true })
    running.add(child)
    child.on('error', reject)
    child.on('exit', code => {
      running.delete(child)
      resolve(code === 0)
    })
  })
if (!(await passes(0, 'catchers'))) throw new Error('the tests fail with all mutants built in and none chosen')

new Set(broken).forEach(mutant => note('unviable', mutant))
const queue = usable.flatMap(one => one.mutants)
const result = { caught: 0, missed: 0 }
let next = 0
async function work(worker) {
  while (next < queue.length && Date.now() < deadline) {
    const mutant = queue[next++]
    const missed = await passes(mutant.number, `catchers-${worker}`)
    result[missed ? 'missed' : 'caught']++
    if (missed) console.log(`   missed: ${mutant.name}`)
    else note('caught', mutant)
    if (next % 100 === 0) console.log(`   ${next} of ${queue.length}: ${result.caught} caught, ${result.missed} missed`)
  }
}
await Promise.all(Array.from({ length: availableParallelism() }, (_, worker) => work(worker)))
console.log(`   all at once: ${result.caught} caught, ${result.missed} missed of ${queue.length}; ${new Set(broken).size} do not compile`)
