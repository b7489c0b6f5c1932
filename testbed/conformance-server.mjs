// An MCP server with all that the official conformance suite asks a server for, on the official TypeScript SDK. One
// endpoint, both eras: 2026-07-28 without sessions, 2025-11-25 with sessions, resumable streams and requests to the client.
// The names, texts and values are the suite's: `conformance list --server`, and each scenario's description.
//
//   node conformance-server.mjs [--port N] [--record FILE]
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import {
  NodeStreamableHTTPServerTransport,
  localhostHostValidation,
  localhostOriginValidation,
  toNodeHandler,
} from '@modelcontextprotocol/node';
import {
  acceptedContent,
  classifyInboundRequest,
  CLIENT_CAPABILITIES_META_KEY,
  createMcpHandler,
  createRequestStateCodec,
  fromJsonSchema,
  inputRequired,
  isInitializeRequest,
  McpServer,
  ResourceTemplate,
} from '@modelcontextprotocol/server';
import * as z from 'zod/v4';
import { recorded } from './record.mjs';

const { values: options } = parseArgs({
  options: { port: { type: 'string', default: '0' }, record: { type: 'string' } },
});

const IMAGE = {
  type: 'image',
  mimeType: 'image/png',
  data: 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==',
};
const AUDIO = {
  type: 'audio',
  mimeType: 'audio/wav',
  data: 'UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAAB9AAACABAAZGF0YQIAAAA=',
};
const says = (text) => ({ type: 'text', text });
const text = (value) => ({ content: [says(value)] });
const embedded = (uri, mimeType, value) => ({ type: 'resource', resource: { uri, mimeType, text: value } });
const object = (properties, required = Object.keys(properties)) => ({ type: 'object', properties, required });
const choices = (...pairs) => pairs.map(([value, title]) => ({ const: value, title }));

// 2026-07-28: what a server wants to know it answers with, and its state travels through the client, sealed.
const sealed = createRequestStateCodec({ key: randomBytes(32) });
const ask = (message, properties) => inputRequired.elicit({ message, requestedSchema: object(properties) });
const QUESTIONS = {
  name: () => ask('What is your name?', { name: { type: 'string' } }),
  color: () => ask('What is your favourite color?', { color: { type: 'string' } }),
  confirm: () => ask('Please confirm', { ok: { type: 'boolean' } }),
  sampling: (question) =>
    inputRequired.createMessage({ messages: [{ role: 'user', content: says(question) }], maxTokens: 100 }),
  roots: () => inputRequired.listRoots(),
};

