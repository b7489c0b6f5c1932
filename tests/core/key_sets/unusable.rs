//! A key that cannot or may not be used is left out, and the others are used (RFC 7517 section 5). A set without any is
//! refused, and so is what is no set.

use mcp_oauth::{
    json::JsonError,
    jwk::{KeySetError, MAX_KEYS},
    refusal::Refusal,
    token::TokenError,
};
use serde_json::{Value, json};

use crate::algorithms::signers::{self, OTHER_RSA_N, RSA_N, decode, encode, from_hex};
use crate::support::{
    ISSUER, claims, gate, good_token, header, holding, inline_config, jwk, jwks, outcome, present, sign, with,
};

use super::{counted, counts};

/// Whether a key is used: alone, beside a good one, before it and behind it.
fn is_used(key: &Value) -> bool {
    let used = match counted(std::slice::from_ref(key)) {
        Ok((1, 0)) => true,
        Err(KeySetError::NoneUsable(1)) => false,
        other => panic!("neither used nor left out: {other:?}"),
    };
    let beside = if used { (2, 0) } else { (1, 1) };
    assert_eq!(counted(&[key.clone(), jwk(1, "k1")]), Ok(beside), "before a good key: {key}");
    assert_eq!(counted(&[jwk(1, "k1"), key.clone()]), Ok(beside), "behind a good key: {key}");
    if !used {
        // A set with a bad key serves the tokens of the good one.
        let servers = json!([{ "issuer": ISSUER, "jwks": jwks(&[key.clone(), jwk(1, "k1")]) }]);
        let config = with(inline_config(), "authorization_servers", servers);
        assert_eq!(outcome(present(&mut gate(&config), &good_token())), Ok(()), "beside {key}");
    }
    used
}

