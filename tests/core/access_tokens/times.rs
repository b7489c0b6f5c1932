//! `exp`, `nbf` and `iat`: RFC 7519 sections 2 and 4.1.4 to 4.1.6.

use mcp_oauth::{
    time::UnixTime,
    token::{ClaimFault, TokenError},
};
use serde_json::{Value, json};

use crate::support::{
    ISSUER, NOW, Row, accepted, check_tokens, claims, header, inline_config, invalid, jwk, jwks, sign_texts, with,
};

use super::{bad_claim, claiming, without};

const SKEW: u64 = 30;

fn expired(name: &str, token: String, at: u64) -> Row<String> {
    invalid(name, token, TokenError::Expired { at: UnixTime(at), now: NOW })
}

fn early(name: impl Into<String>, claim: &'static str, at: u64) -> Row<String> {
    let error = TokenError::NotYetValid { claim, at: UnixTime(at), now: NOW };
    invalid(name, claiming(claim, json!(at)), error)
}

/// The good claims with the number of this claim written exactly so.
fn written(claim: &str, number: &str) -> String {
    let text = claims_text(claim, number);
    sign_texts(1, &header().to_string(), &text)
}

fn claims_text(claim: &str, number: &str) -> String {
    with(claims(), claim, json!("HERE")).to_string().replace("\"HERE\"", number)
}

#[test]
fn a_token_expires() {
    let now = NOW.0;
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7519 4.1.4: in the future", claiming("exp", json!(now + 1))),
            accepted("RFC 7519 4.1.4: now, within the skew", claiming("exp", json!(now))),
            accepted("RFC 7519 4.1.4: the last second of the skew", claiming("exp", json!(now - SKEW + 1))),
            expired("RFC 7519 4.1.4: the second after", claiming("exp", json!(now - SKEW)), now - SKEW),
            expired("RFC 7519 4.1.4: long ago", claiming("exp", json!(1)), 1),
            expired("RFC 7519 4.1.4: 1970", claiming("exp", json!(0)), 0),
            bad_claim("RFC 9068 2.2: no `exp`", without("exp"), "exp", ClaimFault::Missing),
        ],
    );
}

#[test]
fn a_token_has_a_first_moment() {
    let now = NOW.0;
    for claim in ["nbf", "iat"] {
        check_tokens(
            &inline_config(),
            vec![
                accepted(format!("RFC 7519 4.1.5, 4.1.6: no `{claim}`"), without(claim)),
                accepted(format!("RFC 7519 4.1.5, 4.1.6: `{claim}` in 1970"), claiming(claim, json!(0))),
                accepted(format!("RFC 7519 4.1.5, 4.1.6: `{claim}` now"), claiming(claim, json!(now))),
                accepted(format!("RFC 7519 4.1.5, 4.1.6: `{claim}` within skew"), claiming(claim, json!(now + SKEW))),
                early(format!("RFC 7519 4.1.5, 4.1.6: `{claim}` a second later"), claim, now + SKEW + 1),
                early(format!("RFC 7519 4.1.5, 4.1.6: `{claim}` next year"), claim, now + 31_536_000),
            ],
        );
    }
}

#[test]
fn the_skew_is_what_was_configured() {
    let config = |skew: &str| {
        let servers = json!([{ "issuer": ISSUER, "jwks": jwks(&[jwk(1, "k1")]), "clock_skew": skew }]);
        with(inline_config(), "authorization_servers", servers)
    };
    let now = NOW.0;
    check_tokens(
        &config("0s"),
        vec![
            accepted("RFC 7519 4.1.4: no skew, the last second", claiming("exp", json!(now + 1))),
            expired("RFC 7519 4.1.4: no skew, the second after", claiming("exp", json!(now)), now),
            accepted("RFC 7519 4.1.5: no skew, now", claiming("nbf", json!(now))),
            early("RFC 7519 4.1.5: no skew, a second later", "nbf", now + 1),
            early("RFC 7519 4.1.6: no skew, a second later", "iat", now + 1),
        ],
    );
    check_tokens(
        &config("5m"),
        vec![
            accepted("RFC 7519 4.1.4: most skew, the last second", claiming("exp", json!(now - 299))),
            expired("RFC 7519 4.1.4: most skew, the second after", claiming("exp", json!(now - 300)), now - 300),
            accepted("RFC 7519 4.1.5: most skew, within", claiming("nbf", json!(now + 300))),
            early("RFC 7519 4.1.5: most skew, a second later", "nbf", now + 301),
            early("RFC 7519 4.1.6: most skew, a second later", "iat", now + 301),
        ],
    );
}

#[test]
fn a_date_is_a_number() {
    for claim in ["exp", "nbf", "iat"] {
        let mut rows = vec![accepted(format!("RFC 7519 2: `{claim}` is a number"), claiming(claim, json!(NOW.0)))];
        for value in [json!(NOW.0.to_string()), json!(true), Value::Null, json!([NOW.0]), json!({ "at": NOW.0 })] {
            let name = format!("RFC 7519 2: `{claim}` is {value}");
            rows.push(bad_claim(name, claiming(claim, value), claim, ClaimFault::Type));
        }
        check_tokens(&inline_config(), rows);
    }
}

/// A number that is no date: milliseconds taken for seconds would make a token that never expires.
#[test]
fn a_date_lies_between_1970_and_9999() {
    let out_of_range = [
        ("negative", "-1"),
        ("negative with a fraction", "-0.5"),
        ("the least integer", "-9223372036854775808"),
        ("milliseconds", "1800000300000"),
        ("nanoseconds", "1800000300000000000"),
        ("the year 10000", "253402300800"),
        ("the year 10000, with a fraction", "253402300800.0"),
        ("the greatest integer", "18446744073709551615"),
        ("more than any integer", "18446744073709551616"),
        ("a huge number", "1e300"),
    ];
    for claim in ["exp", "nbf", "iat"] {
        let mut rows = vec![accepted(format!("RFC 7519 2: `{claim}` is a date"), written(claim, "1800000000"))];
        for (name, number) in out_of_range {
            let name = format!("RFC 7519 2: `{claim}` is {name}");
            rows.push(bad_claim(name, written(claim, number), claim, ClaimFault::Range));
        }
        check_tokens(&inline_config(), rows);
    }
}

#[test]
fn a_date_may_be_written_in_any_way_that_json_allows() {
    check_tokens(
        &inline_config(),
        vec![
            accepted("RFC 7519 2: the end of 9999", written("exp", "253402300799")),
            accepted("RFC 7519 2: a fraction", written("exp", "1800000300.5")),
            accepted("RFC 7519 2: an exponent", written("exp", "1.8000003e9")),
            accepted("RFC 7519 2: a fraction in `nbf`", written("nbf", "1799999999.999")),
            expired("RFC 7519 2: a fraction is cut off", written("exp", "1799999970.9"), NOW.0 - SKEW),
            expired("RFC 7519 2: minus nothing is 1970", written("exp", "-0"), 0),
            bad_claim("RFC 8259 6: more than a float can hold", written("exp", "1e400"), "exp", ClaimFault::Range),
        ],
    );
}