/** The tools for both eras: name → what it answers, or [that, its input schema]. */
const TOOLS = {
  test_simple_text: () => text('This is a simple text response for testing.'),
  test_image_content: () => ({ content: [IMAGE] }),
  test_audio_content: () => ({ content: [AUDIO] }),
  test_embedded_resource: () => ({
    content: [embedded('test://embedded-resource', 'text/plain', 'This is an embedded resource content.')],
  }),
  test_multiple_content_types: () => ({
    content: [
      says('Multiple content types test:'),
      IMAGE,
      embedded('test://mixed-content-resource', 'application/json', '{"test":"data","value":123}'),
    ],
  }),
  test_error_handling: () => {
    throw new Error('This tool intentionally returns an error for testing');
  },
  async test_tool_with_logging(_, { mcpReq }) {
    for (const data of ['Tool execution started', 'Tool processing data', 'Tool execution completed']) {
      await mcpReq.notify({ method: 'notifications/message', params: { level: 'info', data } });
      await sleep(50);
    }
    return text('Tool with logging executed successfully');
  },
  async test_tool_with_progress(_, { mcpReq }) {
    const progressToken = mcpReq._meta?.progressToken;
    for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
      await mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: 100 } });
      await sleep(50);
    }
    return text(String(progressToken));
  },
  // 2025-11-25: what a server wants to know it requests on the stream of the answer
  test_sampling: [
    async ({ prompt }, { mcpReq }) => {
      const params = { messages: [{ role: 'user', content: says(prompt) }], maxTokens: 100 };
      const { content } = await mcpReq.send({ method: 'sampling/createMessage', params });
      return text(`LLM response: ${content.text}`);
    },
    z.object({ prompt: z.string() }),
  ],
  test_elicitation: [
    ({ message }, { mcpReq }) => elicited(mcpReq, message, { response: { type: 'string' } }, ['response']),
    z.object({ message: z.string() }),
  ],
  test_elicitation_sep1034_defaults: (_, { mcpReq }) =>
    elicited(mcpReq, 'Please review the defaults', {
      name: { type: 'string', default: 'John Doe' },
      age: { type: 'integer', default: 30 },
      score: { type: 'number', default: 95.5 },
      status: { type: 'string', enum: ['active', 'inactive', 'pending'], default: 'active' },
      verified: { type: 'boolean', default: true },
    }),
  test_elicitation_sep1330_enums: (_, { mcpReq }) => {
    const few = { type: 'array', minItems: 1, maxItems: 3 };
    return elicited(mcpReq, 'Please select', {
      untitledSingle: { type: 'string', enum: ['option1', 'option2', 'option3'] },
      titledSingle: { type: 'string', oneOf: choices(['value1', 'First'], ['value2', 'Second'], ['value3', 'Third']) },
      legacyEnum: { type: 'string', enum: ['opt1', 'opt2', 'opt3'], enumNames: ['Option 1', 'Option 2', 'Option 3'] },
      untitledMulti: { ...few, items: { type: 'string', enum: ['option1', 'option2', 'option3'] } },
      titledMulti: {
        ...few,
        items: { anyOf: choices(['value1', 'First'], ['value2', 'Second'], ['value3', 'Third']) },
      },
    });
  },
  async test_reconnection(_, { sessionId, mcpReq }) {
    sessions.get(sessionId)?.transport.closeSSEStream(mcpReq.id); // the client comes back with Last-Event-ID
    await sleep(100);
    return text('Reconnection test completed successfully');
  },
  json_schema_2020_12_tool: [
    (args) => text(JSON.stringify(args)),
    fromJsonSchema({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      $defs: {
        address: {
          $anchor: 'addressDef',
          type: 'object',
          properties: { street: { type: 'string' }, city: { type: 'string' } },
        },
      },
      properties: {
        name: { type: 'string' },
        address: { $ref: '#/$defs/address' },
        contactMethod: { type: 'string', enum: ['phone', 'email'] },
        phone: { type: 'string' },
        email: { type: 'string' },
      },
      allOf: [{ anyOf: [{ required: ['phone'] }, { required: ['email'] }] }],
      if: { properties: { contactMethod: { const: 'phone' } }, required: ['contactMethod'] },
      then: { required: ['phone'] },
      else: { required: ['email'] },
      additionalProperties: false,
    }),
  ],
  // 2026-07-28 alone
  test_x_mcp_header: [
    ({ region = '<none>' }) => text(`region=${region}`),
    fromJsonSchema(object({ region: { 'type': 'string', 'x-mcp-header': 'Region' }, level: { type: 'integer' } }, [])),
  ],
  test_missing_capability: (_, { mcpReq }) =>
    mcpReq.inputResponses?.answer
      ? text('answered')
      : inputRequired({ inputRequests: { answer: QUESTIONS.sampling('Reply: pong') } }),
  test_streaming_elicitation: () => text('nothing but this on the stream'),
  async test_logging_tool(_, { mcpReq }) {
    await mcpReq.log('info', 'delivered only when the request set _meta.logLevel');
    return text('logged');
  },
  test_trigger_tool_change: () => {
    modern.notify.toolsChanged();
    return text('published');
  },
  test_trigger_prompt_change: () => {
    modern.notify.promptsChanged();
    return text('published');
  },
  test_input_required_result_elicitation(_, { mcpReq }) {
    const name = acceptedContent(mcpReq.inputResponses, 'user_name')?.name;
    return typeof name === 'string'
      ? text(`Hello, ${name}!`)
      : inputRequired({ inputRequests: { user_name: QUESTIONS.name() } });
  },
  test_input_required_result_sampling(_, { mcpReq }) {
    const answer = mcpReq.inputResponses?.capital_question;
    if (answer) return text(`Sampling response: ${answer.content?.text}`);
    return inputRequired({ inputRequests: { capital_question: QUESTIONS.sampling('What is the capital of France?') } });
  },
  test_input_required_result_list_roots(_, { mcpReq }) {
    const roots = mcpReq.inputResponses?.client_roots?.roots;
    if (Array.isArray(roots)) return text(`roots: ${roots.map(({ uri }) => uri).join(', ')}`);
    return inputRequired({ inputRequests: { client_roots: QUESTIONS.roots() } });
  },
  test_input_required_result_request_state: (_, { mcpReq }) => confirmed(mcpReq, 'state-ok'),
  test_input_required_result_tampered_state: (_, { mcpReq }) => confirmed(mcpReq, 'integrity-ok'),
  async test_input_required_result_multiple_inputs(_, { mcpReq }) {
    const { user_name, greeting, client_roots } = mcpReq.inputResponses ?? {};
    if (user_name && greeting && client_roots) return text('all three are here');
    return inputRequired({
      inputRequests: {
        user_name: QUESTIONS.name(),
        greeting: QUESTIONS.sampling('Generate a greeting'),
        client_roots: QUESTIONS.roots(),
      },
      requestState: await sealed.mint({ nonce: randomUUID() }),
    });
  },
  async test_input_required_result_multi_round(_, { mcpReq }) {
    const { round = 0, name } = mcpReq.requestState() ?? {};
    const answer = (key) => acceptedContent(mcpReq.inputResponses, key) ?? {};
    if (round === 2) return text(`${name} likes ${answer('step2').color}`);
    return inputRequired({
      inputRequests: round === 0 ? { step1: QUESTIONS.name() } : { step2: QUESTIONS.color() },
      requestState: await sealed.mint({ round: round + 1, name: answer('step1').name }),
    });
  },
  test_input_required_result_capabilities(_, { mcpReq }) {
    const { elicitation, sampling, roots } = mcpReq.envelope?.[CLIENT_CAPABILITIES_META_KEY] ?? {};
    const inputRequests = {
      ...(elicitation && { user_name: QUESTIONS.name() }),
      ...(sampling && { greeting: QUESTIONS.sampling('Generate a greeting') }),
      ...(roots && { client_roots: QUESTIONS.roots() }),
    };
    const done = mcpReq.inputResponses !== undefined || Object.keys(inputRequests).length === 0;
    return done ? text('nothing more to ask') : inputRequired({ inputRequests });
  },
};

