// What became of each request, by three witnesses: its client, Envoy's access log, and the MCP server's record.
import { closeSync, existsSync, openSync, readSync } from 'node:fs';
import { until } from '../../testbed/until.mjs';
import { KEY_KNOWN, KEY_LIFETIME, STRICT, UNKNOWN_KEY } from './kinds.mjs';

/** The lines of a file that came since the last call, without one that is still being written. */
function tail(file) {
  let [offset, rest] = [0, ''];
  return () => {
    if (!existsSync(file)) return [];
    const handle = openSync(file, 'r');
    const chunk = Buffer.alloc(1 << 20);
    for (let size; (size = readSync(handle, chunk, 0, chunk.length, offset)) > 0; offset += size) rest += chunk.latin1Slice(0, size);
    closeSync(handle);
    const lines = rest.split('\n');
    rest = lines.pop();
    return lines;
  };
}

const fits = ([status, reason], entry, line) => entry.status === status && line.reason === reason;

/** Whether an answer is one that a kind may have got at that time: with what is documented for the time of a fault, and for changes. */
function expected(entry, line) {
  const { kind, key, sentAt, endedAt } = entry;
  const inFault = entry.faultAtStart || entry.faultAtEnd;
  if (inFault && kind.ill.some((answer) => fits(answer, entry, line))) return true;
  const strict = [entry.strictAtStart, entry.strictAtEnd];
  if (kind.lesser && !strict.every((value) => value === false) && fits(STRICT, entry, line)) return true;
  if (kind.lesser && strict.every((value) => value === true)) return false;
  // a key that is new, or that has gone meanwhile, may be unknown; one that has gone may be in use for its time
  if (kind.good && key && fits(UNKNOWN_KEY, entry, line)) return sentAt < key.publishedAt + KEY_KNOWN || endedAt >= key.removedAt;
  if (kind.name === 'retired key' && fits([200, 'via_upstream'], entry, line)) return sentAt <= key.removedAt + KEY_LIFETIME;
  return fits(kind.well, entry, line);
}

/** Until when it may reach the MCP server: a token of a good kind, whose key has gone, has its end by that too. */
const mayPassUntil = ({ mayPassUntil: end, key }) => Math.min(end, key ? key.removedAt + KEY_LIFETIME : Infinity);

