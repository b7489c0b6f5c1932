//! What RSA and ECDSA signatures may look like: RFC 7518 sections 3.3 to 3.5.

use mcp_oauth::{jws::Algorithm, refusal::Refusal, signature::BadSignature, token::TokenError};

use crate::support::{Row, accepted, check, check_tokens, claims};

use super::{
    bad_signature, config, good, header, part, pinned, public_key, replaced,
    signers::{RSA_N, decode, encode, from_hex, pss, sign},
};

/// RFC 7518 section 3.5: the salt is as long as the hash.
#[test]
fn the_salt_of_pss_is_as_long_as_the_hash() {
    for (name, hash) in [("PS256", 32), ("PS384", 48), ("PS512", 64)] {
        let input = format!("{}.{}", encode(header(name).to_string()), encode(claims().to_string()));
        let token = |salt: usize| format!("{input}.{}", encode(pss(name, salt, input.as_bytes())));
        // 256 bytes of the modulus, less the hash, less two (RFC 8017 section 9.1.1).
        let longest = 254 - hash;
        let mut rows = vec![accepted(format!("{name}, RFC 7518 3.5: {hash}"), token(hash))];
        for salt in [0, 1, 20, 32, 48, 64, hash - 1, hash + 1, longest].into_iter().filter(|salt| *salt != hash) {
            rows.push(bad_signature(format!("{name}, RFC 7518 3.5: {salt}"), token(salt)));
        }
        check_tokens(&config(&[pinned(name, 1)]), rows);
    }
}

/// RFC 8017 section 8.2.2 step 1, and 8.1.2 step 1: the signature is as long as the modulus, leading zeros included.
#[test]
fn leading_zeros_of_an_rsa_signature_count() {
    // These texts, found by trying, have signatures that happen to start with a zero.
    for (name, text) in [("RS256", "171"), ("PS256", "130")] {
        let signature = sign(name, 1, text.as_bytes());
        assert_eq!(signature[0], 0, "{name}: the case that is meant");
        let rows = vec![
            accepted(format!("{name}, RFC 8017 4.1: with its zero"), signature.clone()),
            bad_signature(format!("{name}, RFC 8017 8.2.2: without its zero"), signature[1..].to_vec()),
            bad_signature(format!("{name}, RFC 8017 8.2.2: with one more"), [&[0], &signature[..]].concat()),
            bad_signature(format!("{name}, RFC 8017 8.2.2: with eight more"), [&[0; 8], &signature[..]].concat()),
            bad_signature(format!("{name}, RFC 8017 5.2.2: plus the modulus"), plus(&signature, &decode(RSA_N))),
        ];
        check(rows, |signature| {
            let algorithm = Algorithm::parse(name).expect("a name");
            let verified = public_key(name).verify(algorithm, text.as_bytes(), signature);
            verified.map_err(|BadSignature| Refusal::Token(TokenError::Signature))
        });
    }
}

/// The sum of two numbers of the same length that does not grow longer.
fn plus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let digit = u16::from(*a) + u16::from(*b) + carry;
            carry = digit >> 8;
            digit.to_be_bytes()[1]
        })
        .collect();
    assert_eq!(carry, 0, "a sum of the same length");
    sum.reverse();
    sum
}

/// The order of each curve (SEC 2 sections 2.4.2 and 2.5.1).
const ORDER_P256: &str = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551";
const ORDER_P384: &str =
    concat!("ffffffffffffffffffffffffffffffffffffffffffffffff", "c7634d81f4372ddf581a0db248b0a77aecec196accc52973");

/// RFC 7518 section 3.4: R and S, each as long as the order, and nothing else. SEC 1 section 4.1.4 step 1: both within
/// the order, and neither zero.
#[test]
fn an_ecdsa_signature_is_two_numbers_of_fixed_length() {
    for (name, order) in [("ES256", ORDER_P256), ("ES384", ORDER_P384)] {
        let good = good(name);
        let signature = part(&good, 2);
        let (r, s) = signature.split_at(signature.len() / 2);
        let order = from_hex(order);
        let (zero, one) = (vec![0; r.len()], [&vec![0; r.len() - 1][..], &[1]].concat());
        let bad = |what: &str, r: &[u8], s: &[u8]| -> Row<String> {
            bad_signature(format!("{name}: {what}"), replaced(&good, 2, [r, s].concat()))
        };
        check_tokens(
            &config(&[pinned(name, 1)]),
            vec![
                accepted(format!("{name}, RFC 7518 3.4: R and S"), replaced(&good, 2, [r, s].concat())),
                // A second signature of the same text gives nobody a right, and JWS does not forbid it.
                accepted(
                    format!("{name}, RFC 7518 3.4: R and the other S"),
                    replaced(&good, 2, [r, &minus(&order, s)].concat()),
                ),
                bad_signature(format!("{name}, RFC 7518 3.4: DER"), replaced(&good, 2, der(r, s))),
                bad("RFC 7518 3.4: S and R", s, r),
                bad("SEC 1 4.1.4: R is 0", &zero, s),
                bad("SEC 1 4.1.4: S is 0", r, &zero),
                bad("SEC 1 4.1.4: both are 0 (CVE-2022-21449)", &zero, &zero),
                bad("SEC 1 4.1.4: R is 1", &one, s),
                bad("SEC 1 4.1.4: S is 1", r, &one),
                bad("SEC 1 4.1.4: both are 1", &one, &one),
                bad("SEC 1 4.1.4: R is the order", &order, s),
                bad("SEC 1 4.1.4: S is the order", r, &order),
                bad("SEC 1 4.1.4: both are the order", &order, &order),
                bad("SEC 1 4.1.4: R is 0, S the order", &zero, &order),
                bad("SEC 1 4.1.4: more than the order", &vec![0xff; r.len()], s),
                bad("RFC 7518 3.4: R alone", r, b""),
                bad("RFC 7518 3.4: each a zero longer", &[&[0], r].concat(), &[&[0], s].concat()),
                bad("RFC 7518 3.4: each a byte shorter", &r[1..], &s[1..]),
            ],
        );
    }
}

/// The difference of two numbers of the same length.
fn minus(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut borrow = false;
    let mut difference: Vec<u8> = a
        .iter()
        .zip(b)
        .rev()
        .map(|(a, b)| {
            let (digit, first) = a.overflowing_sub(*b);
            let (digit, second) = digit.overflowing_sub(u8::from(borrow));
            borrow = first || second;
            digit
        })
        .collect();
    assert!(!borrow, "the second is the smaller one");
    difference.reverse();
    difference
}

/// `SEQUENCE { INTEGER r, INTEGER s }` (RFC 3279 section 2.2.3), what most libraries make if they are not stopped.
fn der(r: &[u8], s: &[u8]) -> Vec<u8> {
    let integer = |number: &[u8]| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let sign = if number[zeros] & 0x80 == 0 { &[][..] } else { &[0] };
        let content = [sign, &number[zeros..]].concat();
        [&[2, u8::try_from(content.len()).expect("short")], &content[..]].concat()
    };
    let content = [integer(r), integer(s)].concat();
    [&[0x30, u8::try_from(content.len()).expect("short")], &content[..]].concat()
}
