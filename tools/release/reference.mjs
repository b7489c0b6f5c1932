// Where an image goes: `host/repository:tag`.
import { Failure } from './failure.mjs';

const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;
const TAG = /^\w[\w.-]{0,127}$/;
const HOST = /^(?:[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::\d{1,5})?$/i;

/** Hosts that are this machine. Only they are spoken to without TLS. */
export const isLoopback = (hostname) => hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname);

/** `{ host, repository, tag, origin }` */
export function parseReference(text) {
  const form = 'make push REF=registry.example.com/mcp-oauth-filter:tag';
  if (!text) throw new Failure('REF is not set: where should the image go?', form);
  if (text.includes('@')) {
    // not repeated: what stands before it may be a password
    throw new Failure(
      'REF has an `@`: neither a user nor a digest belongs in it',
      `${form}, and credentials by \`docker login\` or REGISTRY_USER`,
    );
  }
  const refuse = (why) => new Failure(`REF=${text}: ${why}`, form);
  if (text.includes('://')) throw refuse('leave out what stands before the host');
  const slash = text.indexOf('/');
  const host = text.slice(0, slash);
  const [repository, tag, ...more] = text.slice(slash + 1).split(':');
  if (slash < 0 || !HOST.test(host) || !(/[.:]/.test(host) || host === 'localhost'))
    throw refuse('it does not begin with a host');
  if (tag === undefined || more.length > 0 || !TAG.test(tag)) throw refuse('it does not end in one tag, such as `:0.1.0`');
  if (!REPOSITORY.test(repository))
    throw refuse(`\`${repository}\` is no name of a repository: lower-case letters, digits, \`.\`, \`_\`, \`-\` and \`/\``);
  const scheme = isLoopback(host.replace(/:\d+$/, '')) ? 'http' : 'https';
  return { host, repository, tag, origin: `${scheme}://${host}` };
}
