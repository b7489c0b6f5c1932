//! Signatures that others published, through [`PublicKey::verify`].

use mcp_oauth::{
    jws::Algorithm,
    signature::{BadSignature, PublicKey},
};

use super::{
    decode, flipped,
    signers::{OTHER_RSA_N, RSA_N},
};

struct Published {
    source: &'static str,
    algorithm: Algorithm,
    key: Option<PublicKey>,
    token: &'static str,
}

fn published() -> Vec<Published> {
    vec![
        Published {
            source: "RFC 7515 A.2",
            algorithm: Algorithm::Rs256,
            key: PublicKey::rsa(&decode(RSA_N), &decode("AQAB")),
            token: concat!(
                "eyJhbGciOiJSUzI1NiJ9",
                ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                ".cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb",
                "F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383Lc",
                "OLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVm",
                "tVrBp0igcN_IoypGlUPQGe77Rw"
            ),
        },
        Published {
            source: "RFC 7515 A.3",
            algorithm: Algorithm::Es256,
            key: PublicKey::p256(
                &decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"),
                &decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"),
            ),
            token: concat!(
                "eyJhbGciOiJFUzI1NiJ9",
                ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ",
                ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
            ),
        },
        Published {
            source: "RFC 7520 4.2",
            algorithm: Algorithm::Ps384,
            key: PublicKey::rsa(&decode(OTHER_RSA_N), &decode("AQAB")),
            token: concat!(
                "eyJhbGciOiJQUzM4NCIsImtpZCI6ImJpbGJvLmJhZ2dpbnNAaG9iYml0b24uZXhhbXBsZSJ9",
                ".SXTigJlzIGEgZGFuZ2Vyb3VzIGJ1c2luZXNzLCBGcm9kbywgZ29pbmcgb3V0IHlvdXIgZG9vci4gWW91IHN0ZXAgb250byB0aGUgcm9h",
                "ZCwgYW5kIGlmIHlvdSBkb24ndCBrZWVwIHlvdXIgZmVldCwgdGhlcmXigJlzIG5vIGtub3dpbmcgd2hlcmUgeW91IG1pZ2h0IGJlIHN3ZX",
                "B0IG9mZiB0by4",
                ".cu22eBqkYDKgIlTpzDXGvaFfz6WGoz7fUDcfT0kkOy42miAh2qyBzk1xEsnk2IpN6-tPid6VrklHkqsGqDqHCdP6O8TTB5dDDItllVo6",
                "_1OLPpcbUrhiUSMxbbXUvdvWXzg-UD8biiReQFlfz28zGWVsdiNAUf8ZnyPEgVFn442ZdNqiVJRmBqrYRXe8P_ijQ7p8Vdz0TTrxUeT3lm",
                "8d9shnr2lfJT8ImUjvAA2Xez2Mlp8cBE5awDzT0qI0n6uiP1aCN_2_jLAeQTlqRHtfa64QQSUmFAAjVKPbByi7xho0uTOcbH510a6GYmJU",
                "AfmWjwZ6oD4ifKo8DYM-X72Eaw"
            ),
        },
        Published {
            source: "RFC 8037 A.4",
            algorithm: Algorithm::EdDsa,
            key: PublicKey::ed25519(&decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo")),
            token: concat!(
                "eyJhbGciOiJFZERTQSJ9",
                ".RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
                ".hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"
            ),
        },
    ]
}

#[test]
fn published_signatures_verify_and_nothing_near_them_does() {
    for Published { source, algorithm, key, token } in published() {
        let key = key.expect(source);
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        let (input, signature) = (input.as_bytes(), decode(signature));
        assert_eq!(key.verify(algorithm, input, &signature), Ok(()), "{source}");

        let other_input = flipped(input.to_vec(), 3);
        assert_eq!(key.verify(algorithm, &other_input, &signature), Err(BadSignature), "{source}: another text");
        assert_eq!(key.verify(algorithm, &input[1..], &signature), Err(BadSignature), "{source}: a shorter text");
        for byte in 0..signature.len() {
            let other = flipped(signature.clone(), byte * 8 + byte % 8);
            assert_eq!(key.verify(algorithm, input, &other), Err(BadSignature), "{source}: byte {byte}");
        }
        for other in Algorithm::ALL.into_iter().filter(|other| *other != algorithm) {
            assert_eq!(key.verify(other, input, &signature), Err(BadSignature), "{source}: as {}", other.as_str());
        }
        for other in published().into_iter().filter(|other| other.source != source) {
            let verified = other.key.expect(other.source).verify(algorithm, input, &signature);
            assert_eq!(verified, Err(BadSignature), "{source}: with the key of {}", other.source);
        }
    }
}
