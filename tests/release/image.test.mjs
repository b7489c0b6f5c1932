// Promise: the image depends on the module alone, whoever packs it and where, and is the form that Istio and Envoy Gateway take.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { gzip, tar } from '../../tools/release/archive.mjs';
import { pack, readLayout, sha256, writeLayout } from '../../tools/release/layout.mjs';
import { ROOT } from '../../testbed/paths.mjs';
import { run } from './support/commands.mjs';
import { copySources, filesOf, folder } from './support/folders.mjs';

const MODULE = join(ROOT, 'target/mcp_resource_server.wasm');
const cargo = {
  CARGO_HOME: process.env.CARGO_HOME ?? join(process.env.HOME, '.cargo'),
  RUSTUP_HOME: process.env.RUSTUP_HOME ?? join(process.env.HOME, '.rustup'),
};
const about = { title: 'x', version: '1.2.3', license: 'Apache-2.0' };

/** Packs the built module in a copy of the repository. */
async function packedIn(root, { module = MODULE, ...options } = {}) {
  const to = join(root, 'target/image');
  const environment = { ...cargo, ...options.environment };
  const { code, output } = await run('image.mjs', { ...options, root, environment, args: ['--module', module, '--to', to] });
  return { to, code, output };
}

describe('the built module, packed twice', async () => {
  const base = folder();
  const one = await packedIn(copySources(join(base, 'a')));
  const two = await packedIn(copySources(join(base, 'another folder, ü')), {
    cwd: '/',
    umask: '077',
    environment: { TZ: 'Pacific/Kiritimati', LC_ALL: 'tr_TR.UTF-8', SOURCE_DATE_EPOCH: '1' },
  });
  const files = filesOf(one.to);

  it('gives the same files, byte for byte, wherever it is done', () => {
    assert.equal(one.code, 0, one.output);
    assert.equal(two.code, 0, two.output);
    assert.deepEqual(filesOf(two.to), files);
  });

  it('has the module, its sum and an SBOM beside the image', () => {
    const module = readFileSync(MODULE);
    assert.deepEqual(
      [...files.keys()].filter((name) => !name.startsWith('layout/')),
      ['mcp_resource_server.wasm', 'mcp_resource_server.wasm.cdx.json', 'mcp_resource_server.wasm.sha256'],
    );
    assert.ok(files.get('mcp_resource_server.wasm').equals(module));
    assert.equal(files.get('mcp_resource_server.wasm.sha256').toString(), `${sha256(module)}  mcp_resource_server.wasm\n`);
    assert.ok(!files.get('mcp_resource_server.wasm.cdx.json').includes(base), 'no path of this machine');
  });

  it('is a layout (OCI image layout 1.0.0) with one manifest under the version', () => {
    const parse = (name) => JSON.parse(files.get(`layout/${name}`).toString());
    assert.deepEqual(parse('oci-layout'), { imageLayoutVersion: '1.0.0' });
    const index = parse('index.json');
    assert.equal(index.schemaVersion, 2);
    assert.equal(index.manifests.length, 1);
    const [named] = index.manifests;
    assert.equal(
      named.annotations['org.opencontainers.image.ref.name'],
      /^version = "(.*)"$/m.exec(readFileSync(join(ROOT, 'Cargo.toml'), 'utf8'))[1],
    );
    const blob = ({ digest, size }) => {
      const bytes = files.get(`layout/blobs/${digest.replace(':', '/')}`);
      assert.equal(`sha256:${sha256(bytes)}`, digest);
      assert.equal(bytes.length, size);
      return bytes;
    };
    const manifest = JSON.parse(blob(named));
    assert.equal(named.mediaType, 'application/vnd.oci.image.manifest.v1+json');
    assert.equal(manifest.mediaType, named.mediaType);
    assert.equal(manifest.config.mediaType, 'application/vnd.oci.image.config.v1+json');
    const config = JSON.parse(blob(manifest.config));
    // what Istio's and Envoy Gateway's fetchers do: the last layer, of this type, and the file of this name in it
    const last = manifest.layers.at(-1);
    assert.equal(last.mediaType, 'application/vnd.oci.image.layer.v1.tar+gzip');
    const archive = gunzipSync(blob(last));
    assert.deepEqual(config.rootfs, { type: 'layers', diff_ids: [`sha256:${sha256(archive)}`] });
    assert.deepEqual(untar(archive), [
      { name: 'plugin.wasm', mode: 0o644, time: 0, owner: '0:0::', sha256: sha256(readFileSync(MODULE)) },
    ]);
    // and nothing that nothing leads to
    assert.equal([...files.keys()].filter((name) => name.startsWith('layout/blobs/')).length, 3);
  });

  it('says what it made', () => {
    assert.match(one.output, /^ {3}\S*\/layout +the image, \d+ KiB, version \S+$/m);
    assert.match(one.output, /^Image: sha256:[0-9a-f]{64}$/m);
  });
});

