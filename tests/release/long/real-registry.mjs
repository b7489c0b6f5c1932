// Promise: a real registry (Debian's docker-registry) takes the image, and gives it back by tag and by digest, byte for byte.
// The package is fetched and unpacked into a temporary folder; nothing is installed. `make test-push`
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { MANIFEST, readLayout, sha256 } from '../../../tools/release/layout.mjs';
import { freePort } from '../../../testbed/ports.mjs';
import { ROOT, runDirectory } from '../../../testbed/paths.mjs';
import { start, stopAll } from '../../../testbed/processes.mjs';
import { run } from '../support/commands.mjs';
import { folder } from '../support/folders.mjs';

const USER = 'tester',
  PASSWORD = 's3cret-word',
  HASHED = '$2b$05$abcdefghijklmnopqrstuuEpHRRKIlpAGo.iP7Bpa.htQEJMAAnRe'; // bcrypt
const REPOSITORY = 'team/mcp-oauth-filter';
const { manifest, blobs } = readLayout(join(ROOT, 'target/image/layout'));

/** The registry's program, out of Debian's package. */
function fetchRegistry() {
  const place = folder();
  const step = (program, ...args) => {
    try {
      execFileSync(program, args, { cwd: place, stdio: ['ignore', 'ignore', 'pipe'], timeout: 120_000 });
    } catch (error) {
      throw new Error(
        `${program} ${args[0]}: ${error.stderr?.toString().trim() || error.message}\n` +
          "NOT TESTED with a real registry: this test needs Debian's package docker-registry, so apt-get and dpkg on a Debian or\n" +
          'Ubuntu machine whose package lists are there (apt-get update). `make test-release` pushes to a stub and needs none of it.',
      );
    }
  };
  step('apt-get', 'download', 'docker-registry');
  step(
    'dpkg',
    '-x',
    readdirSync(place).find((name) => name.endsWith('.deb')),
    'unpacked',
  );
  const program = join(place, 'unpacked/usr/bin/docker-registry');
  assert.ok(existsSync(program), `the package has no ${program}`);
  return program;
}

async function startRegistry(program, { password }) {
  const directory = runDirectory('registry');
  const port = await freePort();
  const htpasswd = join(directory, 'htpasswd');
  writeFileSync(htpasswd, `${USER}:${HASHED}\n`);
  const configuration = {
    version: 0.1,
    storage: { filesystem: { rootdirectory: join(data, String(port)) } },
    http: { addr: `127.0.0.1:${port}` },
    ...(password && { auth: { htpasswd: { realm: 'test', path: htpasswd } } }),
  };
  const file = join(directory, 'config.yml');
  writeFileSync(file, JSON.stringify(configuration)); // JSON is YAML
  await start('docker-registry', program, ['serve', file], { log: join(directory, 'registry.log'), ready: /listening on/ });
  return `127.0.0.1:${port}`;
}

after(stopAll); // before the folders go
const data = folder();
const program = fetchRegistry();
console.log(`   the registry: ${execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()}`);

for (const password of [false, true]) {
  describe(password ? 'a registry that asks for a password' : 'a registry that takes anything', () => {
    let host, environment;
    const headers = password ? { authorization: `Basic ${Buffer.from(`${USER}:${PASSWORD}`).toString('base64')}` } : {};
    const push = (more = {}) => run('push.mjs', { environment: { REF: `${host}/${REPOSITORY}:0.1.0`, ...more } });
    const pull = async (path, accept) => {
      const response = await fetch(`http://${host}/v2/${REPOSITORY}/${path}`, {
        headers: { ...headers, accept },
        signal: AbortSignal.timeout(10_000),
      });
      return { status: response.status, headers: response.headers, body: Buffer.from(await response.arrayBuffer()) };
    };
    before(async () => {
      host = await startRegistry(program, { password });
      environment = password ? { REGISTRY_USER: USER, REGISTRY_PASSWORD: PASSWORD } : {};
    });

    if (password) {
      it('refuses a wrong one, and nobody, in its own words', async () => {
        for (const wrong of [{}, { REGISTRY_USER: USER, REGISTRY_PASSWORD: 'wrong-guess' }]) {
          const { code, output } = await push(wrong);
          assert.equal(code, 1);
          assert.match(output, /^failed: .* answered 401, UNAUTHORIZED: authentication required$/m);
          assert.ok(!output.includes('wrong-guess'));
        }
      });
    }
    it('takes the image', async () => {
      const { code, output } = await push(environment);
      assert.equal(code, 0, output);
      assert.ok(output.includes(`oci://${host}/${REPOSITORY}@${manifest.digest}\n`), output);
    });
    for (const [how, name] of [
      ['tag', '0.1.0'],
      ['digest', manifest.digest],
    ]) {
      it(`gives the manifest back by ${how}`, async () => {
        const { status, headers: told, body } = await pull(`manifests/${name}`, MANIFEST);
        assert.equal(status, 200);
        assert.equal(told.get('content-type'), MANIFEST);
        assert.equal(told.get('docker-content-digest'), manifest.digest);
        assert.ok(body.equals(manifest.bytes));
      });
    }
    it('gives every blob back, and in the last is the module', async () => {
      let last;
      for (const { digest, bytes } of blobs) {
        last = (await pull(`blobs/${digest}`, '*/*')).body;
        assert.ok(last.equals(bytes), digest);
      }
      const place = folder();
      mkdirSync(join(place, 'out'));
      writeFileSync(join(place, 'layer.tar'), gunzipSync(last));
      execFileSync('tar', ['-xf', join(place, 'layer.tar'), '-C', join(place, 'out')]);
      assert.deepEqual(readdirSync(join(place, 'out')), ['plugin.wasm']);
      const module = readFileSync(join(ROOT, 'target/image/mcp_resource_server.wasm'));
      assert.equal(sha256(readFileSync(join(place, 'out/plugin.wasm'))), sha256(module));
    });
    it('has it already the second time', async () => {
      const { code, output } = await push(environment);
      assert.equal(code, 0, output);
      assert.equal(output.match(/is there already$/gm)?.length, 2, output);
    });
    it('is not given a manifest whose blobs it does not have', async () => {
      const response = await fetch(`http://${host}/v2/other/manifests/x`, {
        method: 'PUT',
        headers: { ...headers, 'content-type': MANIFEST },
        body: manifest.bytes,
      });
      assert.equal(response.status, 400);
      assert.equal((await response.json()).errors[0].code, 'MANIFEST_BLOB_UNKNOWN');
    });
  });
}
