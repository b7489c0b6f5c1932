// The official MCP TypeScript client, with everything OAuth asks of its host: storage, and a browser with a user.
import { Client, DpopSession, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client';
import { browse } from './browse.mjs';
import { freePort } from './ports.mjs';

export const ERAS = { '2025-11-25': 'legacy', '2026-07-28': { pin: '2026-07-28' } };

/** What the SDK calls when it has something to keep or wants the user to log in. */
class Host {
  #registrations = new Map();
  constructor(callback) {
    this.redirectUrl = callback;
  }
  get clientMetadata() {
    return {
      client_name: 'testbed',
      redirect_uris: [this.redirectUrl],
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
    };
  }
  state() {
    return (this.sentState = crypto.randomUUID());
  }
  clientInformation(context) {
    return this.#registrations.get(context?.issuer);
  }
  saveClientInformation(information, context) {
    this.registered = information;
    this.#registrations.set(context?.issuer, information);
  }
  tokens() {
    return this.saved;
  }
  saveTokens(tokens) {
    this.saved = tokens;
  }
  redirectToAuthorization(url) {
    this.authorizationUrl = url;
  }
  saveCodeVerifier(verifier) {
    this.verifier = verifier;
  }
  codeVerifier() {
    return this.verifier;
  }
  saveDiscoveryState(state) {
    this.discovery = state;
  }
  discoveryState() {
    return this.discovery;
  }
  invalidateCredentials(what) {
    if (what === 'all' || what === 'tokens') this.saved = undefined;
    if (what === 'all' || what === 'client') this.#registrations.clear();
  }
}

/**
 * A client session with the MCP server at `url`. `run(operation)` runs `operation(client)`, and logs in whenever the
 * server asks for it. `headers` go with every MCP request; `onExchange` hears of every HTTP exchange. With `dpop` the client
 * proves possession of a key (RFC 9449) wherever the authorization server binds tokens to it.
 */
export class Session {
  #url;
  #headers;
  #mode;
  #onExchange;
  #client;
  #transport;
  logins = 0;

  static async open(url, { era = '2026-07-28', headers = {}, onExchange = () => {}, dpop = false } = {}) {
    const session = new Session();
    session.#url = new URL(url);
    session.#headers = headers;
    session.#mode = ERAS[era];
    session.#onExchange = onExchange;
    session.host = new Host(`http://127.0.0.1:${await freePort()}/callback`);
    if (dpop) {
      const keys = await DpopSession.create();
      session.host.dpop = () => keys;
    }
    await session.#connect();
    return session;
  }

  get protocolVersion() {
    return this.#client.getNegotiatedProtocolVersion() ?? this.#transport.protocolVersion;
  }
  get serverName() {
    return this.#client.getServerVersion()?.name;
  }
  get tokens() {
    return this.host.saved;
  }

  async run(operation) {
    for (;;) {
      try {
        return await operation(this.#client);
      } catch (error) {
        await this.#logInAfter(error);
        await this.#connect();
      }
    }
  }

  async close() {
    await this.#transport.terminateSession?.().catch(() => {}); // a server without sessions says so
    await this.#client.close();
  }

  async #connect() {
    for (;;) {
      await this.#client?.close().catch(() => {});
      this.#client = new Client({ name: 'testbed', version: '1.0.0' }, { versionNegotiation: { mode: this.#mode } });
      this.#transport = new StreamableHTTPClientTransport(this.#url, {
        authProvider: this.host,
        fetch: (...call) => this.#fetch(...call),
        requestInit: { headers: this.#headers },
      });
      try {
        return await this.#client.connect(this.#transport);
      } catch (error) {
        await this.#logInAfter(error);
      }
    }
  }

  async #logInAfter(error) {
    const causes = [error, error?.data?.cause, error?.cause];
    if (!causes.some((cause) => cause instanceof UnauthorizedError)) throw error;
    if (++this.logins > 3) throw new Error('still not authorized after 3 logins', { cause: error });
    const answer = await browse(this.host.authorizationUrl, this.host.redirectUrl, this.#onExchange);
    if (answer.get('error'))
      throw new Error(`the authorization server said ${answer.get('error')}: ${answer.get('error_description')}`);
    if (answer.get('state') !== this.host.sentState)
      throw new Error('the authorization server did not return our state');
    await this.#transport.finishAuth(answer);
  }

  async #fetch(input, init = {}) {
    const at = performance.timeOrigin + performance.now();
    const response = await fetch(input, init);
    const answer = response.headers.get('content-type')?.startsWith('application/json')
      ? await response.clone().text()
      : '';
    const { method = 'GET', body } = init;
    this.#onExchange({
      from: 'client',
      at,
      method,
      url: new URL(input.url ?? input),
      body,
      status: response.status,
      headers: response.headers,
      answer,
    });
    return response;
  }
}
