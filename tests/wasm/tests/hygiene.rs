//! What the module asks of a host, what it offers, and what it gives away.

use std::collections::BTreeSet;
use wasm_host_tests::{HOST_FUNCTIONS, Key, Vm, built, inline_config};

const EXPORTS: [&str; 16] = [
    "memory",
    "proxy_abi_version_0_2_1",
    "proxy_on_memory_allocate",
    "_initialize",
    "proxy_on_vm_start",
    "proxy_on_configure",
    "proxy_on_context_create",
    "proxy_on_tick",
    "proxy_on_http_call_response",
    "proxy_on_request_headers",
    "proxy_on_request_body",
    "proxy_on_request_trailers",
    "proxy_on_response_headers",
    "proxy_on_response_body",
    "proxy_on_response_trailers",
    "proxy_on_delete",
];

/// What Rust's standard library needs, and every proxy has.
const WASI: [&str; 6] = ["environ_get", "environ_sizes_get", "fd_write", "proc_exit", "random_get", "clock_time_get"];

#[test]
fn it_imports_nothing_but_what_was_agreed() {
    for import in built().module.imports() {
        let agreed: &[&str] = match import.module() {
            "env" => &HOST_FUNCTIONS,
            "wasi_snapshot_preview1" => &WASI,
            _ => &[],
        };
        assert!(agreed.contains(&import.name()), "{}.{}", import.module(), import.name());
    }
}

#[test]
fn it_exports_exactly_what_was_agreed() {
    let exports: BTreeSet<String> = built().module.exports().map(|export| export.name().to_owned()).collect();
    assert_eq!(exports, EXPORTS.iter().map(|name| (*name).to_owned()).collect());
}

#[test]
fn it_tells_nothing_of_the_machine_that_built_it() {
    let bytes = &built().bytes;
    for path in ["/home/", "/root/", "/Users/", env!("CARGO_MANIFEST_DIR").trim_end_matches("/tests/wasm")] {
        let found = bytes.windows(path.len()).position(|part| part == path.as_bytes());
        let shown = found.map(|at| bytes[at..bytes.len().min(at + 80)].escape_ascii().to_string());
        assert_eq!(shown, None, "{path} in {}", built().path.display());
    }
}

#[test]
fn it_refuses_memory_that_it_does_not_have_instead_of_trapping() {
    let mut vm = Vm::start(inline_config(&[Key::GOOD]).to_string());
    for size in [0, u32::MAX, u32::MAX - 15, 1 << 31, (1 << 31) - 1] {
        let pointer = vm.allocate(size);
        assert!(pointer == 0 || size < 1 << 31, "{size} bytes at {pointer:#x}");
    }
    assert_ne!(vm.allocate(1 << 20), 0);
}
