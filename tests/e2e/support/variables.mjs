// Secrets reach the filter in environment variables of its virtual machine, which Envoy is told.
import { connectionManagerOf } from '../../../testbed/envoy.mjs';

/** Gives the filter these variables, beside those that it has. To be called in an `edit`. */
export function setVariables(bootstrap, values) {
  const { vm_config } = connectionManagerOf(bootstrap).http_filters[0].typed_config.config;
  vm_config.environment_variables ??= { key_values: {} };
  Object.assign(vm_config.environment_variables.key_values, values);
}

/** The client that the testbed's authorization server lets introspect and exchange, and its secret. */
export const GATEWAY = { client_id: 'gateway', secret: 'gateway: 100% +/=' };

/** What the record of an authorization server must hold of how a client authenticated (RFC 6749 section 2.3.1). */
export const basicOf = ({ client_id, secret }) =>
  `Basic ${Buffer.from([client_id, secret].map((part) => new URLSearchParams({ '': part }).toString().slice(1)).join(':')).toString('base64')}`;
