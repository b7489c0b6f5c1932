//! A signer for every algorithm under each of its names. Nothing here is random, so every failure can be repeated.

use std::sync::OnceLock;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use rsa::{
    BoxedUint, Pkcs1v15Sign, Pss, RsaPrivateKey,
    rand_core::{Infallible, TryCryptoRng, TryRng},
    signature::Signer,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use crate::support::{es256, jwk as es256_jwk, with};

/// Every `alg` value that is implemented. `Ed25519` is another name of `EdDSA` (RFC 9864 section 2.2).
pub(crate) const NAMES: [&str; 10] =
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"];

/// The RSA key of RFC 7515 appendix A.2: published, so nobody can mistake it for a secret.
pub(crate) const RSA_N: &str = concat!(
    "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pC",
    "gNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg6",
    "65xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRW",
    "yuXpoQ"
);
const RSA_D: &str = concat!(
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pW",
    "J1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2Qv",
    "Xt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRu",
    "OopznQ"
);
const RSA_P: &str = concat!(
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDc",
    "mnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc"
);
const RSA_Q: &str = concat!(
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-",
    "TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc"
);

/// The RSA key of RFC 7520 section 3.3: another one, to check with and not to sign.
pub(crate) const OTHER_RSA_N: &str = concat!(
    "n4EPtAOCc9AlkeQHPzHStgAbgs7bTZLwUBZdR8_KuKPEHLd4rHVTeT-O-XV2jRojdNhxJWTDvNd7nqQ0VEiZQHz_AJmSCpMaJMRBSFKrKb2wqVwG",
    "U_NsYOYL-QtiWN2lbzcEe6XC0dApr5ydQLrHqkHHig3RBordaZ6Aj-oBHqFEHYpPe7Tpe-OfVfHd1E6cS6M1FZcD1NNLYD5lFHpPI9bTwJlsde3u",
    "hGqC0ZCuEHg8lhzwOHrtIQbS0FVbb9k3-tVTU4fg_3L_vniUFAKwuCLqKnS2BYwdq_mzSnbLY7h_qixoR7jig3__kRhuaxwUkRz5iaiQkqgc5gHd",
    "rNP5zw"
);

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(crate) fn from_hex(text: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&text[at..at + 2], 16).expect("hexadecimal");
    (0..text.len()).step_by(2).map(digit).collect()
}

fn rsa() -> &'static RsaPrivateKey {
    static KEY: OnceLock<RsaPrivateKey> = OnceLock::new();
    let number = |text| BoxedUint::from_be_slice_vartime(&decode(text));
    KEY.get_or_init(|| {
        let primes = vec![number(RSA_P), number(RSA_Q)];
        RsaPrivateKey::from_components(number(RSA_N), BoxedUint::from(65_537_u64), number(RSA_D), primes)
            .expect("a consistent key")
    })
}

pub(crate) fn es384(seed: u8) -> p384::ecdsa::SigningKey {
    p384::ecdsa::SigningKey::from_slice(&[seed; 48]).expect("a scalar below the order")
}

pub(crate) fn ed25519(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

/// Salts and blinding for tests: the digests of 0, 1, 2 and so on. The same ones every time, so by no means random.
#[derive(Default)]
struct Digests {
    next: u64,
    left: Vec<u8>,
}

impl TryRng for Digests {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, to: &mut [u8]) -> Result<(), Infallible> {
        for byte in to {
            if self.left.is_empty() {
                self.left = Sha256::digest(self.next.to_be_bytes()).to_vec();
                self.next += 1;
            }
            *byte = self.left.pop().expect("just filled");
        }
        Ok(())
    }
}

impl TryCryptoRng for Digests {}

/// An RSASSA-PSS signature with a salt of this length.
pub(crate) fn pss(name: &str, salt: usize, text: &[u8]) -> Vec<u8> {
    let rng = &mut Digests::default();
    match name {
        "PS256" => rsa().sign_with_rng(rng, Pss::<Sha256>::new_with_salt(salt), &Sha256::digest(text)),
        "PS384" => rsa().sign_with_rng(rng, Pss::<Sha384>::new_with_salt(salt), &Sha384::digest(text)),
        "PS512" => rsa().sign_with_rng(rng, Pss::<Sha512>::new_with_salt(salt), &Sha512::digest(text)),
        other => panic!("`{other}` is not RSASSA-PSS"),
    }
    .expect("a signature")
}

fn pkcs1(scheme: Pkcs1v15Sign, hash: &[u8]) -> Vec<u8> {
    rsa().sign_with_rng(&mut Digests::default(), scheme, hash).expect("a signature")
}

/// Signs with the key of this seed; there is one RSA key only, whatever the seed.
pub(crate) fn sign(name: &str, seed: u8, text: &[u8]) -> Vec<u8> {
    match name {
        "RS256" => pkcs1(Pkcs1v15Sign::new::<Sha256>(), &Sha256::digest(text)),
        "RS384" => pkcs1(Pkcs1v15Sign::new::<Sha384>(), &Sha384::digest(text)),
        "RS512" => pkcs1(Pkcs1v15Sign::new::<Sha512>(), &Sha512::digest(text)),
        "PS256" => pss(name, 32, text),
        "PS384" => pss(name, 48, text),
        "PS512" => pss(name, 64, text),
        "ES256" => Signer::<p256::ecdsa::Signature>::sign(&es256(seed), text).to_bytes().to_vec(),
        "ES384" => Signer::<p384::ecdsa::Signature>::sign(&es384(seed), text).to_bytes().to_vec(),
        "EdDSA" | "Ed25519" => ed25519(seed).sign(text).to_bytes().to_vec(),
        other => panic!("`{other}` is not implemented"),
    }
}

/// The compact JWS of these, signed so, whatever the header says.
pub(crate) fn token(name: &str, seed: u8, header: &Value, claims: &Value) -> String {
    let input = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = sign(name, seed, input.as_bytes());
    format!("{input}.{}", encode(signature))
}

/// The public key for [`sign`], without `kid`, `use` and `alg`. Seed 1 is the one RSA key that signs.
pub(crate) fn jwk(name: &str, seed: u8) -> Value {
    match name {
        "ES256" => {
            ["kid", "use", "alg"].into_iter().fold(es256_jwk(seed, ""), |jwk, name| with(jwk, name, Value::Null))
        }
        "ES384" => {
            let point = es384(seed).verifying_key().to_sec1_point(false);
            let (x, y) = (point.x().expect("not the identity"), point.y().expect("uncompressed"));
            json!({ "kty": "EC", "crv": "P-384", "x": encode(x), "y": encode(y) })
        }
        "EdDSA" | "Ed25519" => {
            json!({ "kty": "OKP", "crv": "Ed25519", "x": encode(ed25519(seed).verifying_key().as_bytes()) })
        }
        rsa if NAMES.contains(&rsa) => {
            json!({ "kty": "RSA", "n": if seed == 1 { RSA_N } else { OTHER_RSA_N }, "e": "AQAB" })
        }
        other => panic!("`{other}` is not implemented"),
    }
}
