// Loaded before the conformance suite, which imports fs.globSync: Node.js 20 does not have it, and the suite's tests of
// servers do not use it. Does nothing on later versions.
import * as fs from 'node:fs';
import { register } from 'node:module';

const module = (source) => `data:text/javascript,${encodeURIComponent(source)}`;
const withGlobSync = module(`
  export * from 'node:fs';
  export const globSync = () => { throw new Error('fs.globSync needs Node.js 22'); };`);

if (!('globSync' in fs)) {
  register(
    module(`
      export const resolve = (name, context, next) =>
        name === 'fs' && context.parentURL.includes('/@modelcontextprotocol/conformance/')
          ? { url: ${JSON.stringify(withGlobSync)}, shortCircuit: true }
          : next(name, context);`),
  );
}
