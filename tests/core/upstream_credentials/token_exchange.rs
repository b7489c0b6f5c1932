//! RFC 8693: the client's token goes to one place only, once for all who present it, and what comes back is used no longer
//! than it lasts.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use mcp_oauth::{
    bearer::MAX_TOKEN_BYTES,
    fetch::{Answer, FetchError},
    gate::Verdict,
    refusal::Refusal,
    token::TokenError,
    upstream_credential::TokenEndpointError,
};
use serde_json::json;

use super::{
    TOKEN_ENDPOINT, answer, authorization, but, gate, held, issued, later, next, no_question, only, send_at, serve,
    token_exchange, with_credential,
};
use crate::{
    access_rules::{scoped, with_rules},
    support::{
        NOW, ask, ask_as, claims, good_token, head, header, inline_config, outcome, put, reply, reply_header, sign,
        with, without,
    },
};

const ACCESS_TOKEN: &str = "urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token";

fn refused(error: &str) -> Refusal {
    let error = TokenEndpointError::Refused { status: "400".to_owned(), error: error.to_owned() };
    Refusal::UpstreamCredentialRefused { endpoint: TOKEN_ENDPOINT.to_owned(), error }
}

#[test]
fn the_question_is_what_rfc_8693_says() {
    let config = with_credential(&token_exchange());
    let mut one = gate(&config);
    held(send_at(&mut one, 1, &good_token(), &[], NOW));
    let fetch = next(&mut one, NOW);
    assert_eq!((fetch.uri.as_str(), &*fetch.cluster, fetch.timeout.as_secs()), (TOKEN_ENDPOINT, "as", 5));
    let post = fetch.post.expect("a form");
    let grant = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange";
    let subject =
        format!("subject_token={}&subject_token_type={ACCESS_TOKEN}&requested_token_type={ACCESS_TOKEN}", good_token());
    assert_eq!(post.form.expose(), format!("{grant}&audience=https%3A%2F%2Fupstream.internal&{subject}"));
    let basic = format!("Basic {}", STANDARD.encode("gate+way:s3cr%3At+%2F%25%2B"));
    assert_eq!(post.authorization.expect("credentials").expose(), basic);

    let all = but(&token_exchange(), "resource", json!("urn:up?a&b"));
    let all = but(&all, "scopes", json!(["b", "a"]));
    let all = but(&all, "actor_token_variable", json!("ACTOR"));
    let all = but(&all, "client_authentication", json!("client_secret_post"));
    let all = but(&all, "timeout", json!("200ms"));
    let mut one = gate(&with_credential(&all));
    held(send_at(&mut one, 1, &good_token(), &[], NOW));
    let fetch = next(&mut one, NOW);
    assert_eq!(fetch.timeout.as_millis(), 200);
    let post = fetch.post.expect("a form");
    assert!(post.authorization.is_none());
    let actor = format!("actor_token=actor.t0ken&actor_token_type={ACCESS_TOKEN}");
    let client = "client_id=gate+way&client_secret=s3cr%3At+%2F%25%2B";
    assert_eq!(
        post.form.expose(),
        format!(
            "{grant}&audience=https%3A%2F%2Fupstream.internal&resource=urn%3Aup%3Fa%26b&scope=a+b&{subject}&{actor}&{client}"
        )
    );
}

#[test]
fn the_upstream_gets_the_new_token_and_never_the_old_one() {
    let mut gate = gate(&with_credential(&token_exchange()));
    held(send_at(&mut gate, 1, &good_token(), &[], NOW));
    let verdict = only(serve(&mut gate, "200", &issued("exchanged", 300), NOW));
    assert_eq!(authorization(verdict), ["Bearer exchanged"]);
    // And again without a question.
    assert_eq!(authorization(send_at(&mut gate, 2, &good_token(), &[], NOW)), ["Bearer exchanged"]);
    no_question(&mut gate, NOW);
}

