// The browser and its user: follows redirects with cookies and stops at the client's redirect_uri.
// Not fetch(): it says `sec-fetch-mode: cors`, and some servers answer that with JSON instead of a redirect.
import { request } from 'node:http';

const get = (url, headers) =>
  new Promise((resolve, reject) => {
    request(url, { headers }, (response) => {
      let body = '';
      response
        .setEncoding('utf8')
        .on('data', (text) => {
          body += text;
        })
        .on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
    })
      .on('error', reject)
      .end();
  });

/** Opens `start` and returns the parameters with which the redirect to `callback` would arrive. */
export async function browse(start, callback, onExchange = () => {}) {
  const cookies = new Map();
  let url = new URL(start);
  for (let hop = 0; hop < 15; hop++) {
    const headers = {
      accept: 'text/html',
      ...(cookies.size && { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') }),
    };
    const at = performance.timeOrigin + performance.now();
    const { status, headers: answer, body } = await get(url, headers);
    onExchange({
      from: 'browser',
      at,
      method: 'GET',
      url,
      status,
      headers: new Headers({ location: answer.location ?? '' }),
    });
    for (const cookie of answer['set-cookie'] ?? []) {
      const [pair] = cookie.split(';');
      cookies.set(pair.slice(0, pair.indexOf('=')), pair.slice(pair.indexOf('=') + 1));
    }
    if (!answer.location)
      throw new Error(`the authorization server did not redirect: ${status} at ${url}: ${body.slice(0, 300)}`);
    url = new URL(answer.location, url);
    if (url.href.startsWith(callback)) return url.searchParams;
  }
  throw new Error(`redirects without end, last to ${url}`);
}
