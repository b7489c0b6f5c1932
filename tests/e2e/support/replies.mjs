// What the filter's own answers must look like.
import assert from 'node:assert/strict';

const EXPOSED = 'WWW-Authenticate, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, DPoP-Nonce';

/** A refusal of the filter: JSON with this `error`, never cached, readable for browsers, with exactly this challenge. */
export function assertRefusal(answer, { status, error, challenge, description }) {
  assert.equal(answer.status, status, `status; the body was ${answer.body}`);
  assert.equal(answer.header('content-type'), 'application/json');
  assert.equal(answer.header('cache-control'), 'no-store');
  assert.equal(answer.header('access-control-allow-origin'), '*');
  assert.equal(answer.header('access-control-expose-headers'), EXPOSED);
  assert.deepEqual(Object.keys(answer.json), ['error', 'error_description']);
  assert.equal(answer.json.error, error);
  const told = answer.json.error_description;
  if (description) assert.equal(told, description);
  // clients search the challenge with regular expressions: the description must not look like a parameter
  assert.match(told, /^[ !#-[\]-~]+$/);
  assert.doesNotMatch(told, /scope=|error=|resource_metadata=/);
  assert.equal(answer.header('www-authenticate'), challenge?.(told), 'www-authenticate');
}

/** The challenges of a resource, as functions of the description. */
export const challenges = (origin, path = '/mcp', scope = 'mcp:read') => {
  const metadata = `resource_metadata="${origin}/.well-known/oauth-protected-resource${path}"`;
  const needed = scope ? `, scope="${scope}"` : '';
  return {
    missing: () => `Bearer ${metadata}${needed}`,
    invalidToken: (told) => `Bearer error="invalid_token", error_description="${told}", ${metadata}${needed}`,
    invalidRequest: (told) => `Bearer error="invalid_request", error_description="${told}", ${metadata}`,
    insufficientScope: (told) => `Bearer error="insufficient_scope"${needed}, ${metadata}, error_description="${told}"`,
  };
};