#[test]
fn one_question_serves_all_who_present_the_token() {
    let mut gate = gate(&with_credential(&token_exchange()));
    for id in 1..=5 {
        held(send_at(&mut gate, id, &good_token(), &[], NOW));
    }
    let other = sign(&header(), &with(claims(), "sub", json!("bob")));
    held(send_at(&mut gate, 6, &other, &[], NOW));
    gate.on_gone(3);
    let (first, second) = (next(&mut gate, NOW), next(&mut gate, NOW));
    no_question(&mut gate, NOW);
    assert!(second.post.expect("a form").form.expose().contains(&other));
    let resumed = gate.on_answer(first.id, answer("200", &issued("alice's", 300)), NOW).resumed;
    assert_eq!(resumed.iter().map(|resumed| resumed.request).collect::<Vec<_>>(), [1, 2, 4, 5]);
    for resumed in resumed {
        assert_eq!(authorization(resumed.verdict), ["Bearer alice's"]);
    }
    let again = gate.on_answer(first.id, answer("200", &issued("late", 300)), NOW);
    assert!(again.resumed.is_empty(), "an answer counts once");
    assert_eq!(
        authorization(only(gate.on_answer(second.id, answer("200", &issued("bob's", 300)), NOW))),
        ["Bearer bob's"]
    );
    assert_eq!(authorization(send_at(&mut gate, 7, &good_token(), &[], NOW)), ["Bearer alice's"]);
}

/// Two resources, one token: what one upstream gets is not good for the other.
#[test]
fn credentials_are_kept_by_resource() {
    let mut config = with_credential(&token_exchange());
    let mut other = config["resources"][0].clone();
    other["resource"] = json!("https://mcp.example.com/other");
    other["audiences"] = json!([crate::support::RESOURCE]);
    other["upstream_credential"]["token_exchange"]["audience"] = json!("other");
    config["resources"].as_array_mut().expect("a list").push(other);
    let mut gate = gate(&config);
    let bearer = format!("Bearer {}", good_token());
    for (round, path, token) in [(1, "/mcp", "one"), (1, "/other", "two"), (2, "/mcp", "one"), (2, "/other", "two")] {
        let verdict = ask(&mut gate, &head(path, &[("authorization", &bearer)]));
        let verdict = if round == 1 {
            held(verdict);
            only(serve(&mut gate, "200", &issued(token, 300), NOW))
        } else {
            verdict
        };
        assert_eq!(authorization(verdict), [format!("Bearer {token}")], "{round} {path}");
    }
    no_question(&mut gate, NOW);
}

/// Kept until `expires_in` less ten seconds, or `max_age`, whichever is earlier.
#[test]
fn a_token_is_used_while_it_lasts() {
    // expires_in, max_age, the last second at which it is still used
    let rows = [(300, "300s", 289), (100, "300s", 89), (300, "60s", 59), (3600, "300s", 299), (12, "300s", 1)];
    let token = sign(&header(), &with(claims(), "exp", json!(NOW.0 + 10_000)));
    for (expires_in, max_age, last) in rows {
        let mut gate = gate(&with_credential(&but(&token_exchange(), "max_age", json!(max_age))));
        held(send_at(&mut gate, 1, &token, &[], NOW));
        let _ = only(serve(&mut gate, "200", &issued("first", expires_in), NOW));
        assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(last))), ["Bearer first"]);
        held(send_at(&mut gate, 3, &token, &[], later(last + 1)));
        let verdict = only(serve(&mut gate, "200", &issued("second", expires_in), later(last + 1)));
        assert_eq!(authorization(verdict), ["Bearer second"], "{expires_in}");
    }
    // One that is nearly over is good for those who wait for it, and not kept. Without `expires_in`: a minute.
    let unsaid = without(serde_json::from_str(&issued("t", 1)).expect("JSON"), "/expires_in").to_string();
    for (body, kept) in [(issued("t", 10), None), (issued("t", 1), None), (unsaid, Some(49))] {
        let mut gate = gate(&with_credential(&token_exchange()));
        held(send_at(&mut gate, 1, &token, &[], NOW));
        assert_eq!(authorization(only(serve(&mut gate, "200", &body, NOW))), ["Bearer t"]);
        if let Some(kept) = kept {
            assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(kept))), ["Bearer t"]);
        }
        held(send_at(&mut gate, 3, &token, &[], later(kept.map_or(0, |kept| kept + 1))));
    }
}

