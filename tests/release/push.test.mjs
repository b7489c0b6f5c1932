// Promise: a push brings the very image to a registry, as whoever it is told to be, and a failure says what the registry said
// and what to check, and no secret. (`make test-push` does it with a real registry.)
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pack, writeLayout } from '../../tools/release/layout.mjs';
import { isLoopback, parseReference } from '../../tools/release/reference.mjs';
import { push } from '../../tools/release/push.mjs';
import { run } from './support/commands.mjs';
import { folder } from './support/folders.mjs';
import { startRegistry } from './support/registry-stub.mjs';

const module = Buffer.concat([Buffer.from('\0asm\x01\0\0\0', 'latin1'), Buffer.alloc(200_000, 'x')]);
const image = pack(module, { title: 'x', version: '1.2.3', license: 'Apache-2.0' });
const layout = folder();
writeLayout(image, { to: layout, tag: '1.2.3' });

const PASSWORD = 's3cret word/+ü';
const login = { user: 'tester', password: PASSWORD };
const variables = { REGISTRY_USER: 'tester', REGISTRY_PASSWORD: PASSWORD };
const encoded = Buffer.from(`tester:${PASSWORD}`).toString('base64');

const pushTo = (registry, options = {}) =>
  push({
    reference: parseReference(`${registry.host}/team/filter:1.2.3`),
    directory: layout,
    environment: { HOME: '/nonexistent' },
    ...options,
  });
const command = (registry, environment = {}) =>
  run('push.mjs', { args: ['--layout', layout], environment: { REF: `${registry.host}/team/filter:1.2.3`, ...environment } });
/** A Docker configuration in a folder of its own: the setting that names it. */
function docker(configuration) {
  const DOCKER_CONFIG = folder();
  writeFileSync(
    join(DOCKER_CONFIG, 'config.json'),
    typeof configuration === 'string' ? configuration : JSON.stringify(configuration),
  );
  return { DOCKER_CONFIG };
}
/** The image is there, byte for byte. */
function assertThere({ blobs, manifests }) {
  for (const { digest, bytes } of [image.config, image.layer]) assert.ok(blobs.get(digest)?.equals(bytes), digest);
  for (const name of ['1.2.3', image.manifest.digest]) assert.ok(manifests.get(name)?.equals(image.manifest.bytes), name);
}
/** A failed push tells exactly this, and no secret. */
async function assertTold(pushing, cause, cure) {
  const error = await pushing.then(
    () => assert.fail('it did not fail'),
    (failed) => failed,
  );
  assert.match(error.message, cause);
  assert.match(error.cure ?? '', cure);
  for (const secret of [PASSWORD, encoded]) assert.ok(!`${error.message}${error.cure}`.includes(secret));
}

