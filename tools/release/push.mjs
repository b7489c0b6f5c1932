#!/usr/bin/env node
// Pushes the image that `make image` made to the registry that REF names, and reads it back.
//   REF=host/repository:tag node tools/release/push.mjs [--check] [--layout DIRECTORY]     --check: only whether REF is well formed
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { credentialsFor } from './credentials.mjs';
import { command, Failure } from './failure.mjs';
import { MANIFEST, readLayout } from './layout.mjs';
import { parseReference } from './reference.mjs';
import { Registry } from './registry.mjs';

const LAYOUT = fileURLToPath(new URL('../../target/image/layout', import.meta.url));

/** Pushes the layout in `directory`; `say` is told each step. Answers the digest. */
export async function push({ reference, directory = LAYOUT, environment = process.env, seconds, say = () => {} }) {
  const { host, repository, tag } = reference;
  const { manifest, blobs } = readLayout(directory);
  const credentials = credentialsFor(host, environment);
  say(
    `to ${host}, repository ${repository}, ${credentials ? `with ${credentials.from}` : 'as nobody: no credentials were found'}`,
  );
  const registry = new Registry(reference, credentials, { seconds });
  const api = `/v2/${repository}`;

  // Who we are is settled here, where a refusal comes with words; the answer to a HEAD has none.
  await registry.request('greeting the registry', '/v2/', { accept: [200, 403, 404] });
  for (const { digest, bytes, size } of blobs) {
    const name = `${digest.slice(0, 19)}… (${Math.ceil(size / 1024)} KiB)`;
    const what = `sending the blob ${digest.slice(0, 19)}…`;
    // Anything but a plain yes is a no: to send it again does no harm, and if that is refused too, the refusal has words.
    const { status } = await registry.request(what, `${api}/blobs/${digest}`, { method: 'HEAD' });
    if (status === 200) {
      say(`${name} is there already`);
      continue;
    }
    const upload = await registry.request(what, `${api}/blobs/uploads/`, { method: 'POST', accept: [202] });
    const location = upload.headers.get('location');
    if (!location || !URL.canParse(location, reference.origin))
      throw new Failure(`${what}: ${host} did not say where to`, "look into the registry's log, and push again");
    const url = new URL(location, reference.origin);
    url.searchParams.set('digest', digest);
    await registry.request(what, url.href, {
      method: 'PUT',
      body: bytes,
      headers: { 'content-type': 'application/octet-stream' },
      accept: [201],
    });
    say(`${name} sent`);
  }
  await registry.request('sending the manifest', `${api}/manifests/${tag}`, {
    method: 'PUT',
    body: manifest.bytes,
    headers: { 'content-type': MANIFEST },
    accept: [201],
  });
  for (const name of [tag, manifest.digest]) {
    const what = `reading ${name} back`;
    const { body } = await registry.request(what, `${api}/manifests/${name}`, { headers: { accept: MANIFEST }, accept: [200] });
    if (!body.equals(manifest.bytes))
      throw new Failure(
        `${what}: it is not what was sent`,
        'look into the registry, or the proxy before it: something there rewrites manifests',
      );
  }
  say(`manifest sent, and read back by tag and by digest: the same bytes`);
  return manifest.digest;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await command(async () => {
    const { values } = parseArgs({ options: { check: { type: 'boolean' }, layout: { type: 'string' } } });
    const reference = parseReference(process.env.REF);
    if (values.check) return;
    const digest = await push({ reference, directory: values.layout, say: (step) => console.log(`   ${step}`) });
    const { host, repository, tag } = reference;
    console.log(`Pushed: ${host}/${repository}:${tag}`);
    console.log(`For Envoy Gateway: ${host}/${repository}@${digest}`);
    console.log(`For Istio: oci://${host}/${repository}@${digest}`);
  });
}
