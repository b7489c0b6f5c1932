//! Envoy's foreign function `verify_signature`, as the core's [`HostCrypto`].
//!
//! Argument and result are protocol buffers (`source/extensions/common/wasm/ext/verify_signature.proto` in Envoy); the few
//! fields are written and read by hand.

use mcp_oauth::{
    acceleration::{HostAnswer, HostCrypto},
    jws::Algorithm,
};

use crate::host;

/// The proxy, if it has the function.
#[derive(Debug)]
pub(crate) struct VerifySignature;

const HASH_FUNCTION: u8 = 1;
const PUBLIC_KEY: u8 = 2;
const SIGNATURE: u8 = 3;
const TEXT: u8 = 4;

/// Field 1, a boolean: true.
const RESULT_TRUE: &[u8] = &[0x08, 0x01];

/// Field 2, the error. False is not written in proto3, so a refused signature is only told by this.
const ERROR: u8 = 0x12;

/// What BoringSSL's refusal of a signature is called; any other error is about the key or the call.
const REFUSED: &[u8] = b"Failed to verify digest";

impl HostCrypto for VerifySignature {
    fn verify(&mut self, algorithm: Algorithm, key: &[u8], text: &[u8], signature: &[u8]) -> HostAnswer {
        let hash: &[u8] = match algorithm {
            Algorithm::Rs256 | Algorithm::Es256 => b"sha256",
            Algorithm::Rs384 | Algorithm::Es384 => b"sha384",
            Algorithm::Rs512 => b"sha512",
            Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => return HostAnswer::Unknown,
        };
        let fields = [(HASH_FUNCTION, hash), (PUBLIC_KEY, key), (SIGNATURE, signature), (TEXT, text)];
        let size: usize = fields.iter().map(|(_, value)| value.len().saturating_add(6)).sum();
        let mut argument = Vec::with_capacity(size);
        for (number, value) in fields {
            field(&mut argument, number, value);
        }
        match host::call_foreign_function("verify_signature", &argument) {
            Ok(result) if result == RESULT_TRUE => HostAnswer::Good,
            Ok(result) if is_refusal(&result) => HostAnswer::Bad,
            Ok(_) | Err(_) => HostAnswer::Unknown,
        }
    }
}

/// A length-delimited field.
fn field(message: &mut Vec<u8>, number: u8, value: &[u8]) {
    message.push((number << 3) | 2);
    let mut len = value.len();
    while len >= 0x80 {
        message.push(len.to_le_bytes()[0] | 0x80);
        len >>= 7;
    }
    message.push(len.to_le_bytes()[0]);
    message.extend_from_slice(value);
}

fn is_refusal(result: &[u8]) -> bool {
    match result {
        [ERROR, len, text @ ..] => usize::from(*len) == text.len() && text.starts_with(REFUSED),
        _ => false,
    }
}
