// A client of the OCI distribution API: as much of it as a push needs. Anonymous, Basic, or with the token that a Bearer
// challenge leads to.
import { Failure } from './failure.mjs';
import { isLoopback } from './reference.mjs';

const SECONDS = 60; // for one request, its body included
const MAX_ANSWER = 1 << 20;

const CHECKS = {
  ENOTFOUND: 'check the name of the host in REF',
  EAI_AGAIN: 'check the network: names cannot be resolved',
  ECONNREFUSED: 'check the port in REF, and that the registry runs',
  ECONNRESET: 'check that the registry speaks what is expected: TLS, but on loopback hosts plain HTTP',
};
/** What to check, by the status of an answer. */
function check(status, { credentials, host }) {
  const login = `\`docker login ${host}\`, or set REGISTRY_USER and REGISTRY_PASSWORD`;
  if (status === 401 || status === 403) {
    return credentials ? `check that ${credentials.from} may push there, or log in anew: ${login}` : `log in first: ${login}`;
  }
  if (status >= 300 && status < 400) return 'check the host in REF: it must be the one that serves the API below /v2/';
  if (status === 404 || status === 405)
    return 'check REF: whether that repository exists (some registries want it made first), and whether that host is a registry';
  if (status === 413) return 'check the limit on the size of requests in the registry, or in the proxy before it';
  if (status === 429) return 'wait, and push again: what has arrived is not sent twice';
  if (status >= 500) return "look into the registry's log, and push again: what has arrived is not sent twice";
  return 'check what it says; if it is the registry that is odd, its log may say more';
}

/** Text of somebody else, in one line that a terminal does not obey. */
const oneLine = (text) =>
  text
    .replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ')
    .trim()
    .slice(0, 700);

/** The registry's own words: `errors[]` of the specification, else the text. */
function words({ status, text, type }) {
  let said = '';
  try {
    const { errors, details, error, error_description } = JSON.parse(text);
    said = Array.isArray(errors)
      ? errors.map(({ code, message }) => [code, message].filter(Boolean).join(': ')).join('; ')
      : (details ?? error_description ?? error ?? '');
  } catch {
    if (type.startsWith('text/plain')) said = text;
  }
  return said ? `${status}, ${said}` : `${status}, without a word of why`;
}

export class Registry {
  #reference;
  #credentials;
  #seconds;
  #authorization;
  #secrets = new Set();

  constructor(reference, credentials, { seconds = SECONDS } = {}) {
    this.#reference = reference;
    this.#credentials = credentials;
    this.#seconds = seconds;
    for (const secret of [credentials?.password, credentials?.refreshToken]) this.#keepSecret(secret);
  }

