// What an Envoy offers to Wasm modules besides the ABI, asked by a small module of its own while Envoy validates. It speaks
// as an error, because nothing less is heard then.
import { execFileSync } from 'node:child_process';
import { generateKeyPairSync, sign } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { validateBare } from './envoy.mjs';
import { ROOT } from './paths.mjs';

/** A field of a protocol buffer that is bytes or a text. */
function field(number, value) {
  const bytes = Buffer.from(value);
  const length = bytes.length < 128 ? [bytes.length] : [(bytes.length & 127) | 128, bytes.length >> 7];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

function questions() {
  const text = Buffer.from('signed');
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const ec = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const ed = generateKeyPairSync('ed25519');
  const der = ({ publicKey }) => publicKey.export({ type: 'spki', format: 'der' });
  const verify = (keyField, key, signature) => [
    'verify_signature',
    Buffer.concat([field(1, 'sha256'), field(keyField, key), field(3, signature), field(4, text)]),
  ];
  return {
    'verify_signature, RSA': verify(2, der(rsa), sign('sha256', text, rsa.privateKey)),
    'verify_signature, ECDSA': verify(2, der(ec), sign('sha256', text, ec.privateKey)),
    'verify_signature, Ed25519': verify(2, der(ed), sign(null, text, ed.privateKey)),
    'verify_signature, key as PEM': verify(
      5,
      rsa.publicKey.export({ type: 'spki', format: 'pem' }),
      sign('sha256', text, rsa.privateKey),
    ),
    'sign': ['sign', Buffer.alloc(0)],
  };
}

/** A module that asks all of it when it is configured, and logs of each `status` and whether the answer begins as `true`. */
function moduleFor(asked) {
  const data = [];
  let end = 16; // before it: where an answer is, and how long. Nothing is at 0, which Envoy takes for no place at all
  const place = (value) => {
    const bytes = Buffer.from(value);
    const at = end;
    data.push(`(data (i32.const ${at}) "${[...bytes].map((byte) => `\\${byte.toString(16).padStart(2, '0')}`).join('')}")`);
    end += bytes.length;
    return `(i32.const ${at}) (i32.const ${bytes.length})`;
  };
  const steps = asked.map(([name, argument], number) => {
    const line = place(`probe ${number} s a`);
    const at = end;
    return `
      (i32.store (i32.const 8) (i32.const 0))
      (i32.store8 (i32.const ${at - 3}) (i32.add (i32.const 97)
        (call $ask ${place(name)} ${place(argument)} (i32.const 4) (i32.const 8))))
      (i32.store8 (i32.const ${at - 1}) (select (i32.const 121) (i32.const 110)
        (i32.and (i32.eq (i32.load (i32.const 8)) (i32.const 2)) (i32.eq (i32.load16_u (i32.load (i32.const 4))) (i32.const 0x0108)))))
      (drop (call $log (i32.const 4) ${line}))`;
  });
  return `(module
    (import "env" "proxy_call_foreign_function" (func $ask (param i32 i32 i32 i32 i32 i32) (result i32)))
    (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
    (memory (export "memory") 4)
    (global $free (mut i32) (i32.const 131072))
    ${data.join('\n')}
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "proxy_on_memory_allocate") (param i32) (result i32)
      (global.get $free) (global.set $free (i32.add (global.get $free) (i32.and (i32.add (local.get 0) (i32.const 7)) (i32.const -8)))))
    (func (export "proxy_on_context_create") (param i32 i32))
    (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
    (func (export "proxy_on_configure") (param i32 i32) (result i32) ${steps.join('')}
      (i32.const 1)))`;
}

const filterWith = (module, more = {}) => ({
  static_resources: {
    listeners: [
      {
        address: { socket_address: { address: '127.0.0.1', port_value: 0 } },
        filter_chains: [
          {
            filters: [
              {
                name: 'http',
                typed_config: {
                  '@type':
                    'type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager',
                  'stat_prefix': 'probe',
                  'route_config': {},
                  'http_filters': [
                    {
                      name: 'probe',
                      typed_config: {
                        '@type': 'type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm',
                        'config': {
                          ...more,
                          vm_config: { runtime: 'envoy.wasm.runtime.v8', code: { local: { filename: module } } },
                        },
                      },
                    },
                    {
                      name: 'router',
                      typed_config: { '@type': 'type.googleapis.com/envoy.extensions.filters.http.router.v3.Router' },
                    },
                  ],
                },
              },
            ],
          },
        ],
      },
    ],
  },
});

const SETTINGS = {
  'failure_policy: FAIL_RELOAD': { failure_policy: 'FAIL_RELOAD' },
  'allow_on_headers_stop_iteration': { allow_on_headers_stop_iteration: true },
};

/** `{ what: 'yes' | 'no' | … }` for the Envoy that `ENVOY` names. */
export function probeHost(directory) {
  mkdirSync(directory, { recursive: true });
  const [wat, module] = ['probe.wat', 'probe.wasm'].map((name) => join(directory, name));
  const asked = questions();
  writeFileSync(wat, moduleFor(Object.values(asked)));
  execFileSync(process.execPath, [join(ROOT, 'tools/node_modules/binaryen/bin/wasm-as'), wat, '-o', module]);
  const { accepted, output } = validateBare({ directory, config: filterWith(module) });
  if (!accepted) throw new Error(`the probe was not loaded:\n${output}`);
  const seen = {};
  Object.keys(asked).forEach((what, number) => {
    const found = new RegExp(`probe ${number} (.) (.)`).exec(output);
    if (!found) throw new Error(`the probe said nothing of ${what}:\n${output}`);
    const status = found[1].charCodeAt(0) - 97;
    // 1 is NotFound. `sign` was given nothing to sign, so that it is there is all there is to know.
    seen[what] = status === 1 ? 'absent' : what === 'sign' || found[2] === 'y' ? 'yes' : 'no';
  });
  for (const [what, more] of Object.entries(SETTINGS)) {
    seen[what] = validateBare({ directory, config: filterWith(module, more) }).accepted ? 'yes' : 'no';
  }
  return seen;
}