async function elicited(mcpReq, message, properties, required = []) {
  const requestedSchema = object(properties, required);
  const { action, content } = await mcpReq.send({ method: 'elicitation/create', params: { message, requestedSchema } });
  return text(`User response: action=${action}, content=${JSON.stringify(content ?? {})}`);
}

async function confirmed(mcpReq, answer) {
  if (mcpReq.requestState() && acceptedContent(mcpReq.inputResponses, 'confirm')) return text(answer);
  return inputRequired({
    inputRequests: { confirm: QUESTIONS.confirm() },
    requestState: await sealed.mint({ nonce: randomUUID() }),
  });
}

function mcpServer() {
  const server = new McpServer(
    { name: 'testbed-conformance', version: '1.0.0' },
    {
      capabilities: {
        tools: { listChanged: true },
        resources: { subscribe: true, listChanged: true },
        prompts: { listChanged: true },
        logging: {},
        completions: {},
      },
      requestState: { verify: sealed.verify },
    },
  );
  for (const [name, entry] of Object.entries(TOOLS)) {
    const [handler, inputSchema = z.object({})] = [entry].flat();
    server.registerTool(name, { description: name, inputSchema }, handler);
  }

  const resource = (name, mimeType, contents) => {
    const uri = `test://${name}`;
    const read = () => ({ contents: [{ uri, mimeType, ...contents }] });
    server.registerResource(name, uri, { description: name, mimeType }, read);
  };
  resource('static-text', 'text/plain', { text: 'This is the content of the static text resource.' });
  resource('static-binary', 'image/png', { blob: IMAGE.data });
  resource('watched-resource', 'text/plain', { text: 'Watched resource content' });
  const template = new ResourceTemplate('test://template/{id}/data', { list: undefined });
  server.registerResource(
    'template',
    template,
    { description: 'template', mimeType: 'application/json' },
    (uri, { id }) => ({
      contents: [{ uri: uri.href, mimeType: 'application/json', text: JSON.stringify({ id, templateTest: true }) }],
    }),
  );

  const prompt = (name, args, handler) =>
    server.registerPrompt(name, { description: name, ...(args && { argsSchema: z.object(args) }) }, handler);
  const messages = (...contents) => ({ messages: contents.map((content) => ({ role: 'user', content })) });
  prompt('test_simple_prompt', undefined, () => messages(says('This is a simple prompt for testing.')));
  prompt('test_prompt_with_arguments', { arg1: z.string(), arg2: z.string() }, ({ arg1, arg2 }) =>
    messages(says(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`)),
  );
  prompt('test_prompt_with_embedded_resource', { resourceUri: z.string() }, ({ resourceUri }) =>
    messages(
      embedded(resourceUri, 'text/plain', 'Embedded resource content'),
      says('Please process the resource above.'),
    ),
  );
  prompt('test_prompt_with_image', undefined, () => messages(IMAGE, says('Please analyze the image above.')));
  prompt('test_input_required_result_prompt', undefined, ({ mcpReq }) => {
    const context = acceptedContent(mcpReq.inputResponses, 'user_context')?.context;
    if (typeof context === 'string') return messages(says(`Use the following context: ${context}`));
    return inputRequired({ inputRequests: { user_context: ask('What context?', { context: { type: 'string' } }) } });
  });

  for (const method of ['resources/subscribe', 'resources/unsubscribe', 'logging/setLevel'])
    server.server.setRequestHandler(method, () => ({}));
  const completion = { values: [], total: 0, hasMore: false };
  server.server.setRequestHandler('completion/complete', () => ({ completion }));
  return server;
}

const modern = createMcpHandler(mcpServer, { onerror: (error) => console.error(`mcp: ${error.message}`) });
const handleModern = toNodeHandler(modern);

const sessions = new Map(); // session id → { transport }

/** What was sent on a session's streams, for clients that come back for the rest. */
function eventStore() {
  const events = [];
  return {
    async storeEvent(stream, message) {
      events.push({ stream, message });
      return `${stream}_${events.length - 1}`;
    },
    async replayEventsAfter(last, { send }) {
      const [stream, index] = last.split(/_(?=\d+$)/);
      for (let i = Number(index) + 1; i < events.length; i++) {
        const { stream: its, message } = events[i];
        if (its === stream && Object.keys(message).length > 0) await send(`${stream}_${i}`, message);
      }
      return stream;
    },
  };
}

async function newSession() {
  const transport = new NodeStreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    eventStore: eventStore(),
    retryInterval: 500,
    onsessioninitialized: (id) => sessions.set(id, { transport }),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await mcpServer().connect(transport);
  return transport;
}

async function serve(request, response) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  let body;
  try {
    if (chunks.length) body = JSON.parse(Buffer.concat(chunks).toString());
  } catch {
    return refuse(response, 400, -32700, 'Parse error');
  }
  if (request.method === 'POST') {
    const { kind } = classifyInboundRequest({
      httpMethod: request.method,
      protocolVersionHeader: request.headers['mcp-protocol-version'],
      mcpMethodHeader: request.headers['mcp-method'],
      body,
    });
    if (kind !== 'legacy') return handleModern(request, response, body);
  }
  const id = request.headers['mcp-session-id'];
  if (!id && isInitializeRequest(body)) return (await newSession()).handleRequest(request, response, body);
  if (!id) return refuse(response, 400, -32000, 'Session ID required');
  if (!sessions.has(id)) return refuse(response, 404, -32001, 'Session not found');
  return sessions.get(id).transport.handleRequest(request, response, body);
}

const refuse = (response, status, code, message) =>
  response
    .writeHead(status, { 'content-type': 'application/json' })
    .end(JSON.stringify({ jsonrpc: '2.0', error: { code, message }, id: null }));

const guards = [localhostHostValidation(), localhostOriginValidation()];
const server = createServer(
  recorded(options.record, (request, response) => {
    if (!guards.every((passes) => passes(request, response))) return;
    serve(request, response).catch((error) => {
      console.error(`mcp: ${error.stack}`);
      if (!response.headersSent) refuse(response, 500, -32603, 'Internal error');
    });
  }),
);
server.listen(Number(options.port), '127.0.0.1', () =>
  console.log(`listening on http://127.0.0.1:${server.address().port}`),
);