  #keepSecret(secret) {
    if (!secret) return;
    for (const form of [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)]) this.#secrets.add(form);
  }

  /**
   * A failure whose text has no secret in it, not even one that a registry repeats: they are looked for in what it wrote, before
   * that is cut or put into one line, which would leave a part of one.
   */
  #failure(cause, cure) {
    const longestFirst = [...this.#secrets].sort((a, b) => b.length - a.length);
    return new Failure(oneLine(longestFirst.reduce((text, secret) => text.replaceAll(secret, '***'), cause)), cure);
  }

  /** One request. `what` says in a failure what was tried. Answers `{ status, headers, body, text, type }`. */
  async #send(what, url, { method = 'GET', headers = {}, body } = {}) {
    const { protocol, hostname, host } = new URL(url);
    if (protocol !== 'https:' && !(protocol === 'http:' && isLoopback(hostname))) {
      throw this.#failure(
        `${what}: the registry leads to ${protocol}//${host}, which is not https`,
        'mend the address that the registry gives out',
      );
    }
    try {
      const response = await fetch(url, {
        method,
        headers,
        body,
        redirect: 'manual',
        signal: AbortSignal.timeout(this.#seconds * 1000),
      });
      const answer = method === 'HEAD' ? Buffer.alloc(0) : await readAll(response);
      return {
        status: response.status,
        headers: response.headers,
        body: answer,
        text: answer.toString(),
        type: response.headers.get('content-type') ?? '',
      };
    } catch (error) {
      if (error.name === 'TimeoutError') {
        throw this.#failure(
          `${what}: no answer from ${host} within ${this.#seconds} s`,
          'check that the registry is well, and push again: what has arrived is not sent twice',
        );
      }
      const { code, message } = error.cause ?? error;
      const proxy = (process.env.HTTPS_PROXY ?? process.env.https_proxy) && protocol === 'https:';
      const cure = /CERT|SSL|TLS|SELF_SIGNED/.test(code ?? '')
        ? 'check the certificate of the registry; NODE_EXTRA_CA_CERTS names the file of an authority of your own'
        : (CHECKS[code] ?? 'check the network and the host in REF');
      throw this.#failure(
        `${what}: ${host}: ${code ? `${code}, ${message}` : message}`,
        proxy ? `${cure}; HTTPS_PROXY is used by Node.js 24 or newer only, with NODE_USE_ENV_PROXY=1` : cure,
      );
    }
  }

  /** A request to the registry, with who we are once it asks for that. Other answers than `accept` are failures. */
  async request(what, url, { accept, ...options }) {
    const target = new URL(url, this.#reference.origin);
    // an upload may lead to a storage elsewhere, whose address says all that it needs to know
    const ours = target.origin === new URL(this.#reference.origin).origin;
    const once = () => {
      const authorization = ours && this.#authorization ? { authorization: this.#authorization } : {};
      return this.#send(what, target.href, { ...options, headers: { ...options.headers, ...authorization } });
    };
    let answer = await once();
    if (answer.status === 401 && ours && (await this.#authorize(what, answer))) answer = await once();
    if (accept && !accept.includes(answer.status)) throw this.refused(what, answer);
    return answer;
  }

  refused(what, answer) {
    return this.#failure(
      `${what}: ${this.#reference.host} answered ${words(answer)}`,
      check(answer.status, { credentials: this.#credentials, ...this.#reference }),
    );
  }

  /** Does as a challenge says; whether there is something new to try. */
  async #authorize(what, answer) {
    const before = this.#authorization;
    const challenge = answer.headers.get('www-authenticate') ?? '';
    const [, bearer] = /(?:^|[\s,])Bearer\s+(.*)/i.exec(challenge) ?? [];
    if (bearer) {
      const parameters = Object.fromEntries(
        [...bearer.matchAll(/(\w+)="([^"]*)"/g)].reverse().map(([, name, value]) => [name.toLowerCase(), value]),
      );
      this.#authorization = `Bearer ${await this.#token(parameters)}`;
    } else if (/(?:^|[\s,])Basic\b/i.test(challenge) && this.#credentials?.user) {
      this.#authorization = this.#basic();
    } else {
      throw this.refused(what, answer);
    }
    return this.#authorization !== before;
  }

  #basic() {
    const { user, password } = this.#credentials;
    const encoded = Buffer.from(`${user}:${password}`).toString('base64');
    this.#secrets.add(encoded);
    return `Basic ${encoded}`;
  }

  /** A token for pushing to this repository, from where the challenge says. */
  async #token({ realm, service }) {
    const what = 'asking for a token';
    if (!URL.canParse(realm ?? ''))
      throw this.#failure(`${what}: the registry does not say where (realm=${realm})`, "look into the registry's configuration");
    const wanted = { ...(service && { service }), scope: `repository:${this.#reference.repository}:pull,push` };
    const { refreshToken, user } = this.#credentials ?? {};
    let answer;
    if (refreshToken) {
      const body = new URLSearchParams({
        ...wanted,
        grant_type: 'refresh_token',
        client_id: 'mcp-oauth-filter',
        refresh_token: refreshToken,
      });
      answer = await this.#send(what, realm, { method: 'POST', body });
    } else {
      const url = new URL(realm);
      for (const [name, value] of Object.entries(wanted)) url.searchParams.set(name, value);
      answer = await this.#send(what, url.href, { headers: user ? { authorization: this.#basic() } : {} });
    }
    if (answer.status !== 200) throw this.refused(`${what} at ${new URL(realm).host}`, answer);
    let token;
    try {
      const { token: one, access_token: other } = JSON.parse(answer.text);
      token = one ?? other;
    } catch {
      // told below
    }
    if (typeof token !== 'string')
      throw this.#failure(`${what}: ${new URL(realm).host} answered without one`, "look into the registry's configuration");
    this.#keepSecret(token);
    return token;
  }
}

async function readAll(response) {
  const chunks = [];
  let size = 0;
  for await (const chunk of response.body ?? []) {
    size += chunk.length;
    if (size > MAX_ANSWER) throw new Error('the answer is too long');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}
