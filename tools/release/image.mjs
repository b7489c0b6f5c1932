#!/usr/bin/env node
// Packs the built module: an OCI image layout, and beside it the bare module, its SHA-256 and an SBOM.
//   node tools/release/image.mjs [--module FILE] [--to DIRECTORY]
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { command, Failure } from './failure.mjs';
import { pack, sha256, writeLayout } from './layout.mjs';
import { billOfMaterials } from './sbom.mjs';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const WASM_MAGIC = Buffer.from('\0asm\x01\0\0\0', 'latin1');

await command(() => {
  const { values } = parseArgs({ options: { module: { type: 'string' }, to: { type: 'string' } } });
  const file = resolve(values.module ?? join(ROOT, 'target/mcp_resource_server.wasm'));
  const to = resolve(values.to ?? join(ROOT, 'target/image'));
  if (!existsSync(file)) throw new Failure(`${file} is missing`, 'build it: make build');
  const module = readFileSync(file);
  if (!module.subarray(0, 8).equals(WASM_MAGIC))
    throw new Failure(`${file} is no WebAssembly module`, 'build it anew: make build');

  const bill = billOfMaterials(ROOT, module);
  const image = pack(module, bill);
  // Made aside, so that a run that fails leaves no half of an image.
  const aside = `${to}.new`;
  rmSync(aside, { recursive: true, force: true });
  mkdirSync(aside, { recursive: true });
  writeLayout(image, { to: join(aside, 'layout'), tag: bill.version });
  const name = basename(file);
  writeFileSync(join(aside, name), module);
  writeFileSync(join(aside, `${name}.sha256`), `${sha256(module)}  ${name}\n`);
  writeFileSync(join(aside, `${name}.cdx.json`), bill.text);
  rmSync(to, { recursive: true, force: true });
  renameSync(aside, to);

  const shown = relative(process.cwd(), to) || '.';
  const kib = (size) => `${Math.floor(size / 1024)} KiB`;
  console.log(`   ${shown}/layout              the image, ${kib(image.layer.size)}, version ${bill.version}`);
  console.log(`   ${shown}/${name}  the module by itself, ${kib(module.length)}`);
  console.log(`   ${' '.repeat(shown.length)} ${name}.sha256, ${name}.cdx.json (SBOM: ${bill.count} libraries)`);
  console.log(`Image: ${image.manifest.digest}`);
  console.log('Next: make push REF=registry.example.com/mcp-oauth-filter:tag');
});
