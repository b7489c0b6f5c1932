//! Request bodies: no panic, and no other reading than `serde_json` has. The tests compare in the same way.

#![no_main]

#[path = "../tests/core/messages/oracle.rs"]
mod oracle;

libfuzzer_sys::fuzz_target!(|body: &[u8]| {
    for batches in [false, true] {
        if let Err(reason) = oracle::compare(body, batches) {
            panic!("{reason}\n{}", body.escape_ascii());
        }
    }
});
