// The image, as an OCI image layout: one manifest, whose last layer is a tar+gzip with `plugin.wasm`. Of the forms that
// there are for Wasm, this is the one that Istio and Envoy Gateway both take (docs/decisions/0011-image.md).
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzip, tar } from './archive.mjs';
import { Failure } from './failure.mjs';

export const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';
const INDEX = 'application/vnd.oci.image.index.v1+json';
const CONFIG = 'application/vnd.oci.image.config.v1+json';
const LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');
const json = (value) => Buffer.from(JSON.stringify(value));
const blob = (mediaType, bytes) => ({ mediaType, bytes, digest: `sha256:${sha256(bytes)}`, size: bytes.length });
const descriptor = ({ mediaType, digest, size }) => ({ mediaType, digest, size });

/** The parts of the image: `{ config, layer, manifest }`, each with its bytes and digest. */
export function pack(module, { title, version, license }) {
  const files = tar('plugin.wasm', module);
  const layer = blob(LAYER, gzip(files));
  const config = blob(
    CONFIG,
    json({
      architecture: 'wasm',
      os: 'wasip1',
      config: {},
      rootfs: { type: 'layers', diff_ids: [`sha256:${sha256(files)}`] },
    }),
  );
  const manifest = blob(
    MANIFEST,
    json({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: descriptor(config),
      layers: [descriptor(layer)],
      annotations: {
        'module.wasm.image/variant': 'compat',
        'org.opencontainers.image.licenses': license,
        'org.opencontainers.image.title': title,
        'org.opencontainers.image.version': version,
      },
    }),
  );
  return { config, layer, manifest };
}

/** Writes the image as a layout to the new directory `to`, under the name `tag`. */
export function writeLayout({ config, layer, manifest }, { to, tag }) {
  const blobs = join(to, 'blobs', 'sha256');
  mkdirSync(blobs, { recursive: true });
  for (const { digest, bytes } of [config, layer, manifest]) writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes);
  writeFileSync(join(to, 'oci-layout'), json({ imageLayoutVersion: '1.0.0' }));
  const named = { ...descriptor(manifest), annotations: { 'org.opencontainers.image.ref.name': tag } };
  writeFileSync(join(to, 'index.json'), json({ schemaVersion: 2, mediaType: INDEX, manifests: [named] }));
}

/** Reads the image back: `{ manifest, blobs }` with their bytes, each of which is what its digest says. */
export function readLayout(directory) {
  const remake = 'make it anew: make image';
  if (!existsSync(join(directory, 'index.json'))) throw new Failure(`there is no image in ${directory}`, remake);
  const read = ({ digest, mediaType, size }) => {
    const file = join(directory, 'blobs', ...digest.split(':'));
    if (!existsSync(file)) throw new Failure(`${file} is missing`, remake);
    const bytes = readFileSync(file);
    if (`sha256:${sha256(bytes)}` !== digest || bytes.length !== size) {
      throw new Failure(`${file} is not what its name says: it was changed or cut off`, remake);
    }
    return { mediaType, bytes, digest, size };
  };
  const manifest = read(JSON.parse(readFileSync(join(directory, 'index.json'), 'utf8')).manifests[0]);
  const { config, layers } = JSON.parse(manifest.bytes.toString());
  return { manifest, blobs: [config, ...layers].map(read) };
}
