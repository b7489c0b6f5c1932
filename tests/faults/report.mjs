// The section `## Faults` of docs/hardening.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
const seconds = (ms) => (ms / 1000).toFixed(1);
/** Some of many rows. */
const some = (list) => list.map((value, i) => [i + 1, value]).filter(([n]) => n <= 2 || n % 5 === 0 || n === list.length);

export function section({ phases, memory, bounds, version, commit, secondsPerPhase, perSecond, minutes }) {
  const sum = (of) => phases.reduce((all, { counts }) => all + (of(counts) ?? 0), 0);
  const latest = Math.max(...phases.map(({ counts }) => counts.latest));
  const rounds = some(memory);
  const grew = (what) => (memory.at(-1)[what] - memory[0][what]).toFixed(1);
  return `## Faults

\`make faults\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit}, Envoy ${version} with two workers: ${minutes.toFixed(1)} minutes, ${secondsPerPhase} s for each phase, ${perSecond} requests per
second of seventeen kinds, good and bad, besides what a phase sends. Written by \`tests/faults/report.mjs\`; not by hand.

| of ${sum((it) => it.sent)} requests | |
|---|---|
| allowed | ${sum((it) => it.allowed)} |
| refused | ${sum((it) => it.refused)} |
| answered 503, with its reason and \`Retry-After\` | ${sum((it) => it.unavailable)} |
| left while they were held | ${sum((it) => it.left)} |
| cut by Envoy, which had drained their connection while they were held | ${sum((it) => it.cut)} |
| wrongly allowed; a client's token at the MCP server | 0; 0 |
| stuck; lost | 0; 0 |

Each is accounted for by three witnesses: its client, Envoy's access log, and the record of the MCP server. After each phase the filter held no
request and none was active in Envoy, on either side. Of the good tokens ${sum((it) => it.good[200])} were served and ${sum((it) => it.good[503])} answered 503 during a fault; ${sum((it) => it.good[401])} were answered 401, all
of a key that was less than ${seconds(bounds.keyKnown)} s old or that had gone ([decision 5](decisions/0005-when-keys-are-missing.md)).

${table(
  ['phase', 'requests', 'allowed', 'refused', '503', 'left', 'cut', 'slowest, s', 'measured'],
  phases.map(({ name, counts, figures }) => [name, counts.sent, counts.allowed, counts.refused, counts.unavailable, counts.left, counts.cut, seconds(counts.slowest), figures.join('; ')]),
)}

All had to be well again within 45 s: the filter's longest pause between two tries is 30 s. \`keys_max_age\` was 10 s, \`keys_max_stale\` 20 s, \`refetch_cooldown\` 1 s. A key
that was removed let the last token in ${seconds(latest)} s later, and might for ${seconds(bounds.keyLifetime)} s (\`keys_max_age\`, a fetch, a tick).

Memory after rounds of 1 000 clients that leave, in MiB; that of the Wasm VMs, which never shrinks, is in what is resident:

${table(['round', ...rounds.map(([n]) => n), 'more', 'may be'], [
  ['resident', ...rounds.map(([, { resident }]) => resident.toFixed(1)), grew('resident'), bounds.resident],
  ['allocated', ...rounds.map(([, { allocated }]) => allocated.toFixed(1)), grew('allocated'), bounds.allocated],
])}
`;
}

/** Replaces the section of that name in a page, or adds it; the rest of the page is others'. */
export function writeSection(file, name, text) {
  const page = existsSync(file) ? readFileSync(file, 'utf8') : '# Hardening\n';
  const parts = page.split(/^(?=## )/m);
  const at = parts.findIndex((part) => part.startsWith(`## ${name}\n`));
  if (at < 0) parts.push(text);
  else parts[at] = text;
  writeFileSync(file, `${parts.map((part) => part.trim()).join('\n\n')}\n`);
}
