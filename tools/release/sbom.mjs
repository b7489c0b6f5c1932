// What is linked into the module, as CycloneDX JSON. It depends on Cargo.lock, the compiler and the module alone: no time,
// no serial number, no path.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Failure } from './failure.mjs';
import { sha256 } from './layout.mjs';

/** `cargo tree` is asked, because it selects features as a build does: `cargo metadata` mixes in what tests need. */
const TREE = ['tree', '--locked', '-p', 'mcp-resource-server', '--target', 'wasm32-wasip1', '-e', 'normal,no-proc-macro'];
const FORM = ['--prefix', 'depth', '--no-dedupe', '-f', '{p}\t{l}'];

function output(root, program, args) {
  const { status, stdout, stderr, error } = spawnSync(program, args, { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 });
  if (status === 0) return stdout;
  throw new Failure(
    `${program} ${args[0]}: ${error?.message ?? stderr.trim()}`,
    'make build must work; if it does, run this again',
  );
}

/** `cargo tree`'s lines, `depth name vVersion (path)<tab>licence`, as packages with the names of what each uses. */
export function readTree(text) {
  const packages = new Map();
  const above = []; // by depth
  for (const line of text.split('\n').filter(Boolean)) {
    const [, depth, name, version, license] = /^(\d+)(\S+) v(\S+)[^\t]*\t(.*)$/.exec(line) ?? [];
    if (!name) throw new Failure(`cargo tree said something unknown: ${line}`, 'mend readTree in tools/release/sbom.mjs');
    const ref = `pkg:cargo/${name}@${version}`;
    if (!packages.has(ref)) packages.set(ref, { ref, name, version, license, uses: new Set() });
    above[depth] = ref;
    if (depth > 0) packages.get(above[depth - 1]).uses.add(ref);
  }
  return [...packages.values()];
}

/** SHA-256 of the packages' archives, from Cargo.lock. Ours have none. */
function checksums(lock) {
  const field = (block, name) => new RegExp(`^${name} = "(.*)"$`, 'm').exec(block)?.[1];
  const blocks = lock.split('[[package]]').slice(1);
  return new Map(
    blocks.map((block) => [`pkg:cargo/${field(block, 'name')}@${field(block, 'version')}`, field(block, 'checksum')]),
  );
}

const byRef = (a, b) => (a.ref < b.ref ? -1 : 1);
const expression = (license) => [{ expression: license.replaceAll('/', ' OR ') }]; // `MIT/Apache-2.0` is Cargo's old form
const hashes = (content) => [{ alg: 'SHA-256', content }];

/** The document, and what the image says of the module: `{ text, count, title, version, license }`. */
export function billOfMaterials(root, module) {
  const [ours, ...linked] = readTree(output(root, 'cargo', [...TREE, ...FORM]));
  const sums = checksums(readFileSync(join(root, 'Cargo.lock'), 'utf8'));
  const rustc = output(root, 'rustc', ['-vV']);
  const [release, commit] = ['release', 'commit-hash'].map((name) => new RegExp(`^${name}: (.*)$`, 'm').exec(rustc)[1]);
  const binaryen = JSON.parse(readFileSync(join(root, 'tools/package-lock.json'), 'utf8')).packages['node_modules/binaryen']
    .version;

  const std = `pkg:generic/rust-std@${release}`;
  const components = linked.sort(byRef).map(({ ref, name, version, license }) => ({
    type: 'library',
    'bom-ref': ref,
    name,
    version,
    ...(sums.get(ref) && { hashes: hashes(sums.get(ref)) }),
    licenses: expression(license),
    purl: ref,
  }));
  components.push({
    type: 'library',
    'bom-ref': std,
    name: 'rust-std',
    version: release,
    description: `Rust's standard library for wasm32-wasip1, of rustc ${commit}, with what it brings itself: compiler-builtins, wasi-libc`,
    licenses: expression('MIT OR Apache-2.0'),
    purl: std,
  });
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.5.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.5',
    version: 1,
    metadata: {
      tools: {
        components: [
          { type: 'application', name: 'rustc', version: release },
          { type: 'application', name: 'wasm-opt', version: binaryen },
        ],
      },
      component: {
        type: 'application',
        'bom-ref': ours.ref,
        name: ours.name,
        version: ours.version,
        hashes: hashes(sha256(module)),
        licenses: expression(ours.license),
        purl: ours.ref,
      },
    },
    components,
    dependencies: [
      ...[ours, ...linked].map(({ ref, uses }) => ({ ref, dependsOn: [...[...uses].sort(), std] })),
      { ref: std, dependsOn: [] },
    ],
  };
  return {
    text: `${JSON.stringify(document, null, 2)}\n`,
    count: components.length,
    title: ours.name,
    version: ours.version,
    license: ours.license,
  };
}
