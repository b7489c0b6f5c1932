// Promise: behind the filter an MCP server behaves as it does alone. The official conformance suite says the same of both,
// check by check, verdict and observation, except where the filter answers by itself.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runConformance } from '../../testbed/conformance.mjs';
import { connectionManagerOf } from '../../testbed/envoy.mjs';
import { header } from '../../testbed/record.mjs';
import { differences, injectToken, summary } from './support/conformance.mjs';
import { withRules } from './support/rules.mjs';
import { useStack } from './support/stack.mjs';

/** What of the pinned suite ran and passed when this was written, without the filter. */
const ERAS = { '2025-11-25': { passed: 33, checks: 84 }, '2026-07-28': { passed: 40, checks: 164 } };
const BOTH = Object.keys(ERAS);
const MODERN = ['2026-07-28'];

/** All that may differ. An entry that differs no longer must go. */
const DIFFERENCES = [
  {
    eras: BOTH,
    scenario: 'dns-rebinding-protection',
    checks: ['DNSRebindingRejected'],
    differs: 'observation',
    reason: 'a foreign Host is no resource of the filter: it answers 404 before the server would answer 403',
  },
  {
    eras: MODERN,
    scenario: 'http-header-validation',
    checks: [
      'MismatchedMethodHeader',
      'MissingMethodHeader',
      'MismatchedNameHeader',
      'MissingNameHeader',
      'CaseMismatchValue',
    ].flatMap((what) => [`ServerRejects${what}`, `ServerRejects${what}ErrorCode`]),
    differs: 'observation',
    reason: 'the filter compares headers with body too: its answer has the same status and code, but another text',
  },
  {
    eras: MODERN,
    scenario: 'server-stateless',
    checks: ['HttpServerHeaderMismatch400'],
    differs: 'observation',
    reason: 'the same, for the protocol version',
  },
];

const RULES = { rules: [{ methods: ['*'] }], default: 'deny' };
const CONFIGURATIONS = {
  'every body is read': { hold: 'headers', settings: RULES },
  'and lists are filtered, sessions sealed, heads sent ahead': {
    hold: 'body',
    settings: { ...RULES, filter_lists: true, sessions: { key_variable: 'SESSION_KEY' } },
  },
};
const SESSION_KEY = Buffer.alloc(32, 7).toString('base64url');

const stacks = {};
for (const [name, { hold, settings }] of Object.entries(CONFIGURATIONS)) {
  const edit = withRules(hold, settings, (bootstrap, plugin, directory) => {
    const { vm_config } = connectionManagerOf(bootstrap).http_filters[0].typed_config.config;
    vm_config.environment_variables = { key_values: { SESSION_KEY } };
    injectToken(bootstrap, plugin, directory);
  });
  stacks[name] = await useStack({ kind: 'conformance', edit });
}

const shown = ({ scenario, check, differs, direct, filtered }) =>
  `${scenario}, ${check}: another ${differs}\n  direct:   ${direct}\n  filtered: ${filtered}`;
const keyOf = ({ scenario, check, differs }) => `${scenario}, ${check}: another ${differs}`;

for (const [era, minimum] of Object.entries(ERAS)) {
  describe(`the suite for ${era}`, () => {
    let direct;

    it('directly: it runs, and the server passes all but the tasks extension, which the SDK does not have', async () => {
      const [{ directory, ports }] = Object.values(stacks);
      const url = `http://127.0.0.1:${ports.mcpServer}/mcp`;
      const results = await runConformance({ url, era, directory: join(directory, `conformance-${era}-direct`) });
      const { passed, failed, checks } = summary(results);
      assert.deepEqual(
        failed.filter((scenario) => !scenario.startsWith('tasks-')),
        [],
      );
      assert.ok(passed >= minimum.passed, `only ${passed} scenarios passed`);
      assert.ok(checks >= minimum.checks, `only ${checks} checks passed`);
      direct = results;
    });

    for (const [name, stack] of Object.entries(stacks)) {
      it(`through the filter: the same (${name})`, async () => {
        assert.ok(direct, 'there is a direct run to compare with');
        const before = stack.mcpServer.requests().length;
        const filtered = await runConformance({
          url: stack.url,
          era,
          directory: join(stack.directory, `conformance-${era}`),
        });
        const found = differences(direct, filtered);
        const listed = DIFFERENCES.filter(({ eras }) => eras.includes(era)).flatMap(({ scenario, checks, differs }) =>
          checks.map((check) => keyOf({ scenario, check, differs })),
        );
        const unexpected = found.filter((difference) => !listed.includes(keyOf(difference)));
        assert.equal(unexpected.map(shown).join('\n'), '', 'differences that are not listed');
        const stale = listed.filter((key) => !found.some((difference) => keyOf(difference) === key));
        assert.deepEqual(stale, [], 'listed differences that are none');

        const arrived = stack.mcpServer.requests().slice(before);
        assert.ok(arrived.length > minimum.passed, `only ${arrived.length} requests arrived`);
        for (const request of arrived) {
          assert.equal(header(request, 'x-mcp-subject'), 'alice', 'it came through the filter');
          assert.equal(header(request, 'authorization'), undefined);
        }
        assert.doesNotMatch(stack.envoy.output, /proxy_on_|wasm trap|Unreachable|panic/, 'the module trapped');
      });
    }
  });
}
