// Connections with certificates: made for this run, on a listener of its own beside the example's plain one.
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PYTHON, TESTBED } from '../../../testbed/paths.mjs';

const TYPE = 'type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext';

/**
 * Makes certificates in `directory`, for a server and these clients (`NAME=stranger`: of an authority that nobody trusts).
 * `of(name)` are the options of a connection with that one, without a name of one without any.
 */
export function makeCertificates(directory, ...clients) {
  execFileSync(PYTHON, [join(TESTBED, 'certificates.py'), directory, ...clients]);
  const read = (file) => readFileSync(join(directory, file), 'utf8');
  const ca = read('authority.pem');
  return {
    of: (name) => ({ ca, ...(name && { cert: read(`${name}.pem`), key: read(`${name}.key`) }) }),
    pem: (name) => read(`${name}.pem`),
    /** `x5t#S256` of RFC 8705 section 3.1. */
    thumbprint: (name) => createHash('sha256').update(new X509Certificate(read(`${name}.pem`)).raw).digest('base64url'),
  };
}

/** Adds a listener for TLS at `port` that filters as the first one does. To be called in an `edit`. */
export function addTlsListener(bootstrap, directory, port, { validation = {}, required = false } = {}) {
  const [plain] = bootstrap.static_resources.listeners;
  const file = (name) => ({ filename: join(directory, name) });
  bootstrap.static_resources.listeners.push({
    name: `${plain.name}_tls_${port}`,
    address: { socket_address: { address: '127.0.0.1', port_value: port } },
    filter_chains: [
      {
        filters: plain.filter_chains[0].filters,
        transport_socket: {
          name: 'envoy.transport_sockets.tls',
          typed_config: {
            '@type': TYPE,
            'require_client_certificate': required,
            'common_tls_context': {
              tls_certificates: [{ certificate_chain: file('server.pem'), private_key: file('server.key') }],
              validation_context: { trusted_ca: file('authority.pem'), ...validation },
            },
          },
        },
      },
    ],
  });
}