/** `judge(entries)` resolves to what was wrong, `[{ id, what }]`, and to counts of what was answered. */
export function startJudge({ accessLog, record }) {
  const newLines = tail(accessLog);
  const newRecord = tail(record);
  const lines = new Map(); // id → what Envoy said of it
  const arrivals = new Map(); // id → requests that the MCP server got
  const runs = new Map(); // id → how often a tool ran for it
  const known = new Set();
  const strangers = [];

  function read() {
    for (const text of newLines()) {
      const [id, status, flags, took, reason] = text.split(' ');
      if (id === '-') continue; // not of ours: a probe
      const line = { status: Number(status), flags, took: Number(took), reason };
      lines.set(id, [...(lines.get(id) ?? []), line]);
    }
    for (const text of newRecord()) {
      const entry = JSON.parse(text);
      if (entry.ran) runs.set(entry.arguments.message, (runs.get(entry.arguments.message) ?? 0) + 1);
      else if (entry.headers && entry.url !== '/ready') {
        const id = entry.headers.find(([name]) => name === 'x-fault-id')?.[1];
        if (id) arrivals.set(id, [...(arrivals.get(id) ?? []), entry]);
        else strangers.push(`the MCP server got a request of nobody: ${entry.method} ${entry.url}`);
      }
    }
  }

  function judgeOne(entry, wrong) {
    const { id, kind, token, left, status, error } = entry;
    const say = (what) => wrong.push({ id, what: `${kind.name}: ${what}` });
    const reached = arrivals.get(id) ?? [];
    const [line, ...more] = lines.get(id) ?? [];
    if (!line || more.length) say(`Envoy's access log has ${more.length + (line ? 1 : 0)} lines of it`);
    // nothing wrongly allowed
    for (const { at, headers } of reached) {
      if (at > mayPassUntil(entry)) say('WRONGLY ALLOWED: it reached the MCP server');
      if (kind.lesser && entry.strictAtStart === true && entry.strictAtEnd === true) say('WRONGLY ALLOWED: the configuration asked for more');
      const secret = token?.split('.').pop();
      if (headers.some(([name, value]) => name === 'authorization' || (secret && value.includes(secret)))) say('its token reached the MCP server');
    }
    if (left) {
      if (reached.length) say('reached the MCP server although its client had left while it was held');
      if (line && line.status !== 0) say(`left, and yet Envoy answered ${line.status} ${line.reason}`);
      return;
    }
    if (error && entry.mayBeCut && line?.status === 0 && line.reason.startsWith('downstream_local_disconnect')) {
      if (reached.length) say('reached the MCP server although Envoy had cut its connection while it was held');
      return;
    }
    // nothing stuck, nothing lost
    if (error) return say(`no answer: ${error}`);
    const took = entry.endedAt - entry.sentAt;
    if (took > entry.longest) say(`STUCK: it took ${took} ms`);
    const times = status === 200 ? 1 : 0;
    if (reached.length !== times || (runs.get(id) ?? 0) !== times) say(`answered ${status}, and the MCP server got it ${reached.length} times and ran it ${runs.get(id) ?? 0} times`);
    if (!line) return;
    if (!expected(entry, line)) say(`answered ${status} ${line.reason}${entry.faultAtStart || entry.faultAtEnd ? ', even for a fault' : ', and there was no fault'}`);
    if (status === 503 && !/^[1-9]\d*$/.test(entry.retryAfter)) say('503 without Retry-After');
  }

  return async function judge(entries) {
    read();
    for (const { id } of entries) known.add(id);
    // Envoy writes its log a moment after the answer
    await until('Envoy has logged each request', () => (read(), entries.every(({ id }) => lines.has(id))), { seconds: 10, every: 100 }).catch(() => {});
    const wrong = strangers.splice(0).map((what) => ({ id: '-', what }));
    for (const entry of entries) judgeOne(entry, wrong);
    for (const id of arrivals.keys()) if (!known.has(id)) wrong.push({ id, what: 'WRONGLY ALLOWED: reached the MCP server, and nobody sent it' });
    for (const id of runs.keys()) if (!known.has(id)) wrong.push({ id, what: 'WRONGLY ALLOWED: a tool ran, and nobody asked' });
    const counts = { sent: entries.length, allowed: 0, refused: 0, unavailable: 0, left: 0, cut: 0, good: {}, reasons: {} };
    let latest = 0; // ms after its removal that a key still let one in
    for (const entry of entries) {
      const [line] = lines.get(entry.id) ?? [];
      if (entry.left) counts.left++;
      else if (entry.error && entry.mayBeCut) counts.cut++;
      else if (entry.status === 200) counts.allowed++;
      else if (entry.status === 503) counts.unavailable++;
      else if (entry.status) counts.refused++;
      if (entry.kind.good && entry.status) counts.good[entry.status] = (counts.good[entry.status] ?? 0) + 1;
      if (line) counts.reasons[`${entry.kind.name} → ${line.status} ${line.reason}`] = (counts.reasons[`${entry.kind.name} → ${line.status} ${line.reason}`] ?? 0) + 1;
      if (entry.key) for (const { at } of arrivals.get(entry.id) ?? []) latest = Math.max(latest, at - entry.key.removedAt);
    }
    const slowest = Math.max(0, ...entries.filter(({ left }) => !left).map(({ sentAt, endedAt }) => endedAt - sentAt));
    for (const map of [lines, arrivals, runs]) map.clear();
    return { wrong, ...counts, latest, slowest };
  };
}
