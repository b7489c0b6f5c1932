// Child processes that never outlive us. Each is stopped by its id when we end, however we end; a small reaper process
// covers even `kill -9`: its standard input closes with us, and then it kills the ids it was told.
import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { until } from './until.mjs';

const REAPER = `
  ids=' '
  while read -r sign id; do
    case $sign in +) ids="$ids$id " ;; -) ids=\${ids%%" $id "*}' '\${ids#*" $id "} ;; esac
  done
  for id in $ids; do kill -9 "$id" 2>/dev/null; done`;

const running = new Map(); // child process → what stops it
let reaper;

function tellReaper(line) {
  if (!reaper) {
    reaper = spawn('sh', ['-c', REAPER], { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
    reaper.stdin.on('error', () => {});
    reaper.stdin.unref();
    reaper.unref();
  }
  reaper.stdin.write(`${line}\n`);
}

/**
 * Starts `command` and waits until it prints `ready` (a RegExp), or until the function `ready` answers true. All output
 * goes to the file `log` and stays readable in `output`. `crashed` resolves if the process ends without being stopped.
 */
export async function start(name, command, args, { ready, log, cwd, seconds = 20 }) {
  mkdirSync(dirname(log), { recursive: true });
  const file = createWriteStream(log, { flags: 'a' });
  // detached: a Ctrl-C in the terminal reaches us alone, and we decide how things stop
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  const part = { name, output: '', match: undefined, pid: child.pid };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => {
      part.output += text;
      file.write(text);
    });
  }
  let cause,
    stopping = false;
  const ended = new Promise((resolve) => {
    const end = (what) => {
      cause ??= what;
      running.delete(child);
      if (child.pid) tellReaper(`- ${child.pid}`);
      resolve();
    };
    child.once('error', (error) => end(error.message));
    child.once('exit', (code, signal) => end(signal ? `it was ended by ${signal}` : `it ended with code ${code}`));
  });
  part.crashed = new Promise((resolve) => {
    ended.then(() => {
      if (!stopping) resolve(cause);
    });
  });
  part.stop = async () => {
    stopping = true;
    if (!running.has(child)) return;
    child.kill('SIGTERM');
    const impatient = setTimeout(() => child.kill('SIGKILL'), 3000);
    await ended;
    clearTimeout(impatient);
  };
  if (child.pid) {
    running.set(child, part.stop);
    tellReaper(`+ ${child.pid}`);
  }

  try {
    await until(
      `${name} is ready`,
      async () => {
        if (cause !== undefined) throw new Error(`${name} did not start: ${cause}`);
        part.match = ready instanceof RegExp ? ready.exec(part.output) : await ready();
        return part.match;
      },
      { seconds },
    );
  } catch (error) {
    await part.stop();
    throw new Error(`${error.message}\n--- the end of what ${name} printed ---\n${part.output.slice(-3000)}`);
  }
  return part;
}

/** Stops everything that still runs. */
export const stopAll = () => Promise.all([...running.values()].map((stop) => stop()));

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
]) {
  process.once(signal, async () => {
    await stopAll();
    process.exit(code);
  });
}
// what is left when we end otherwise (an uncaught error, process.exit) cannot be waited for any more
process.on('exit', () => {
  for (const child of running.keys()) child.kill('SIGKILL');
});
