// Who pushes: REGISTRY_USER and REGISTRY_PASSWORD, else Docker's configuration file (and the helper that it names).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { Failure } from './failure.mjs';

/** `{ user, password, refreshToken, from }` for the registry `host`, or nothing. */
export function credentialsFor(host, environment) {
  const { REGISTRY_USER: user, REGISTRY_PASSWORD: password } = environment;
  if (user || password) {
    if (user && password) return { user, password, from: 'REGISTRY_USER and REGISTRY_PASSWORD' };
    throw new Failure(
      `${user ? 'REGISTRY_PASSWORD' : 'REGISTRY_USER'} is not set, and ${user ? 'REGISTRY_USER' : 'REGISTRY_PASSWORD'} is`,
      'set both, or neither to use what `docker login` stored',
    );
  }
  const file = join(environment.DOCKER_CONFIG || join(environment.HOME || homedir(), '.docker'), 'config.json');
  if (!existsSync(file)) return undefined;
  const { auths = {}, credHelpers = {}, credsStore } = parse(file);
  const name = [host, `https://${host}`, `https://${host}/v2/`, `https://${host}/v1/`].find((key) => key in auths) ?? host;
  const { auth, identitytoken } = auths[name] ?? {};
  if (identitytoken) return { refreshToken: identitytoken, from: file };
  if (auth) {
    const text = Buffer.from(auth, 'base64').toString();
    const colon = text.indexOf(':');
    if (colon > 0) return { user: text.slice(0, colon), password: text.slice(colon + 1), from: file };
    throw new Failure(`the entry for ${host} in ${file} is no user and password`, `docker login ${host}`);
  }
  const helper = credHelpers[host] ?? credsStore;
  return helper ? askHelper(helper, name, environment) : undefined;
}

function parse(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    throw new Failure(`${file} cannot be read as JSON`, 'mend it, or set REGISTRY_USER and REGISTRY_PASSWORD'); // the parser would quote it
  }
}

function askHelper(helper, name, environment) {
  const program = `docker-credential-${helper}`;
  const cure = 'mend it, or set REGISTRY_USER and REGISTRY_PASSWORD';
  if (!/^[\w.-]+$/.test(helper))
    throw new Failure('the credential helper in the Docker configuration has an impossible name', cure);
  const { status, stdout, error } = spawnSync(program, ['get'], {
    input: name,
    encoding: 'utf8',
    timeout: 20_000,
    env: environment,
  });
  if (error)
    throw new Failure(`${program}, which the Docker configuration names, does not run: ${error.code ?? error.message}`, cure);
  if (status !== 0) return undefined; // it has none
  try {
    const { Username: user, Secret: secret } = JSON.parse(stdout);
    return user === '<token>' ? { refreshToken: secret, from: program } : { user, password: secret, from: program };
  } catch {
    throw new Failure(`${program} answered something unknown`, cure);
  }
}
