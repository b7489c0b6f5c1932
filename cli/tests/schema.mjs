// The JSON Schema, asked by ajv, the validator behind many editors: it takes what the filter takes, and no unknown key.
import { test } from "node:test";
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { createRequire } from "node:module";

const root = new URL("../../", import.meta.url);
const read = (name) => readFileSync(new URL(name, root), "utf8");
const require = createRequire(new URL("testbed/package.json", root));
const Ajv = require("ajv/dist/2020.js").default;
const schema = JSON.parse(read("cli/src/schema.json"));
const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema);
const accepts = (document) => validate(document) || assert.fail(JSON.stringify(validate.errors, null, 1));
const full = () => JSON.parse(read("README.md").split("```json\n")[1].split("```")[0]);

test("README's full configuration and the examples are accepted", () => {
  accepts(full());
  for (const name of readdirSync(new URL("examples/", root)).filter((name) => name.endsWith(".json"))) {
    accepts(JSON.parse(read(`examples/${name}`)));
  }
});

test("an unknown key is refused wherever an object can be", () => {
  let places = 0;
  const visit = (document, node, path) => {
    if (node === null || typeof node !== "object") return;
    if (!Array.isArray(node) && !/jwks|implies|request_as/.test(path)) {
      node.unknown_key = 1;
      assert.equal(validate(document), false, path);
      delete node.unknown_key;
      places += 1;
    }
    for (const [name, child] of Object.entries(node)) visit(document, child, `${path}.${name}`);
  };
  const document = full();
  visit(document, document, "");
  assert.ok(places > 20, `${places}`);
  accepts(document);
});

test("what the filter refuses by its form, the schema refuses", () => {
  const cases = [
    (c) => delete c.resources,
    (c) => delete c.authorization_servers[0].issuer,
    (c) => (c.authorization_servers = []),
    (c) => (c.authorization_servers[0].clock_skew = "1y"),
    (c) => (c.authorization_servers[0].clock_skew = 30),
    (c) => (c.authorization_servers[0].issuer = "http://idp.example.com"),
    (c) => (c.authorization_servers[0].algorithms = ["HS256"]),
    (c) => (c.resources[0].resource = "https://mcp.example.com/mcp#x"),
    (c) => (c.resources[0].default = "maybe"),
    (c) => (c.unmatched = "allow"),
    (c) => (c.resources[0].static_tokens = [{ name: "a", sha256: "x", scopes: [], expires: "never" }]),
    (c) => (c.resources[0].upstream_credential = { header: { name: "x", value_variable: "X" }, identity_jwt: {} }),
  ];
  for (const [index, change] of cases.entries()) {
    const document = full();
    change(document);
    assert.equal(validate(document), false, `case ${index}`);
  }
});