/// What was reckoned by a clock that was ahead would be used for hours after its end.
#[test]
fn a_clock_that_is_set_back_forgets_what_was_kept() {
    let token = sign(&header(), &with(claims(), "iat", json!(NOW.0 - 5000)));
    let mut gate = gate(&with_credential(&token_exchange()));
    held(send_at(&mut gate, 1, &token, &[], later(200)));
    let _ = only(serve(&mut gate, "200", &issued("ahead", 300), later(200)));
    assert_eq!(authorization(send_at(&mut gate, 2, &token, &[], later(200))), ["Bearer ahead"]);
    held(send_at(&mut gate, 3, &token, &[], NOW));
    assert_eq!(authorization(only(serve(&mut gate, "200", &issued("right", 300), NOW))), ["Bearer right"]);
}

/// The caller's token may run out while it is exchanged.
#[test]
fn times_are_judged_again_after_the_wait() {
    let token = sign(&header(), &with(claims(), "exp", json!(NOW.0 + 2)));
    for (waited, lets_through) in [(31, true), (32, false)] {
        let mut gate = gate(&with_credential(&token_exchange()));
        held(send_at(&mut gate, 1, &token, &[], NOW));
        let fetch = next(&mut gate, NOW);
        let verdict = only(gate.on_answer(fetch.id, answer("200", &issued("t", 300)), later(waited)));
        match outcome(verdict) {
            Ok(()) => assert!(lets_through, "{waited}"),
            Err(Refusal::Token(TokenError::Expired { .. })) => assert!(!lets_through, "{waited}"),
            Err(other) => panic!("{other:?}"),
        }
    }
}

