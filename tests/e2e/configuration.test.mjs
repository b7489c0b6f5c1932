// Promise: a bad configuration is refused by Envoy before it serves anything, with one line per finding; the example is
// a good one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { connectionManagerOf, readExample, validate } from '../../testbed/envoy.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { choosePorts } from '../../testbed/stack.mjs';
import { setVariables } from './support/variables.mjs';

const directory = runDirectory('e2e');
const ports = await choosePorts();
const check = (edit) => validate({ directory, ...ports, edit });
const introspection = { endpoint: 'https://idp.example/introspect', client_id: 'gateway', client_secret_variable: 'SECRET_OF_THE_TEST' };
const findings = (output) =>
  output
    .split('\n')
    .filter((line) => line.includes('config: '))
    .map((line) => line.slice(line.indexOf('config: ')));

describe('refused', () => {
  const CASES = {
    'nothing': [() => '{}', [/^config: authorization_servers: /, /^config: resources: /]],
    'text behind the JSON': [(_, plugin) => `${JSON.stringify(plugin)} {}`, [/^config: .*JSON/]],
    'a member twice': [
      (_, plugin) => JSON.stringify(plugin).replace('{', '{"resources":[],'),
      [/^config: .*`resources`/],
    ],
    'a misspelt key': [
      (_, plugin) => {
        plugin.resources[0].audeince = [];
      },
      [/^config: resources\[0\]\.audeince: unknown key/],
    ],
    'no audience': [
      (_, plugin) => {
        plugin.resources[0].audiences = [];
      },
      [/^config: resources\[0\]\.audiences: /],
    ],
    'http': [
      (_, plugin) => {
        plugin.resources[0].resource = 'http://mcp.example/mcp';
      },
      [/^config: resources\[0\]\.resource: `http:\/\/mcp\.example\/mcp`/],
    ],
    'the same resource twice': [
      (_, plugin) => {
        plugin.resources.push(plugin.resources[0]);
      },
      [/^config: resources\[1\]\.resource: /],
    ],
    'a secret that is not there': [
      (_, plugin) => {
        plugin.authorization_servers[0].introspection = introspection;
      },
      [/^config: authorization_servers\[0\]\.introspection\.client_secret_variable: .*`SECRET_OF_THE_TEST`/],
    ],
    'a secret that is no secret of its kind, and is not told': [
      (bootstrap, plugin) => {
        setVariables(bootstrap, { KEYS: '{"keys":[{"d":"hush"}]}', NONCES: 'hush' });
        Object.assign(plugin.resources[0], {
          dpop: { nonce: { key_variable: 'NONCES' } },
          upstream_credential: { identity_jwt: { issuer: 'https://a.example', audience: 'b', keys_variable: 'KEYS', jwks_path: '/.well-known/mcp-oauth/k' } },
        });
      },
      [/^config: resources\[0\]\.dpop\.nonce\.key_variable: (?!.*hush)/, /^config: resources\[0\]\.upstream_credential\.identity_jwt\.keys_variable: (?!.*hush)/],
    ],
    'three mistakes at once': [
      (_, plugin) => {
        plugin.extra = 1;
        plugin.unmatched = 'allow';
        plugin.resources[0].resource = 'mcp';
      },
      [/^config: extra: unknown key/, /^config: resources\[0\]\.resource: `mcp`/, /^config: unmatched: `allow`/],
    ],
  };
  for (const [what, [edit, expected]] of Object.entries(CASES)) {
    it(what, () => {
      const { accepted, output } = check(edit);
      assert.equal(accepted, false, output);
      const found = findings(output).sort();
      assert.equal(found.length, expected.length, `expected ${expected.length} findings, got:\n${found.join('\n')}`);
      expected.forEach((pattern, i) => assert.match(found[i], pattern));
    });
  }
  it('a Struct, which Envoy hands over as protobuf', () => {
    const asStruct = readExample()
      .replace('google.protobuf.StringValue', 'google.protobuf.Struct')
      .replace('value: |', 'value:');
    const { accepted, output } = validate({ directory, ...ports, example: asStruct });
    assert.equal(accepted, false, output);
    assert.equal(findings(output).length, 1, output);
  });
});

describe('accepted', () => {
  it('the example', () => {
    const { accepted, output } = check();
    assert.ok(accepted, output);
  });
  it('a secret of the environment that Envoy was started in', () => {
    process.env.SECRET_OF_THE_TEST = 'secret';
    const { accepted, output } = check((bootstrap, plugin) => {
      const { vm_config } = connectionManagerOf(bootstrap).http_filters[0].typed_config.config;
      vm_config.environment_variables = { host_env_keys: ['SECRET_OF_THE_TEST'] };
      plugin.authorization_servers[0].introspection = introspection;
    });
    assert.ok(accepted, output);
  });
  it('the example with its TLS lines in use', () => {
    const withTls = readExample().replace(/^ {4}# (transport_socket:| {2,}\S)/gm, '    $1');
    assert.match(withTls, /^ {4}transport_socket:$/m, 'envoy.yaml has a commented transport_socket');
    const { accepted, output } = validate({ directory, ...ports, example: withTls });
    assert.ok(accepted, output);
  });
});
