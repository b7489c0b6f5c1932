// `make up`: everything runs until Ctrl-C, for trying things by hand.
import { join, relative } from 'node:path';
import { ROOT, runDirectory } from '../testbed/paths.mjs';
import { startLikeExample } from '../testbed/stack.mjs';

const directory = runDirectory('up');
const here = (path) => relative(process.cwd(), path) || '.';
const quoted = (path) => (/^[\w@+:,./-]+$/.test(path) ? path : `'${path}'`);
const stack = await startLikeExample({ directory }).catch((error) => {
  console.error(`It did not start: ${error.message}\nLogs: ${here(directory)}`);
  process.exit(1);
});

console.log(`
The protected MCP server:   ${stack.url}
The authorization server:   ${stack.issuer}
Logs, and Envoy's config:   ${here(directory)}

Try by hand, in another terminal:

  curl -i -X POST ${stack.url}
  node ${quoted(join(ROOT, 'testbed/client.mjs'))} ${stack.url} --trace

Ctrl-C stops everything.`);

const end = await Promise.race(stack.parts().map(async ({ name, crashed }) => `${name}: ${await crashed}`));
console.error(`\n${end}. Logs: ${here(directory)}`);
process.exit(1);