/// A refusal is the endpoint's last word for a while; anything else is asked again at once.
#[test]
fn failures_are_answered_and_nothing_weaker_is_sent() {
    let mut refusing = gate(&with_credential(&token_exchange()));
    held(send_at(&mut refusing, 1, &good_token(), &[], NOW));
    let refusal = reply(only(serve(&mut refusing, "400", r#"{"error":"invalid_target"}"#, NOW)));
    assert_eq!((refusal.status(), refusal.reason()), (502, "mcp_oauth_upstream_credential_refused"));
    assert_eq!(refusal.refusal(), Some(&refused("invalid_target")));
    assert_eq!(reply_header(&refusal, "retry-after"), None);
    assert_eq!(reply_header(&refusal, "www-authenticate"), None, "the client's token is good");
    let body = String::from_utf8_lossy(refusal.body()).into_owned();
    assert!(!body.contains("invalid_target") && !body.contains("as.example.com"), "{body}");
    for seconds in [0, 9] {
        let again = outcome(send_at(&mut refusing, 2, &good_token(), &[], later(seconds)));
        assert_eq!(again, Err(refused("invalid_target")));
    }
    no_question(&mut refusing, later(9));
    held(send_at(&mut refusing, 3, &good_token(), &[], later(10)));

    let unavailable: [(Answer<'_>, FetchError); 4] = [
        (answer("500", r#"{"error":"server_error"}"#), FetchError::Status("500".to_owned())),
        (Answer::NoResponse, FetchError::NoResponse),
        (Answer::NotSent(2), FetchError::NotSent(2)),
        (Answer::TooLarge(2 << 20), FetchError::TooLarge(2 << 20)),
    ];
    for (given, error) in unavailable {
        let mut gate = gate(&with_credential(&token_exchange()));
        held(send_at(&mut gate, 1, &good_token(), &[], NOW));
        let fetch = next(&mut gate, NOW);
        let refusal = reply(only(gate.on_answer(fetch.id, given, NOW)));
        assert_eq!((refusal.status(), refusal.reason()), (503, "mcp_oauth_upstream_credential_unavailable"));
        assert_eq!(reply_header(&refusal, "retry-after"), Some("1"));
        let error = TokenEndpointError::Fetch(error);
        let expected = Refusal::UpstreamCredentialUnavailable { endpoint: TOKEN_ENDPOINT.to_owned(), error };
        assert_eq!(refusal.refusal(), Some(&expected));
        held(send_at(&mut gate, 2, &good_token(), &[], NOW));
    }
}

#[test]
fn a_question_that_is_never_answered_is_given_up() {
    let mut gate = gate(&with_credential(&token_exchange()));
    held(send_at(&mut gate, 1, &good_token(), &[], NOW));
    let _ = next(&mut gate, NOW);
    assert!(gate.on_time(later(7)).is_empty());
    let mut outcomes = gate.on_time(later(8));
    assert_eq!(outcomes.len(), 1);
    let error = TokenEndpointError::Fetch(FetchError::Forgotten);
    let expected = Refusal::UpstreamCredentialUnavailable { endpoint: TOKEN_ENDPOINT.to_owned(), error };
    assert_eq!(outcome(only(outcomes.remove(0))), Err(expected));
}

/// The log says once that the endpoint is of no use, and once that it is again; a refusal that may be about one caller is
/// no news.
#[test]
fn the_operator_is_told_of_an_endpoint_once() {
    let mut gate = gate(&with_credential(&token_exchange()));
    let rows = [
        ("400", r#"{"error":"invalid_grant"}"#, None),
        (
            "503",
            "",
            Some(
                "upstream credential: `https://as.example.com/token?...`: answered 503, or could not be reached; requests that need it are refused while that lasts",
            ),
        ),
        ("500", "", None),
        ("401", r#"{"error":"invalid_client"}"#, None),
        ("200", &issued("t", 300), Some("upstream credential: `https://as.example.com/token?...`: answers again")),
        ("200", &issued("t", 300), None),
        (
            "401",
            r#"{"error":"invalid_client"}"#,
            Some(
                "upstream credential: `https://as.example.com/token?...`: refused with `401`, `invalid_client`; requests that need it are refused while that lasts",
            ),
        ),
    ];
    for (number, (status, body, expected)) in (1..).zip(rows) {
        // No more often than every ten seconds: callers have a say in what is answered.
        let now = later(u64::from(number) * 10);
        let token = sign(&header(), &with(claims(), "jti", json!(format!("t{number}"))));
        held(send_at(&mut gate, number, &token, &[], now));
        let event = serve(&mut gate, status, body, now).remote;
        assert_eq!(event.map(|event| event.to_string()).as_deref(), expected, "{number}");
    }
}

/// A token that may not come here is nobody else's business.
#[test]
fn only_tokens_that_may_come_here_are_exchanged() {
    let mut plain = gate(&with_credential(&token_exchange()));
    for token in [scoped("mcp:write"), sign(&header(), &with(claims(), "aud", json!("other"))), "opaque".to_owned()] {
        assert!(outcome(send_at(&mut plain, 1, &token, &[], NOW)).is_err(), "{token}");
    }
    no_question(&mut plain, NOW);
    // Where methods need no token, one without the scopes may do what everybody may, and is no reason to ask.
    let anonymous = put(with_credential(&token_exchange()), "/resources/0/anonymous_methods", json!(["ping"]));
    let mut anonymous = gate(&put(anonymous, "/hold_requests", json!("headers")));
    let authorization = format!("Bearer {}", scoped("mcp:write"));
    let lines = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    let calls = [("ping", Ok(())), ("tools/list", Err(403))];
    for (method, expected) in calls {
        let Verdict::ReadBody(pending) = ask(&mut anonymous, &head("/mcp", &lines)) else { panic!("not read") };
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string();
        let found = match pending.judge(body.as_bytes()) {
            Verdict::Forward(forward) => {
                let mut lines = crate::support::HeaderMap::new(&lines);
                lines.apply(forward.edits());
                assert_eq!(lines.all("authorization"), Vec::<String>::new());
                Ok(())
            }
            other => Err(reply(other).status()),
        };
        assert_eq!(found, expected, "{method}");
    }
    no_question(&mut anonymous, NOW);
    // Nor one of a request that will be refused whoever sends it.
    let ruled = put(with_rules(&json!([{ "tools": ["a"] }])), "/resources/0/upstream_credential", token_exchange());
    let mut ruled = gate(&ruled);
    let authorization = format!("Bearer {}", good_token());
    let lines = [("authorization", authorization.as_str()), ("content-type", "text/plain")];
    assert_eq!(reply(ask(&mut ruled, &head("/mcp", &lines))).status(), 415);
    no_question(&mut ruled, NOW);
    let lines = [("authorization", authorization.as_str()), ("content-type", "application/json")];
    held(ask(&mut ruled, &head("/mcp", &lines)));
}

/// As many may wait as there is room for, and no more.
#[test]
fn what_waits_is_bounded() {
    let mut gate = gate(&with_credential(&token_exchange()));
    let authorization = format!("Bearer {}", good_token());
    let lines = head("/mcp", &[("authorization", &authorization)]);
    for id in 1..=1024 {
        held(ask_as(&mut gate, id, &lines, NOW));
    }
    let refused = reply(ask_as(&mut gate, 2000, &lines, NOW));
    assert_eq!((refused.status(), refused.reason()), (503, "mcp_oauth_overloaded"));
    gate.on_gone(5);
    held(ask_as(&mut gate, 2001, &lines, NOW));
    assert_eq!(serve(&mut gate, "200", &issued("t", 300), NOW).resumed.len(), 1024);
    held(send_at(&mut gate, 1, &sign(&header(), &with(claims(), "jti", json!("2"))), &[], NOW));
}

/// Questions that are open hold tokens, so there is a limit to them.
#[test]
fn open_questions_are_bounded() {
    let mut gate = gate(&with_credential(&token_exchange()));
    let token = |number: u32| sign(&header(), &with(claims(), "jti", json!(number.to_string())));
    for number in 1..=128 {
        held(send_at(&mut gate, number, &token(number), &[], NOW));
    }
    let refused = reply(send_at(&mut gate, 999, &token(999), &[], NOW));
    assert_eq!((refused.status(), refused.reason()), (503, "mcp_oauth_overloaded"));
    held(send_at(&mut gate, 1000, &token(7), &[], NOW));
}

/// With very many servers there may be more: each has its least share, up to four times as many in all.
#[test]
fn open_questions_of_very_many_servers_are_bounded() {
    let uri = |number: u32| format!("https://mcp.example.com/r{number}");
    let resource = |number| json!({ "resource": uri(number), "upstream_credential": token_exchange() });
    let resources: Vec<_> = (0..70).map(resource).collect();
    let mut gate = gate(&put(inline_config(), "/resources", json!(resources)));
    let audiences: Vec<String> = (0..70).map(uri).collect();
    let token = |number: u32| {
        let claims = with(claims(), "aud", json!(audiences));
        format!("Bearer {}", sign(&header(), &with(claims, "jti", json!(number.to_string()))))
    };
    let tokens: Vec<String> = (0..8).map(token).collect();
    let mut waiting = 0;
    for number in 0..70 {
        let path = format!("/r{number}");
        for authorization in &tokens {
            let verdict = ask_as(&mut gate, waiting + 1, &head(&path, &[("authorization", authorization)]), NOW);
            waiting += u32::from(matches!(verdict, Verdict::Hold));
        }
    }
    assert_eq!(waiting, 512, "of 560");
}

/// As many credentials are kept as 32 MiB take: a megabyte and a half of it.
#[test]
fn credentials_of_many_callers_are_kept_beside_each_other() {
    let mut gate = gate(&with_credential(&token_exchange()));
    let token = |number: u32| sign(&header(), &with(claims(), "jti", json!(number.to_string())));
    let tokens: Vec<String> = (0..100).map(token).collect();
    let issued = issued(&"t".repeat(15_000), 300);
    for (number, token) in (1..).zip(&tokens) {
        held(send_at(&mut gate, number, token, &[], NOW));
        let _ = only(serve(&mut gate, "200", &issued, NOW));
    }
    for token in &tokens {
        assert!(matches!(send_at(&mut gate, 1, token, &[], NOW), Verdict::Forward(_)));
    }
}

#[test]
fn tokens_of_any_legal_length_are_exchanged() {
    let mut gate = gate(&with_credential(&token_exchange()));
    let long = sign(&header(), &with(claims(), "jti", json!("j".repeat(11_000))));
    assert!(long.len() < MAX_TOKEN_BYTES);
    held(send_at(&mut gate, 1, &long, &[], NOW));
    let Verdict::Forward(_) = only(serve(&mut gate, "200", &issued(&"t".repeat(16 * 1024), 300), NOW)) else {
        panic!()
    };
}
