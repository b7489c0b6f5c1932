// A reporter for `node --test`: one JSON line for each test, `{ file, name, status, reason }`, without those that are only
// groups of others.
import { basename } from 'node:path';

const short = (text) => String(text ?? '').replace(/\x1b\[\d+m/g, '').replace(/\s+/g, ' ').trim().slice(0, 200);

export default async function* results(events) {
  const names = []; // of the groups that are open, by depth
  for await (const { type, data } of events) {
    if (type === 'test:start') {
      names.length = data.nesting;
      names[data.nesting] = data.name;
    }
    if (type !== 'test:pass' && type !== 'test:fail') continue;
    const { details = {}, file } = data;
    const cause = details.error?.cause ?? details.error;
    // A group fails with its tests, and then says nothing of its own.
    if (details.type === 'suite' && details.error?.failureType !== 'hookFailed') continue;
    const skipped = data.skip !== undefined || data.todo !== undefined;
    const status = skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed';
    const reason = skipped ? short(data.skip ?? data.todo) : short(cause?.message ?? cause);
    const name = [...names.slice(0, data.nesting), data.name].join(' › ');
    yield `${JSON.stringify({ file: basename(file ?? data.name), name, status, ...(status !== 'passed' && { reason }) })}\n`;
  }
}
