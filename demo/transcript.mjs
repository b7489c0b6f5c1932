// Turns what the parts recorded into a transcript: who asked whom, what was answered, and the detail that matters.
import { header } from '../testbed/record.mjs';

const colours = process.stdout.isTTY && !process.env.NO_COLOR;
const paint = (code) => (text) => (colours ? `\x1b[${code}m${text}\x1b[0m` : text);
export const bold = paint(1),
  dim = paint(2),
  red = paint(31),
  green = paint(32),
  yellow = paint(33);
const statusColour = (status) => (status < 300 ? green : status < 400 ? dim : yellow)(status);

const parsed = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return {};
  }
};
const shortened = (text, most = 24) => (text?.length > most ? `${text.slice(0, most)}...` : text);

/** The exchanges of the client and its browser. */
function clientSide({ from, url, body, headers, answer, ...exchange }, { origin, issuer }) {
  const to = url.origin === origin ? 'Envoy' : 'authorization server';
  const base = { ...exchange, from, to, url: url.origin + url.pathname };
  const reply = parsed(answer);
  if (to === 'Envoy' && url.pathname.startsWith('/.well-known/')) {
    return {
      ...base,
      step: 'It reads the resource metadata: who issues tokens for this resource?',
      detail: `"authorization_servers": ${JSON.stringify(reply.authorization_servers)}`,
    };
  }
  if (to === 'Envoy') {
    const { method, params } = parsed(body);
    const what = [method, params?.name].filter(Boolean).join(' ');
    const challenge = headers.get('www-authenticate');
    return challenge
      ? {
          ...base,
          what,
          step: 'The client asks without a token, and is told what it needs',
          detail: `www-authenticate: ${challenge}`,
        }
      : { ...base, what, step: `With the token: ${what}`, detail: `content-type: ${headers.get('content-type')}` };
  }
  if (url.href.startsWith(`${issuer}/reg`))
    return { ...base, step: 'It registers itself', detail: `"client_id": "${shortened(reply.client_id)}"` };
  if (url.href.startsWith(`${issuer}/token`))
    return {
      ...base,
      step: 'It trades the code for a token',
      detail: `"token_type": "${reply.token_type}", "scope": "${reply.scope}"`,
    };
  if (from === 'browser') {
    const asked = ['resource', 'scope', 'code_challenge_method'].filter((name) => url.searchParams.has(name));
    const detail = asked.length
      ? asked.map((name) => `${name}=${url.searchParams.get(name)}`).join(' ')
      : headers.get('location').includes('code=')
        ? 'location: the client, with the authorization code'
        : undefined;
    return {
      ...base,
      url: shortened(base.url, 60),
      step: 'The user logs in and agrees: authorization code with PKCE',
      detail,
    };
  }
  return { ...base, step: 'It reads the authorization server metadata', detail: `"issuer": "${reply.issuer}"` };
}

const fromEnvoy = ({ at, method, url, status }, to, origin) => ({
  at,
  from: 'Envoy',
  to,
  method,
  status,
  url: origin + url,
});

/** Every exchange of a run, in the order of time (Envoy's threads fetch keys when they start: told once, and first). */
export function exchanges({ client, authorizationServer, mcpServer, places }) {
  const all = client.map((exchange) => clientSide(exchange, places));
  const step = 'Envoy, with the filter, has fetched what it needs at its start, in each of its threads';
  const keyFetches = authorizationServer.filter((request) => header(request, 'x-envoy-expected-rq-timeout-ms'));
  for (const request of new Map(keyFetches.map((request) => [request.url, request])).values()) {
    all.push({ ...fromEnvoy(request, 'authorization server', places.issuer), at: 0, step });
  }
  for (const request of mcpServer) {
    const told = ['authorization', 'x-mcp-subject', 'x-mcp-scopes'].map(
      (name) => `${name}: ${header(request, name) ?? '(none)'}`,
    );
    all.push({ ...fromEnvoy(request, 'MCP server', places.mcpServer), detail: told.join('  ') });
  }
  return all.sort((a, b) => a.at - b.at);
}

export function print(all) {
  let step,
    number = 0;
  for (const exchange of all) {
    if (exchange.step && exchange.step !== step) {
      step = exchange.step;
      console.log(`\n${bold(`${++number}. ${step}`)}`);
    }
    const line = `${`${exchange.from} -> ${exchange.to}`.padEnd(33)} ${exchange.method.padEnd(5)} ${exchange.url} ${exchange.what ? dim(`(${exchange.what})`) : ''}`;
    console.log(`   ${statusColour(exchange.status)}  ${line}`);
    if (exchange.detail) console.log(`        ${dim(exchange.detail)}`);
  }
}
