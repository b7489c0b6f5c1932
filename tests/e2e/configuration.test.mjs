// Promise: a bad configuration is refused by Envoy before it serves anything, with one line per finding; the example is
// a good one.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readExample, validate } from '../../testbed/envoy.mjs';
import { runDirectory } from '../../testbed/paths.mjs';
import { choosePorts } from '../../testbed/stack.mjs';

const directory = runDirectory('e2e');
const ports = await choosePorts();
const check = (edit) => validate({ directory, ...ports, edit });
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
  it('the example with its TLS lines in use', () => {
    const withTls = readExample().replace(/^ {4}# (transport_socket:| {2,}\S)/gm, '    $1');
    assert.match(withTls, /^ {4}transport_socket:$/m, 'envoy.yaml has a commented transport_socket');
    const { accepted, output } = validate({ directory, ...ports, example: withTls });
    assert.ok(accepted, output);
  });
});
