// The table, the targets, and the plot.
import { writeFileSync } from 'node:fs';

const TARGETS = { warm_rs256: 0.35, cold_rs256: 1.0, cold_es256: 1.0, cold_eddsa: 1.5, resources_1000: 1.1, tokens_10000: 1.3, introspected: 2, dpop: 12, header_of_4_us: 2, header_of_12_us: 2, body_1k: 0.6, body_36k: 0.2, module_kib: 700 };

export function report(summary, { plot }) {
  console.log(`\n${'case'.padEnd(28)} added CPU us/request   requests/s     p50 ms  p99 ms`);
  for (const [name, c] of Object.entries(summary.cases)) {
    console.log(`${name.padEnd(28)} ${c.added_cpu_us.toFixed(1).padStart(10)}            ${String(c.requests_per_second).padStart(9)}  ${String(c.p50_ms).padStart(8)}  ${String(c.p99_ms).padStart(6)}`);
  }
  const { start_up: s, memory: m } = summary;
  console.log(`\nstart-up: ${s.plain_ms} ms without, ${s.filtered_ms} ms with the filter`);
  console.log(`memory at start: ${m.plain_kib} KiB without, ${m.filtered_kib} KiB with the filter; ${m.after_all_cases_kib} KiB with all cases after the run; the filter takes ${m.filter_per_further_worker_kib} KiB for each further worker`);
  console.log('\nratio             measured   target   (those in us are no ratios)');
  for (const [name, target] of Object.entries(TARGETS)) {
    const value = summary.ratios[name];
    if (value === undefined) continue; // left out by --only
    console.log(`${name.padEnd(17)} ${String(value).padStart(8)} ${String(target).padStart(8)}   ${value <= target ? 'reached' : 'MISSED'}`);
  }
  if (plot) writeFileSync(plot, svg(summary));
}

const BARS = [
  ['jwt_authn RS256', 'native_rs256', 'native'], ['this filter, token seen before', 'warm_rs256', 'ours'],
  ['this filter, new token', 'cold_rs256', 'ours'], ['this filter, new token, in wasm', 'cold_in_wasm_rs256', 'ours'],
  ['jwt_authn ES256', 'native_es256', 'native'], ['this filter, token seen before', 'warm_es256', 'ours'],
  ['this filter, new token', 'cold_es256', 'ours'], ['this filter, new token, in wasm', 'cold_in_wasm_es256', 'ours'],
  ['jwt_authn EdDSA', 'native_eddsa', 'native'], ['this filter, token seen before', 'warm_eddsa', 'ours'],
  ['this filter, new token', 'cold_in_wasm_eddsa', 'ours'],
];

function svg({ cases }) {
  const most = Math.max(...BARS.map(([, name]) => cases[name].added_cpu_us));
  const row = ([label, name, kind], i) => {
    const y = 40 + i * 26 + Math.floor((i + (i > 7 ? 0 : 0)) / 4) * 10;
    const value = cases[name].added_cpu_us;
    const width = Math.max(1, (value / most) * 420);
    return `<text x="230" y="${y + 14}" text-anchor="end">${label}</text><rect class="${kind}" x="240" y="${y}" width="${width.toFixed(1)}" height="18"/><text x="${(246 + width).toFixed(1)}" y="${y + 14}">${value.toFixed(1)}</text>`;
  };
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 740 370" font-family="sans-serif" font-size="13">
<style>text{fill:#24292f}.native{fill:#8c959f}.ours{fill:#0969da}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>
<text x="10" y="22" font-weight="bold">CPU that a request costs more than without a filter, in microseconds</text>
${BARS.map(row).join('\n')}
</svg>
`;
}
