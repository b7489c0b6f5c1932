//! How long a server says that its keys may be kept (RFC 9111 section 5.2), between the cooldown and `keys_max_age`.

use mcp_oauth::fetch::Answer;

use super::{later, metadata, next, serve};
use crate::support::{NOW, gate, jwk, jwks, remote_config};

const MAX_AGE: u64 = 600;
const COOLDOWN: u64 = 30;

#[test]
fn a_servers_word_counts_within_bounds() {
    let rows: [(&str, Option<&[u8]>, u64); 24] = [
        ("says nothing", None, MAX_AGE),
        ("5.2.2.1 max-age", Some(b"max-age=120"), 120),
        ("among others", Some(b"public, max-age=120, immutable"), 120),
        ("5.2: in any case", Some(b"Public, MAX-Age=120"), 120),
        ("5.2: quoted", Some(b"max-age=\"120\""), 120),
        ("4.2.1: the first of two", Some(b"max-age=120, max-age=240"), 120),
        ("without spaces", Some(b"public,max-age=120"), 120),
        ("with tabs", Some(b"public,\tmax-age=120\t"), 120),
        ("shorter than the cooldown", Some(b"max-age=29"), COOLDOWN),
        ("as short as the cooldown", Some(b"max-age=30"), COOLDOWN),
        ("longer than keys_max_age", Some(b"max-age=601"), MAX_AGE),
        ("beyond all numbers", Some(b"max-age=99999999999999999999999"), MAX_AGE),
        ("5.2.2.5 no-store", Some(b"no-store"), COOLDOWN),
        ("no-store, in any case, beside max-age", Some(b"max-age=120, No-Store"), COOLDOWN),
        ("5.2.2.4 no-cache", Some(b"no-cache"), COOLDOWN),
        ("no-cache beside max-age", Some(b"NO-CACHE, max-age=120"), COOLDOWN),
        ("no-cache for a field only", Some(b"no-cache=\"set-cookie\", max-age=120"), 120),
        ("another directive's end", Some(b"s-max-age=120"), MAX_AGE),
        ("another directive's beginning", Some(b"no-store-at-all, max-ages=120"), MAX_AGE),
        ("below zero", Some(b"max-age=-1"), MAX_AGE),
        ("a fraction", Some(b"max-age=120.5"), MAX_AGE),
        ("no number", Some(b"max-age=soon, max-age=, max-age"), MAX_AGE),
        ("bytes", Some(b"max-age=\xff120, \x00\xfe"), MAX_AGE),
        ("nothing but commas", Some(b" ,,, "), MAX_AGE),
    ];
    for (name, cache_control, lifetime) in rows {
        let mut gate = gate(&remote_config());
        serve(&mut gate, &metadata(), NOW);
        let fetch = next(&mut gate, NOW);
        let keys = jwks(&[jwk(1, "k1")]).to_string();
        let content_type = Some(&b"application/json"[..]);
        let answer = Answer::Response { status: b"200", content_type, cache_control, body: keys.as_bytes() };
        let _ = gate.on_answer(fetch.id, answer, NOW);
        // Up to a tenth sooner.
        let due = gate.next_call().expect("a refresh");
        assert!(later(lifetime - lifetime / 10) <= due && due <= later(lifetime), "{name}: at {due:?}");
    }
}
