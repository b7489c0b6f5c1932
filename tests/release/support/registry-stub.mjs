// A small registry in this process that holds a client to the OCI distribution specification: what is not as it should be
// is refused, as a real one would. It can also be made to fail.
import { createHash, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { after } from 'node:test';

const digestOf = (bytes) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const MANIFEST = 'application/vnd.oci.image.manifest.v1+json';

async function bodyOf(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function listen(handler) {
  return new Promise((resolve) => {
    const server = createServer(handler).listen(0, '127.0.0.1', () => resolve(`127.0.0.1:${server.address().port}`));
    after(() => {
      server.close();
      server.closeAllConnections();
    });
  });
}

/**
 * `user` and `password` are asked for if given, by the challenge `auth` (`basic` or `bearer`); `storage: true` takes uploads on
 * another port. `faults` maps `METHOD part of the path` to what answers instead: `(request, response) => …`.
 */
export async function startRegistry({ auth, user, password, storage, faults = {} } = {}) {
  const blobs = new Map();
  const manifests = new Map();
  const uploads = new Set();
  const requests = [];
  const tokens = new Set();
  const basic = `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

  const error = (response, status, code, message, headers = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify({ errors: [{ code, message }] }));
  };

  const handler = (place) => async (request, response) => {
    const url = new URL(request.url, `http://${request.headers.host}`);
    const body = await bodyOf(request);
    const authorization = request.headers.authorization;
    requests.push({ place, method: request.method, path: url.pathname, query: url.search, authorization });
    const fault = Object.entries(faults).find(([key]) => `${request.method} ${url.pathname}`.includes(key));
    if (fault) return fault[1](request, response);

    if (place === 'registry' && url.pathname === '/token') {
      if (user && authorization !== basic) return error(response, 401, 'UNAUTHORIZED', 'incorrect username or password');
      if (url.searchParams.get('service') !== 'stub' || url.searchParams.get('scope') !== 'repository:team/filter:pull,push') {
        return error(response, 400, 'UNSUPPORTED', `not a scope: ${url.search}`);
      }
      const token = randomUUID();
      tokens.add(`Bearer ${token}`);
      response.setHeader('content-type', 'application/json');
      return response.end(JSON.stringify({ token }));
    }
    const [, repository, kind, name] = /^\/v2\/(team\/filter)\/(blobs|manifests)\/(.+)$/.exec(url.pathname) ?? [];
    if (place === 'storage' ? authorization : auth && authorization !== basic && !tokens.has(authorization)) {
      const challenge =
        auth === 'basic'
          ? 'Basic realm="stub"'
          : `Bearer realm="http://${request.headers.host}/token",service="stub",scope="repository:${repository}:pull"`;
      return error(response, 401, 'UNAUTHORIZED', 'authentication required', { 'www-authenticate': challenge });
    }
    if (url.pathname === '/v2/') return response.end('{}');
    if (!repository) return error(response, 404, 'NAME_UNKNOWN', 'repository name not known to registry');

    if (kind === 'blobs' && request.method === 'HEAD') {
      response.writeHead(blobs.has(name) ? 200 : 404);
      return response.end();
    }
    if (kind === 'blobs' && request.method === 'POST' && name === 'uploads/') {
      const id = randomUUID();
      uploads.add(id);
      const path = `/v2/${repository}/blobs/uploads/${id}?_state=${id}`;
      response.writeHead(202, { location: storage ? `http://${stored}${path}` : path });
      return response.end();
    }
    if (kind === 'blobs' && request.method === 'PUT') {
      const id = name.replace('uploads/', '');
      if (!uploads.delete(id) || url.searchParams.get('_state') !== id)
        return error(response, 404, 'BLOB_UPLOAD_UNKNOWN', 'blob upload unknown to registry');
      const digest = url.searchParams.get('digest');
      if (digest !== digestOf(body))
        return error(response, 400, 'DIGEST_INVALID', 'provided digest did not match uploaded content');
      blobs.set(digest, body);
      response.writeHead(201, { location: `/v2/${repository}/blobs/${digest}`, 'docker-content-digest': digest });
      return response.end();
    }
    if (kind === 'manifests' && request.method === 'PUT') {
      if (request.headers['content-type'] !== MANIFEST) return error(response, 400, 'MANIFEST_INVALID', 'unknown media type');
      const { config, layers } = JSON.parse(body);
      for (const { digest, size } of [config, ...layers]) {
        if (blobs.get(digest)?.length !== size)
          return error(response, 400, 'MANIFEST_BLOB_UNKNOWN', `blob unknown to registry: ${digest}`);
      }
      for (const key of [name, digestOf(body)]) manifests.set(key, body);
      response.writeHead(201, { 'docker-content-digest': digestOf(body) });
      return response.end();
    }
    if (kind === 'manifests' && request.method === 'GET' && manifests.has(name)) {
      if (request.headers.accept !== MANIFEST)
        return error(response, 404, 'MANIFEST_UNKNOWN', 'OCI manifest found, but accept header does not support OCI manifests');
      response.setHeader('content-type', MANIFEST);
      return response.end(manifests.get(name));
    }
    error(response, 404, 'MANIFEST_UNKNOWN', 'manifest unknown');
  };

  const host = await listen(handler('registry'));
  const stored = storage ? await listen(handler('storage')) : undefined;
  return { host, blobs, manifests, requests, faults };
}