/// Keys that must be used, and keys that must not, each with its reason.
#[track_caller]
fn check_keys(used: Vec<(&str, Value)>, left_out: Vec<(&str, Value)>) {
    assert!(!used.is_empty() && !left_out.is_empty(), "a table of one outcome shows nothing");
    let rows = used.into_iter().map(|row| (row, true)).chain(left_out.into_iter().map(|row| (row, false)));
    let wrong: Vec<String> = rows
        .filter(|((_, key), expected)| is_used(key) != *expected)
        .map(|((name, key), expected)| {
            let key: String = key.to_string().chars().take(200).collect();
            format!("{name}\n    expected: used = {expected}\n       found: the opposite, for {key}")
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn ec() -> Value {
    jwk(2, "k2")
}

fn p384() -> Value {
    with(signers::jwk("ES384", 2), "kid", json!("k2"))
}

fn ed25519() -> Value {
    with(signers::jwk("EdDSA", 2), "kid", json!("k2"))
}

fn rsa() -> Value {
    json!({ "kty": "RSA", "kid": "k2", "n": RSA_N, "e": "AQAB" })
}

#[test]
fn a_key_is_of_a_known_type() {
    check_keys(
        vec![("EC, P-256", ec()), ("EC, P-384", p384()), ("OKP, Ed25519", ed25519()), ("RSA", rsa())],
        vec![
            ("RFC 7517 4.1: no `kty`", with(ec(), "kty", Value::Null)),
            ("RFC 7517 4.1: `kty` is null", holding(ec(), "kty", Value::Null)),
            ("RFC 7517 4.1: `kty` is an array", with(ec(), "kty", json!(["EC"]))),
            ("RFC 7517 4.1: an unknown `kty`", with(ec(), "kty", json!("AKP"))),
            ("RFC 7517 4.1: `kty` in another case", with(ec(), "kty", json!("ec"))),
            ("RFC 7518 6.4: a symmetric key", json!({ "kty": "oct", "kid": "k2", "k": "c2VjcmV0" })),
            ("RFC 7518 6.4: a symmetric key for HS256", json!({ "kty": "oct", "alg": "HS256", "k": "c2VjcmV0" })),
            ("RFC 7518 6.2.1.1: no `crv`", with(ec(), "crv", Value::Null)),
            ("RFC 7518 6.2.1.1: P-521", with(ec(), "crv", json!("P-521"))),
            ("RFC 8812 3.1: secp256k1", with(ec(), "crv", json!("secp256k1"))),
            ("RFC 7518 6.2.1.1: `crv` in another case", with(ec(), "crv", json!("p-256"))),
            ("RFC 7518 6.2.1.1: the other curve", with(with(ec(), "alg", Value::Null), "crv", json!("P-384"))),
            ("RFC 8037 2: no `crv`", with(ed25519(), "crv", Value::Null)),
            ("RFC 8037 3.2: a key for key agreement", with(ed25519(), "crv", json!("X25519"))),
            ("RFC 8037 2: Ed448", with(ed25519(), "crv", json!("Ed448"))),
            ("RFC 8037 2: Ed25519 is no EC curve", with(ed25519(), "kty", json!("EC"))),
            ("RFC 8037 2: P-256 is no OKP curve", with(with(ec(), "alg", Value::Null), "kty", json!("OKP"))),
            ("RFC 7517 4: an empty object", json!({})),
            ("RFC 7517 5.1: a text", json!("EC")),
            ("RFC 7517 5.1: a null", Value::Null),
            ("RFC 7517 5.1: an array", json!([ec()])),
            ("RFC 7517 5.1: a set in the set", jwks(&[ec()])),
        ],
    );
}

#[test]
fn a_key_is_for_verifying() {
    let key = |member: &str, value: Value| holding(ec(), member, value);
    check_keys(
        vec![
            ("RFC 7517 4.2: `use` is sig", key("use", json!("sig"))),
            ("RFC 7517 4.2: no `use`", with(ec(), "use", Value::Null)),
            ("RFC 7517 4.3: `key_ops` has verify", key("key_ops", json!(["verify"]))),
            ("RFC 7517 4.3: `key_ops` has verify among others", key("key_ops", json!(["sign", "verify"]))),
            ("RFC 7517 4.4: `alg` that fits", key("alg", json!("ES256"))),
            ("RFC 7517 4.4: no `alg`", with(ec(), "alg", Value::Null)),
            ("RFC 7518 3.1: `alg` of RSA", with(rsa(), "alg", json!("PS512"))),
            ("RFC 8037 3.1: `alg` of Ed25519", with(ed25519(), "alg", json!("EdDSA"))),
            ("RFC 9864 2.2: its other name", with(ed25519(), "alg", json!("Ed25519"))),
            ("RFC 7517 4.5: no `kid`", with(ec(), "kid", Value::Null)),
            ("RFC 7517 4: members that are not known", key("x5c", json!(["MIIB"]))),
        ],
        vec![
            ("RFC 7517 4.2: `use` is enc", key("use", json!("enc"))),
            ("RFC 7517 4.2: `use` in another case", key("use", json!("SIG"))),
            ("RFC 7517 4.2: `use` is empty", key("use", json!(""))),
            ("RFC 7517 4.2: `use` is null", key("use", Value::Null)),
            ("RFC 7517 4.2: `use` is an array", key("use", json!(["sig"]))),
            ("RFC 7517 4.3: `key_ops` without verify", key("key_ops", json!(["sign", "encrypt"]))),
            ("RFC 7517 4.3: `key_ops` in another case", key("key_ops", json!(["Verify"]))),
            ("RFC 7517 4.3: `key_ops` is empty", key("key_ops", json!([]))),
            ("RFC 7517 4.3: `key_ops` is a text", key("key_ops", json!("verify"))),
            ("RFC 7517 4.3: `key_ops` is null", key("key_ops", Value::Null)),
            ("RFC 7517 4.3: `key_ops` says no, `use` says yes", key("key_ops", json!(["deriveKey"]))),
            ("RFC 7518 6.2.2.1: a private EC key", key("d", json!("jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI"))),
            ("RFC 7518 6.2.2.1: a private key that is null", key("d", Value::Null)),
            (
                "RFC 7518 6.3.2.1: a private RSA key",
                with(rsa(), "d", json!("Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50L")),
            ),
            (
                "RFC 8037 2: a private Ed25519 key",
                with(ed25519(), "d", json!("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")),
            ),
            ("RFC 7517 4.4: an unknown `alg`", key("alg", json!("ES256K"))),
            ("RFC 7517 4.4: `alg` in another case", key("alg", json!("es256"))),
            ("RFC 7517 4.4: `alg` none", key("alg", json!("none"))),
            ("RFC 7517 4.4: `alg` HS256", key("alg", json!("HS256"))),
            ("RFC 7517 4.4: `alg` of another curve", key("alg", json!("ES384"))),
            ("RFC 7517 4.4: `alg` of another type", key("alg", json!("RS256"))),
            ("RFC 7517 4.4: `alg` for encryption", with(rsa(), "alg", json!("RSA-OAEP-256"))),
            ("RFC 7517 4.4: `alg` of EC on RSA", with(rsa(), "alg", json!("ES256"))),
            ("RFC 7517 4.4: `alg` of EC on Ed25519", with(ed25519(), "alg", json!("ES256"))),
            ("RFC 7517 4.4: `alg` of Ed25519 on P-256", key("alg", json!("EdDSA"))),
            ("RFC 7517 4.4: `alg` is null", key("alg", Value::Null)),
            ("RFC 7517 4.4: `alg` is an array", key("alg", json!(["ES256"]))),
            ("RFC 7517 4.5: `kid` is a number", key("kid", json!(1))),
            ("RFC 7517 4.5: `kid` is null", key("kid", Value::Null)),
        ],
    );
}

/// RFC 7518 section 6.2.1: coordinates of the full length, of a point on the curve.
#[test]
fn an_ec_key_is_a_point_on_its_curve() {
    for (good, length) in [(ec(), 32), (p384(), 48)] {
        let coordinate = |member: &str| decode(good[member].as_str().expect("a text"));
        let (x, y) = (coordinate("x"), coordinate("y"));
        assert_eq!((x.len(), y.len()), (length, length));
        let with_x = |bytes: &[u8]| with(good.clone(), "x", json!(encode(bytes)));
        let with_y = |bytes: &[u8]| with(good.clone(), "y", json!(encode(bytes)));
        let mut next = y.clone();
        next[length - 1] ^= 1;
        let long = |bytes: &[u8]| [&[0], bytes].concat();
        let padded = format!("{}=", encode(&x));
        check_keys(
            vec![("RFC 7518 6.2.1.2: a point", good.clone())],
            vec![
                ("RFC 7518 6.2.1.2: no `x`", with(good.clone(), "x", Value::Null)),
                ("RFC 7518 6.2.1.3: no `y`", with(good.clone(), "y", Value::Null)),
                ("RFC 7518 6.2.1.2: `x` is a number", with(good.clone(), "x", json!(1))),
                ("RFC 7518 6.2.1.2: `x` is padded", with(good.clone(), "x", json!(padded))),
                ("RFC 7518 6.2.1.2: `x` is empty", with_x(b"")),
                ("RFC 7518 6.2.1.2: `x` is a byte shorter", with_x(&x[1..])),
                ("RFC 7518 6.2.1.2: `x` is a zero longer", with_x(&long(&x))),
                ("RFC 7518 6.2.1.3: `y` is a byte shorter", with_y(&y[1..])),
                ("RFC 7518 6.2.1.3: `y` is a zero longer", with_y(&long(&y))),
                ("SEC 1 3.2.2.1: not on the curve", with_y(&next)),
                ("SEC 1 3.2.2.1: exchanged", with(with_x(&y), "y", json!(encode(&x)))),
                ("SEC 1 3.2.2.1: zeros", with(with_x(&vec![0; length]), "y", json!(encode(vec![0; length])))),
                ("SEC 1 3.2.2.1: `x` is not of the field", with_x(&vec![0xff; length])),
                ("SEC 1 3.2.2.1: `y` is not of the field", with_y(&vec![0xff; length])),
                ("SEC 1 2.3.4: a whole point in `x`", with(with_x(&[&[4], &x[..], &y].concat()), "y", json!(""))),
            ],
        );
    }
}

/// RFC 8032 section 5.1.3, and no point of small order: with such a key, one signature fits many texts.
#[test]
fn an_ed25519_key_is_a_point_of_large_order() {
    let good = ed25519();
    let with_x = |bytes: &[u8]| with(good.clone(), "x", json!(encode(bytes)));
    let bytes = decode(good["x"].as_str().expect("a text"));
    // A y coordinate, least byte first, and the sign of x.
    let point = |first: u8, middle: u8, last: u8| [&[first], &[middle; 30][..], &[last]].concat();
    let order_8 = [
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    ]
    .map(|hex| with_x(&from_hex(hex)));
    let mut left_out = vec![
        ("RFC 8037 2: no `x`", with(good.clone(), "x", Value::Null)),
        ("RFC 8037 2: `x` is empty", with_x(b"")),
        ("RFC 8037 2: `x` is a byte shorter", with_x(&bytes[1..])),
        ("RFC 8037 2: `x` is a byte longer", with_x(&[&bytes[..], &[0]].concat())),
        ("RFC 8032 5.1.3: not on the curve", with_x(&point(2, 0, 0))),
        ("small order: 1", with_x(&point(1, 0, 0))),
        ("small order: 1, with the sign of a zero", with_x(&point(1, 0, 0x80))),
        ("small order: 2", with_x(&point(0xec, 0xff, 0x7f))),
        ("small order: 2, with the sign of a zero", with_x(&point(0xec, 0xff, 0xff))),
        ("small order: 4", with_x(&point(0, 0, 0))),
        ("small order: 4, the other", with_x(&point(0, 0, 0x80))),
        ("small order: 4, not reduced", with_x(&point(0xed, 0xff, 0x7f))),
        ("small order: 4, the other, not reduced", with_x(&point(0xed, 0xff, 0xff))),
        ("small order: 1, not reduced", with_x(&point(0xee, 0xff, 0x7f))),
        ("small order: 1, not reduced, with a sign", with_x(&point(0xee, 0xff, 0xff))),
    ];
    left_out.extend(order_8.map(|key| ("small order: 8", key)));
    check_keys(vec![("RFC 8037 2: a point", good.clone())], left_out);
}

/// RFC 7518 section 6.3.1. Whether the modulus is the product of two primes cannot be seen.
#[test]
fn an_rsa_key_is_neither_weak_nor_huge() {
    let key = |n: &[u8], e: &[u8]| with(with(rsa(), "n", json!(encode(n))), "e", json!(encode(e)));
    let n = decode(RSA_N);
    let e = [1, 0, 1];
    // An odd number of exactly this many bits.
    let odd = |bits: usize| {
        let mut bytes = vec![0xff; bits.div_ceil(8)];
        bytes[0] >>= (8 - bits % 8) % 8;
        bytes
    };
    let mut even = n.clone();
    even[255] &= 0xfe;
    check_keys(
        vec![
            ("RFC 7518 3.3: 2048 bits", key(&n, &e)),
            ("RFC 7518 3.3: 2048 bits, another", key(&decode(OTHER_RSA_N), &e)),
            ("RFC 7518 3.3: 2048 bits of ones", key(&odd(2048), &e)),
            ("RFC 7518 3.3: 2049 bits", key(&odd(2049), &e)),
            ("RFC 7518 3.3: 4096 bits", key(&odd(4096), &e)),
            ("bounded: 8192 bits", key(&odd(8192), &e)),
            ("RFC 8017 3.1: e = 3", key(&n, &[3])),
            (
                "RFC 7518 6.3.1.1: a zero before the modulus, which some libraries write",
                key(&[&[0], &n[..]].concat(), &e),
            ),
            ("RFC 7518 6.3.1.2: a zero before the exponent", key(&n, &[0, 1, 0, 1])),
        ],
        vec![
            ("RFC 7518 6.3.1.1: no `n`", with(rsa(), "n", Value::Null)),
            ("RFC 7518 6.3.1.2: no `e`", with(rsa(), "e", Value::Null)),
            ("RFC 7518 6.3.1.2: `e` is a number", with(rsa(), "e", json!(65537))),
            ("RFC 7518 6.3.1.1: `n` is padded", with(rsa(), "n", json!(format!("{RSA_N}==")))),
            ("RFC 7518 6.3.1.1: `n` in the standard alphabet", with(rsa(), "n", json!(RSA_N.replace('-', "+")))),
            ("RFC 7518 6.3.1.1: `n` is empty", key(b"", &e)),
            ("RFC 7518 6.3.1.2: `e` is empty", key(&n, b"")),
            ("RFC 7518 6.3.1.1: both are empty", key(b"", b"")),
            ("RFC 7518 3.3: 512 bits", key(&odd(512), &e)),
            ("RFC 7518 3.3: 1024 bits", key(&odd(1024), &e)),
            ("RFC 7518 3.3: 2047 bits", key(&odd(2047), &e)),
            ("RFC 7518 3.3: 1024 bits, written as 2048", key(&[&[0; 128], &odd(1024)[..]].concat(), &e)),
            ("RFC 7518 3.3: zeros", key(&[0; 256], &e)),
            ("bounded: 8193 bits", key(&odd(8193), &e)),
            ("bounded: 16384 bits", key(&odd(16_384), &e)),
            ("bounded: a million bits", key(&odd(1 << 20), &e)),
            ("RFC 8017 3.1: an even modulus", key(&even, &e)),
            ("RFC 8017 3.1: e = 0", key(&n, &[0])),
            ("RFC 8017 3.1: e = 1, every text is its own signature", key(&n, &[1])),
            ("RFC 8017 3.1: e = 2", key(&n, &[2])),
            ("RFC 8017 3.1: e = 65536", key(&n, &[1, 0, 0])),
            ("RFC 8017 3.1: e is the modulus", key(&n, &n)),
            ("RFC 8017 3.1: e is greater than the modulus", key(&n, &odd(4096))),
            ("bounded: e of 2047 bits, slow to check with", key(&n, &odd(2047))),
            ("bounded: e of 64 bits", key(&n, &odd(64))),
        ],
    );
}

/// RFC 7518 section 2: a number is written with as few octets as it needs. One zero more is what section 6.3.1.1 warns of;
/// thousands of them make a small key cost what a huge one costs, and the limit on its length means nothing.
#[test]
fn zeros_before_a_modulus_do_not_get_around_its_limit() {
    let key = |zeros: usize| with(rsa(), "n", json!(encode([&vec![0; zeros], &decode(RSA_N)[..]].concat())));
    check_keys(
        vec![("RFC 7518 2: none", key(0)), ("RFC 7518 6.3.1.1: one", key(1))],
        vec![("bounded: as many as 8192 bits have", key(1024)), ("bounded: many more", key(4096))],
    );
}

/// RFC 7518 section 6.3.1.1 warns of the zero that some libraries write; the key must also work then.
#[test]
fn an_rsa_key_with_a_zero_before_it_verifies() {
    let n = [&[0], &decode(RSA_N)[..]].concat();
    let key = json!({ "kty": "RSA", "kid": "k1", "alg": "RS256", "n": encode(n), "e": "AQAB" });
    let servers = json!([{ "issuer": ISSUER, "jwks": jwks(&[key]) }]);
    let config = with(inline_config(), "authorization_servers", servers);
    let token = |name: &str| signers::token(name, 1, &with(header(), "alg", json!("RS256")), &claims());
    assert_eq!(outcome(present(&mut gate(&config), &token("RS256"))), Ok(()));
    assert_eq!(outcome(present(&mut gate(&config), &token("RS384"))), Err(Refusal::Token(TokenError::Signature)));
}

#[test]
fn a_set_without_a_usable_key_is_refused() {
    let enc = || with(ec(), "use", json!("enc"));
    assert_eq!(counted(&[ec(), enc()]), Ok((1, 1)), "RFC 7517 5: one is usable");
    assert_eq!(counted(&[]), Err(KeySetError::NoneUsable(0)), "RFC 7517 5.1: an empty array");
    assert_eq!(counted(&[enc()]), Err(KeySetError::NoneUsable(1)));
    assert_eq!(counted(&[enc(), json!({}), json!(1)]), Err(KeySetError::NoneUsable(3)));
    assert_eq!(counted(&vec![enc(); 500]), Err(KeySetError::NoneUsable(500)));
}

#[test]
fn what_is_no_set_is_refused() {
    let set = jwks(&[ec()]).to_string();
    let syntax = |line, column| KeySetError::Json(JsonError::Syntax { line, column });
    let duplicate = |column| KeySetError::Json(JsonError::Duplicate { line: 1, column });
    let not_an_object = || KeySetError::Json(JsonError::NotAnObject);
    let rows = vec![
        ("RFC 7517 5: a set", set.clone(), Ok((1, 0))),
        ("RFC 7517 5: with other members", set.replacen('{', r#"{"expires":1,"#, 1), Ok((1, 0))),
        ("RFC 8259 2: with white space", format!("\n {set}\r\n"), Ok((1, 0))),
        ("RFC 7517 5.1: no `keys`", r#"{"Keys":[]}"#.to_owned(), Err(KeySetError::NoKeys)),
        ("RFC 7517 5.1: `keys` is null", r#"{"keys":null}"#.to_owned(), Err(KeySetError::NoKeys)),
        ("RFC 7517 5.1: `keys` is an object", format!(r#"{{"keys":{}}}"#, ec()), Err(KeySetError::NoKeys)),
        ("RFC 7517 4: one key", ec().to_string(), Err(KeySetError::NoKeys)),
        ("RFC 6749 5.2: an error", r#"{"error":"invalid_request"}"#.to_owned(), Err(KeySetError::NoKeys)),
        ("RFC 7517 5.1: an array", format!("[{}]", ec()), Err(not_an_object())),
        ("RFC 7517 5.1: a text", "\"keys\"".to_owned(), Err(not_an_object())),
        ("RFC 7517 5.1: null", "null".to_owned(), Err(not_an_object())),
        ("RFC 8259 2: nothing", String::new(), Err(syntax(1, 1))),
        ("RFC 8259 2: HTML", "<!doctype html><title>Sign in</title>".to_owned(), Err(syntax(1, 1))),
        ("RFC 8259 2: HTML behind a line", "\n<html>".to_owned(), Err(syntax(2, 1))),
        ("RFC 8259 2: a PEM", "-----BEGIN PUBLIC KEY-----".to_owned(), Err(syntax(1, 2))),
        ("RFC 8259 8.1: a byte order mark", format!("\u{feff}{set}"), Err(syntax(1, 1))),
        ("RFC 8259 2: cut off", set[..set.len() - 1].to_owned(), Err(syntax(1, set.len()))),
        ("RFC 8259 2: two sets", format!("{set}{set}"), Err(syntax(1, set.len() + 1))),
        ("RFC 7517 5: `keys` twice", set.replacen('{', r#"{"keys":[],"#, 1), Err(duplicate(12))),
        (
            "RFC 7517 4: a member twice",
            set.replacen(r#""kty""#, r#""kty":"EC","kty""#, 1),
            Err(duplicate(set.find(r#""kty""#).expect("a key") + r#""kty":"EC","#.len() + 1)),
        ),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(name, document, expected)| {
            let found = counts(document.as_bytes());
            (found != *expected).then(|| format!("{name}\n    expected: {expected:?}\n       found: {found:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let latin_1 = [&set.as_bytes()[..set.len() - 1], b",\"x\":\"\xeb\"}"].concat();
    let column = set.len() + ",\"x\":\"".len();
    assert_eq!(counts(&latin_1), Err(syntax(1, column)), "RFC 8259 8.1: Latin-1");
}

/// More keys than anybody needs would make every selection slow.
#[test]
fn a_set_has_a_greatest_size() {
    assert_eq!(MAX_KEYS, 100);
    // Different coordinates are not needed: only the `kid` tells them apart here.
    let keys = |count: usize| (0..count).map(|id| jwk(1, &format!("k{id}"))).collect::<Vec<Value>>();
    assert_eq!(counted(&keys(99)), Ok((99, 0)));
    assert_eq!(counted(&keys(100)), Ok((100, 0)));
    assert_eq!(counted(&keys(101)), Ok((100, 1)));
    assert_eq!(counted(&keys(250)), Ok((100, 150)));
    // Keys that cannot be used take nobody's place.
    let unusable = vec![json!({ "kty": "oct", "k": "" }); 150];
    assert_eq!(counted(&[unusable, keys(100)].concat()), Ok((100, 150)));

    let servers = json!([{ "issuer": ISSUER, "jwks": jwks(&keys(101)) }]);
    let config = with(inline_config(), "authorization_servers", servers);
    let named = |kid: &str| sign(&with(header(), "kid", json!(kid)), &claims());
    assert_eq!(outcome(present(&mut gate(&config), &named("k99"))), Ok(()));
    let error = TokenError::UnknownKey(Some("k100".to_owned()));
    assert_eq!(outcome(present(&mut gate(&config), &named("k100"))), Err(Refusal::Token(error)));
}