describe('a push', () => {
  it('as nobody brings the image, and says where it is', async () => {
    const registry = await startRegistry();
    const { code, output } = await command(registry);
    assert.equal(code, 0, output);
    assertThere(registry);
    assert.match(output, /as nobody: no credentials were found/);
    assert.ok(output.endsWith(`\nFor Istio: oci://${registry.host}/team/filter@${image.manifest.digest}\n`), output);
  });

  it('does not send again what is there', async () => {
    const registry = await startRegistry();
    await pushTo(registry);
    registry.requests.length = 0;
    const said = [];
    await pushTo(registry, { say: (step) => said.push(step) });
    assert.ok(!registry.requests.some(({ method, path }) => method === 'POST' || (method === 'PUT' && path.includes('/blobs/'))));
    assert.equal(said.filter((step) => step.endsWith('is there already')).length, 2);
  });

  for (const auth of ['basic', 'bearer']) {
    describe(`to a registry that asks who we are (${auth})`, () => {
      const stored = Buffer.from(`tester:${PASSWORD}`).toString('base64');
      const ways = {
        'by the environment': () => variables,
        "by Docker's configuration": ({ host }) => docker({ auths: { [host]: { auth: stored } } }),
        "by Docker's configuration, under the address that older versions wrote": ({ host }) =>
          docker({ auths: { [`https://${host}/v1/`]: { auth: stored } } }),
        'by the environment, against another entry in the configuration': ({ host }) => ({
          ...variables,
          ...docker({ auths: { [host]: { auth: 'eDp5' } } }),
        }),
        'by a credential helper': ({ host }) => {
          const bin = folder();
          const helper = join(bin, 'docker-credential-stub');
          writeFileSync(
            helper,
            `#!/bin/sh\nread -r name\n[ "$1 $name" = "get ${host}" ] && echo '${JSON.stringify({ Username: 'tester', Secret: PASSWORD })}'\n`,
          );
          chmodSync(helper, 0o755);
          return { ...docker({ credHelpers: { [host]: 'stub' } }), PATH: `${bin}:${process.env.PATH}` };
        },
      };
      for (const [way, environment] of Object.entries(ways)) {
        it(way, async () => {
          const registry = await startRegistry({ auth, ...login });
          const { code, output } = await command(registry, environment(registry));
          assert.equal(code, 0, output);
          assertThere(registry);
          for (const secret of [PASSWORD, encoded]) assert.ok(!output.includes(secret));
        });
      }
      it('with a wrong password: its words, who we were, and what to do', async () => {
        const registry = await startRegistry({ auth, ...login });
        const { code, output } = await command(registry, { ...variables, REGISTRY_PASSWORD: 'wrong-guess' });
        assert.equal(code, 1);
        assert.match(
          output,
          auth === 'basic'
            ? /^failed: .* 401, UNAUTHORIZED: authentication required$/m
            : /^failed: asking for a token .* 401, UNAUTHORIZED: incorrect username or password$/m,
        );
        assert.match(
          output,
          /^ {2}cure: check that REGISTRY_USER and REGISTRY_PASSWORD may push there, or log in anew: `docker login/m,
        );
        assert.ok(!output.includes('wrong-guess'));
      });
      it('as nobody: log in first', async () => {
        const registry = await startRegistry({ auth, ...login });
        await assertTold(
          pushTo(registry),
          /answered 401, UNAUTHORIZED: /,
          /^log in first: `docker login 127\.0\.0\.1:\d+`, or set REGISTRY_USER and REGISTRY_PASSWORD$/,
        );
      });
    });
  }

  it('as nobody to a registry that gives tokens to anybody', async () => {
    const registry = await startRegistry({ auth: 'bearer' });
    await pushTo(registry);
    assertThere(registry);
  });

  it('with an identity token exchanges it for one to push with', async () => {
    const registry = await startRegistry({ auth: 'basic', user: 'a', password: 'b' });
    const seen = [];
    const challenge = { 'www-authenticate': `Bearer realm="http://${registry.host}/exchange",service="stub"` };
    registry.faults['POST /exchange'] = (request, response) => response.end(JSON.stringify({ access_token: 'exchanged' }));
    registry.faults['/v2/'] = (request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(seen.length === 1 ? 401 : 403, seen.length === 1 ? challenge : { 'content-type': 'application/json' });
      response.end(JSON.stringify({ errors: [{ code: 'DENIED', message: `not with ${request.headers.authorization}` }] }));
    };
    const environment = docker({ auths: { [registry.host]: { identitytoken: 'refresh' } } });
    await assertTold(pushTo(registry, { environment }), /answered 403, DENIED: not with Bearer \*\*\*$/, /may push there/);
    assert.deepEqual([...new Set(seen)], [undefined, 'Bearer exchanged']);
  });

  it('to a registry that stores elsewhere shows our credentials to nobody but the registry', async () => {
    const registry = await startRegistry({ auth: 'basic', ...login, storage: true });
    await pushTo(registry, { environment: variables });
    assertThere(registry);
    const stored = registry.requests.filter(({ place }) => place === 'storage');
    assert.deepEqual(
      stored.map(({ method, authorization }) => [method, authorization]),
      [
        ['PUT', undefined],
        ['PUT', undefined],
      ],
    );
  });
});

describe('a push that fails says why', () => {
  const failing = (key, answer) => startRegistry({ faults: { [key]: answer } });
  const refuse =
    (status, errors, type = 'application/json') =>
    (_, response) => {
      response.writeHead(status, { 'content-type': type });
      response.end(typeof errors === 'string' ? errors : JSON.stringify({ errors }));
    };
  const cases = {
    'all the words of the registry': [
      'POST ',
      refuse(403, [
        { code: 'DENIED', message: 'quota exceeded' },
        { code: 'UNKNOWN', message: 'ask Ann' },
      ]),
      /answered 403, DENIED: quota exceeded; UNKNOWN: ask Ann$/,
      /^log in first/,
    ],
    'a repository that is not there': [
      'POST ',
      refuse(404, [{ code: 'NAME_UNKNOWN', message: 'no such project' }]),
      /sending the blob sha256:.* answered 404, NAME_UNKNOWN: no such project$/,
      /whether that repository exists/,
    ],
    'a blob that is too large': [
      'PUT ',
      refuse(413, '<html>too large</html>', 'text/html'),
      /answered 413, without a word of why$/,
      /limit on the size/,
    ],
    'a manifest that is not wanted': [
      'PUT /v2/team/filter/manifests',
      refuse(400, [{ code: 'MANIFEST_INVALID', message: 'no' }]),
      /^sending the manifest: .* answered 400, MANIFEST_INVALID: no$/,
      /check what it says/,
    ],
    'too many pushes': ['POST ', refuse(429, []), /answered 429/, /^wait, and push again/],
    'a fault of the registry': [
      'POST ',
      refuse(502, 'upstream\u001b[31m is\ndown', 'text/plain'),
      /answered 502, upstream \[31m is down$/,
      /look into the registry's log/,
    ],
    'a host that is no registry': [
      'GET /v2/',
      (_, response) => response.writeHead(301, { location: 'https://www.example.com/' }).end(),
      /answered 301/,
      /serves the API below \/v2\//,
    ],
    'another manifest than was sent': [
      'GET ',
      refuse(200, []),
      /reading 1\.2\.3 back: it is not what was sent/,
      /rewrites manifests/,
    ],
    'an upload that leads nowhere': ['POST ', (_, response) => response.writeHead(202).end(), /did not say where to/, /log/],
    'an upload to an address that is none': [
      'POST ',
      (_, response) => response.writeHead(202, { location: 'http://[' }).end(),
      /did not say where to/,
      /log/,
    ],
    'an upload without TLS': [
      'POST ',
      (_, response) => response.writeHead(202, { location: 'http://storage.example.com/x' }).end(),
      /leads to http:\/\/storage\.example\.com, which is not https/,
      /mend/,
    ],
    'an answer without an end': [
      'POST ',
      (_, response) => response.writeHead(500).end(Buffer.alloc(2 << 20, 'x')),
      /the answer is too long/,
      /check/,
    ],
    'a connection that breaks': ['POST ', (request) => request.socket.destroy(), /127\.0\.0\.1:\d+: /, /check/],
    silence: ['POST ', () => {}, /no answer from 127\.0\.0\.1:\d+ within 0\.3 s/, /check that the registry is well/],
  };
  for (const [what, [key, answer, cause, cure]] of Object.entries(cases)) {
    it(what, async () => assertTold(pushTo(await failing(key, answer), { seconds: 0.3 }), cause, cure));
  }

  it('a registry that nobody runs', async () => {
    await assertTold(pushTo({ host: '127.0.0.1:2' }), /127\.0\.0\.1:2: ECONNREFUSED/, /check the port/);
  });
  it('a token server without TLS gets no password', async () => {
    const challenge = { 'www-authenticate': 'Bearer realm="http://tokens.example.com/",service="x"' };
    const registry = await failing('GET /v2/', (_, response) => response.writeHead(401, challenge).end());
    await assertTold(
      pushTo(registry, { environment: variables }),
      /leads to http:\/\/tokens\.example\.com, which is not https/,
      /mend/,
    );
  });
  it('no secret, though the registry repeats it', async () => {
    const registry = await startRegistry({ auth: 'basic', ...login });
    registry.faults['POST '] = (request, response) =>
      refuse(400, [{ code: 'ECHO', message: `${request.headers.authorization}, ${PASSWORD}` }])(request, response);
    await assertTold(pushTo(registry, { environment: variables }), /400, ECHO: Basic \*\*\*, \*\*\*$/, /./);
  });
  for (const [what, password, times] of [
    ['longer than what is shown', 'long'.repeat(250), 1],
    ['where what is shown ends', 'hunter2-hunter3', 100],
    ['with spaces that one line does not have', 'correct  horse', 1],
  ]) {
    it(`no secret ${what}`, async () => {
      const registry = await startRegistry({ auth: 'basic', user: 'tester', password });
      registry.faults['POST '] = (request, response) =>
        refuse(400, [{ code: 'ECHO', message: `${password.repeat(times)}, ${request.headers.authorization}` }])(request, response);
      const environment = { REGISTRY_USER: 'tester', REGISTRY_PASSWORD: password };
      const error = await pushTo(registry, { environment }).then(() => assert.fail('it did not fail'), (failed) => failed);
      assert.match(error.message, /400, ECHO/);
      const words = [password, Buffer.from(`tester:${password}`).toString('base64')].map((secret) => secret.slice(0, 7));
      for (const word of words) assert.ok(!error.message.includes(word), error.message);
    });
  }
});

describe('credentials that cannot be used are told, not shown', () => {
  const cases = {
    'half of them': [{ REGISTRY_USER: 'tester' }, /^REGISTRY_PASSWORD is not set, and REGISTRY_USER is$/],
    'a configuration that is no JSON': [docker(`{"auths": ${PASSWORD}`), /config\.json cannot be read as JSON$/],
    'an entry that is no user and password': [
      ({ host }) => docker({ auths: { [host]: { auth: 'c2VjcmV0' } } }),
      /is no user and password$/,
    ],
    'a helper that is not there': [docker({ credsStore: 'absent' }), /^docker-credential-absent, .* does not run: ENOENT$/],
    'a helper that is a path': [docker({ credsStore: '../../evil' }), /impossible name$/],
  };
  for (const [what, [environment, cause]] of Object.entries(cases)) {
    it(what, async () => {
      const registry = await startRegistry();
      const variablesOf = typeof environment === 'function' ? environment(registry) : environment;
      await assertTold(pushTo(registry, { environment: { PATH: process.env.PATH, ...variablesOf } }), cause, /./);
      assert.equal(registry.requests.length, 0, 'nothing was sent');
    });
  }
});

describe('REF', () => {
  const bad = {
    '': /^REF is not set/,
    'registry.example.com/x': /does not end in one tag/,
    'registry.example.com/x:': /does not end in one tag/,
    'registry.example.com/x:a:b': /does not end in one tag/,
    'registry.example.com/X:a': /`X` is no name of a repository/,
    'registry.example.com/../x:a': /is no name of a repository/,
    'team/filter:a': /does not begin with a host/,
    'filter:a': /does not begin with a host/,
    'https://registry.example.com/x:a': /leave out what stands before the host/,
    'oci://registry.example.com/x:a': /leave out what stands before the host/,
  };
  for (const [text, cause] of Object.entries(bad)) {
    it(`\`${text}\` is refused, before anything is built or sent`, async () => {
      assert.throws(() => parseReference(text), { message: cause });
      const { code, output } = await run('push.mjs', { args: ['--check'], environment: { REF: text } });
      assert.equal(code, 1);
      assert.match(output, /^failed: REF.*\n {2}cure: make push REF=/);
    });
  }
  it('with a user and a password is refused and not repeated', async () => {
    const { code, output } = await run('push.mjs', { environment: { REF: `tester:hush-hush@registry.example.com/x:a` } });
    assert.equal(code, 1);
    assert.match(output, /^failed: REF has an `@`/);
    assert.doesNotMatch(output, /hush/);
  });
  it('means https, but for hosts of this machine', () => {
    const origin = (host) => parseReference(`${host}/a/b:c`).origin;
    assert.equal(origin('registry.example.com'), 'https://registry.example.com');
    assert.equal(origin('registry.example.com:5000'), 'https://registry.example.com:5000');
    assert.equal(origin('localhost:5000'), 'http://localhost:5000');
    assert.equal(origin('localhost'), 'http://localhost');
    assert.equal(origin('[::1]:5000'), 'http://[::1]:5000');
    assert.equal(origin('127.0.0.1.example.com'), 'https://127.0.0.1.example.com');
    for (const host of ['127.0.0.1.example.com', 'localhost.example.com', '10.0.0.1', 'xlocalhost'])
      assert.ok(!isLoopback(host), host);
  });
});
