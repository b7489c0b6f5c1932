# Everything here sets up what it needs by itself; it asks for Rust (rustup), Python 3 and Node.js 20 or newer.
MODULE := target/mcp_resource_server.wasm
say = @printf '\n== %s\n'

help: ## show this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{ printf "  make %-16s %s\n", $$1, $$2 }'

demo: build ## run the whole way once: a client logs in and calls a tool through Envoy and the filter
	@node demo/demo.mjs

up: build ## start authorization server, MCP server and Envoy, and leave them running until Ctrl-C
	@node demo/up.mjs || [ $$? = 130 ] # Ctrl-C is how it is meant to end

build: setup ## build the filter, a WebAssembly module, and say where it is
	$(say) 'The filter'
	@tools/build

setup: ## install the wasm target, wasm-opt, Envoy and the npm packages, where they are missing
	$(say) 'Set-up'
	@tools/setup

cli: ## build the command-line tool, target/release/mcp-oauth
	$(say) 'The command-line tool'
	@cargo build --locked --release -p mcp-oauth-cli

image: build ## pack the built module as an OCI image in target/image, with checksum and SBOM beside it
	$(say) 'The image'
	@node tools/release/image.mjs

push: push-where image ## push the image to a registry: REF=host/repository:tag
	$(say) 'Push'
	@node tools/release/push.mjs

push-where: # a REF that cannot be is told before anything is built
	@node tools/release/push.mjs --check

release-notes: ## print a section of the changelog for a release page: VERSION=0.1.0, or what is unreleased
	@node tools/release/notes.mjs

test: lint test-core test-core-wasm test-wasm-host test-cli test-e2e test-release size ## all that CI runs: lint, the tests below to test-release, size
	$(say) 'All passed'

lint: ## formatting, clippy for both targets, documentation
	$(say) 'Set-up'
	@tools/setup lint
	$(say) 'Formatting'
	@cargo fmt --all --check
	$(say) 'Clippy, native'
	@cargo clippy --locked --workspace --exclude mcp-resource-server --all-targets -- -D warnings
	$(say) 'Clippy, wasm32-wasip1'
	@cargo clippy --locked --target wasm32-wasip1 -p mcp-oauth -p mcp-resource-server -- -D warnings
	$(say) 'Documentation'
	@RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps -p mcp-oauth
	@RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps --target wasm32-wasip1 --document-private-items -p mcp-resource-server

test-core: setup ## the core's tests, native
	$(say) 'Core tests, native'
	@cargo test --locked

test-core-wasm: setup ## the same tests compiled to WebAssembly: 32-bit sizes, other crypto code
	$(say) 'Core tests, wasm32-wasip1'
	@cargo test --locked --target wasm32-wasip1

test-wasm-host: build ## the built module in an in-process host that imitates Envoy's rules
	$(say) 'The module in an in-process host'
	@cargo test --locked -p wasm-host-tests

test-cli: setup ## the command-line tool, and that its explanations are the core's
	$(say) 'The command-line tool'
	@cargo test --locked -p mcp-oauth -p mcp-oauth-cli --test core --test tool -- --skip properties --skip wycheproof --skip acceleration
	@node --test cli/tests/schema.mjs

test-e2e: build ## real Envoy, authorization server, MCP servers and clients
	$(say) 'End to end'
	@tools/e2e

test-release: build ## the image, its SBOM, the push to a stub, the release notes
	$(say) 'The release'
	@node --test --test-reporter=spec --test-timeout=120000 tests/release/*.test.mjs

test-image: setup ## build and pack in two folders, and compare (about four minutes; not in `make test`)
	$(say) 'One image from two folders'
	@node --test --test-reporter=spec tests/release/long/two-folders.mjs

test-push: image ## push to a real registry and pull back (needs apt-get and dpkg; not in `make test`)
	$(say) 'A real registry'
	@node --test --test-reporter=spec --test-timeout=120000 tests/release/long/real-registry.mjs

e2e-matrix: build ## the same with Envoy 1.36 to 1.40, written to docs/compatibility.md (E2E_FILES=..., E2E_VERSIONS=... for a part)
	$(say) 'End to end, with each version of Envoy'
	@node testbed/matrix.mjs

faults: build ## traffic while all around Envoy fails, written to docs/hardening.md (about five minutes; FAULTS_SECONDS=... per phase)
	$(say) 'Faults'
	@node tests/faults/faults.mjs

bench: build ## what a request costs, beside Envoy's own filter in the same Envoy (about five minutes)
	$(say) 'Benchmark in Envoy'
	@node benches/envoy/bench.mjs --plot

bench-core: setup ## what the core's steps cost, natively
	$(say) 'Benchmark of the core'
	@cargo bench --locked

fuzz: ## fuzz one target for a minute (TARGET=... SECONDS=...; docs/hardening.md lists them)
	$(say) 'Fuzzing'
	@tools/fuzz $(or $(TARGET),message) $(or $(SECONDS),60)

fuzz-smoke: ## fuzz each target for 10 s (SECONDS=...) and stop at the first failure
	$(say) 'Fuzzing, each target'
	@tools/fuzz smoke $(or $(SECONDS),10)

mutants: ## change the core in one place at a time and see whether a test notices (MUTANTS_MINUTES=60 MUTANTS_FILES=...)
	$(say) 'Mutants of the core'
	@tools/mutants

deny: ## licenses, bans and sources of all dependencies
	$(say) 'Dependencies'
	@tools/deny

size: build ## print the module's size and check its limit
	$(say) 'Size'
	@tools/size

clean: ## remove all that the other targets made
	rm -rf target testbed/.venv testbed/node_modules tools/node_modules

.NOTPARALLEL:
.PHONY: help demo up build setup cli test-cli image push push-where release-notes test lint test-core test-core-wasm test-wasm-host test-e2e e2e-matrix test-release test-image test-push faults bench bench-core fuzz fuzz-smoke mutants deny size clean