/** The members of a tar, read by Python's own reader. */
function untar(archive) {
  const script = `
import hashlib, io, json, sys, tarfile
with tarfile.open(fileobj=io.BytesIO(sys.stdin.buffer.read()), mode='r:', ignore_zeros=False) as t:
    print(json.dumps([{'name': m.name, 'mode': m.mode, 'time': m.mtime, 'owner': f'{m.uid}:{m.gid}:{m.uname}:{m.gname}',
        'sha256': hashlib.sha256(t.extractfile(m).read()).hexdigest()} for m in t]))`;
  return JSON.parse(execFileSync('python3', ['-c', script], { input: archive, encoding: 'utf8' }));
}

describe('the archive', () => {
  for (const size of [0, 1, 511, 512, 513, 0xffff, 0x10000, 3 * 0xffff]) {
    it(`${size} bytes come out as they went in`, () => {
      const content = Buffer.from(Array.from({ length: size }, (_, i) => (i * 31 + (i >> 8)) & 0xff));
      assert.ok(gunzipSync(gzip(content)).equals(content));
      const [member] = untar(tar('plugin.wasm', content));
      assert.equal(member.sha256, sha256(content));
    });
  }
  it('is told when a byte of it was changed', () => {
    const bytes = gzip(Buffer.alloc(100_000, 7));
    bytes[50_000] ^= 1;
    assert.throws(() => gunzipSync(bytes), /incorrect data check/);
  });
  it('of a known module has a known digest, on every machine', () => {
    const { config, layer, manifest } = pack(Buffer.from('\0asm\x01\0\0\0', 'latin1'), about);
    assert.deepEqual(
      [config, layer, manifest].map(({ digest }) => digest),
      [
        'sha256:6590a734c6776da97aff8c8ff108908d0b0d7d0c897e5af905ce6d33ddb1325c',
        'sha256:ed1a94889008717a8a84bfe2fd83cfc71470eeb8a1580e2abde86703a95c8c7b',
        'sha256:748ef6b97748913796638f698f51eb2ebbf2850cd7db31fa0a7da89597815089',
      ],
    );
  });
});

describe('what cannot be packed or pushed is told', () => {
  it('no module', async () => {
    const { code, output } = await packedIn(ROOT, { module: '/nonexistent.wasm' });
    assert.deepEqual(
      { code, output },
      { code: 1, output: 'failed: /nonexistent.wasm is missing\n  cure: build it: make build\n' },
    );
  });
  it('something that is no module', async () => {
    const { code, output } = await packedIn(ROOT, { module: join(ROOT, 'README.md') });
    assert.equal(code, 1);
    assert.match(output, /^failed: .*README\.md is no WebAssembly module\n {2}cure: .*make build\n$/);
  });
  it('no image, a blob that was changed, a blob that is missing', () => {
    const to = folder();
    assert.throws(() => readLayout(to), { message: `there is no image in ${to}`, cure: 'make it anew: make image' });
    const image = pack(Buffer.from('\0asm\x01\0\0\0', 'latin1'), about);
    writeLayout(image, { to, tag: 'a' });
    assert.ok(readLayout(to).manifest.bytes.equals(image.manifest.bytes));
    writeFileSync(join(to, 'blobs', ...image.layer.digest.split(':')), 'other');
    assert.throws(() => readLayout(to), /is not what its name says/);
    const index = readFileSync(join(to, 'index.json'), 'utf8');
    writeFileSync(join(to, 'index.json'), index.replace(image.manifest.digest, `sha256:${'0'.repeat(64)}`));
    assert.throws(() => readLayout(to), /is missing/);
  });
});
