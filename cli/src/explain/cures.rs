//! What to do about a refusal. `tests/tool/explain.rs` goes over all reasons of the core: none may be missing.

use mcp_oauth::{
    bearer::CredentialsError,
    dpop::ProofError,
    fetch::FetchError,
    introspection::IntrospectionError,
    jws::{JwsError, Part},
    refusal::{MediaError, Refusal},
    token::{ClaimFault, TokenError},
};

/// For what a refusal says more of than its stable name.
pub(crate) fn exact(refusal: &Refusal) -> Option<&'static str> {
    match refusal {
        Refusal::Credentials(error) => match error {
            CredentialsError::Malformed => Some(
                "send one token and nothing behind it: letters, digits and `-._~+/`, with `=` at its end only (RFC 6750 section 2.1)",
            ),
            CredentialsError::TooLong(_) => {
                Some("have the issuer put less into its tokens, such as fewer groups or roles")
            }
            _ => None,
        },
        Refusal::Token(TokenError::Jws(error)) => jws(error),
        Refusal::Token(error) => token(error),
        Refusal::Proof(error) => proof(error),
        Refusal::Media(MediaError::Encoding) => Some("send the body uncompressed, without `content-encoding`"),
        Refusal::UnexpectedBody => Some("send no body with this method"),
        Refusal::IntrospectionUnavailable { error, .. } => introspection(error),
        _ => None,
    }
}

fn jws(error: &JwsError) -> Option<&'static str> {
    Some(match error {
        // RFC 7516 section 3.1.
        JwsError::Parts(5) => "have the issuer sign its access tokens and not encrypt them",
        JwsError::Base64(Part::Header) | JwsError::Json(Part::Header, _) | JwsError::NoAlgorithm => {
            "have the issuer begin its tokens with a JOSE header, a JSON object with an `alg` and no member twice; for opaque tokens configure `introspection`"
        }
        JwsError::Base64(_) => "copy the token again, all of it: it was cut off or changed",
        JwsError::Json(..) => "have the issuer write its claims as one JSON object with no member twice",
        JwsError::Critical => "have the issuer leave `crit` out of the header",
        JwsError::Algorithm(_) => {
            "have the issuer sign with one of its `algorithms`, such as ES256 or RS256; `none` and HMAC (HS256) are never among them"
        }
        JwsError::NotText(_) => "have the issuer write it as a text",
        _ => return None,
    })
}

fn token(error: &TokenError) -> Option<&'static str> {
    Some(match error {
        // These are refused only where the configuration says so.
        TokenError::Type(typ) if ["", "jwt", "application/jwt"].contains(&typ.to_ascii_lowercase().as_str()) => {
            "have the issuer type its access tokens `at+jwt`, or leave out `require_at_jwt`"
        }
        TokenError::OpaqueOnly => "use the access token: it is the one that is no JWT",
        TokenError::Unmarked(_) => {
            "use the access token, not the ID token; if it is the access token, compare `provider` with whose product the issuer is"
        }
        TokenError::Claim("aud", ClaimFault::Missing) => {
            "have the client send `resource`, or the issuer put the resource into `aud`"
        }
        TokenError::Claim(_, ClaimFault::Missing) => "have the issuer put it in",
        TokenError::Claim("aud", ClaimFault::Type) => "have the issuer write it as a text or a list of texts",
        TokenError::Claim("exp" | "nbf" | "iat", ClaimFault::Type) => "have the issuer write it as a number",
        TokenError::Claim(_, ClaimFault::Range) => {
            "have the issuer write it in seconds since 1970, not in milliseconds"
        }
        // The claims that hold scopes unless `scope_claims` names others.
        TokenError::Claim("scope" | "scp" | "roles", ClaimFault::Type) | TokenError::ScopeClaim(_) => {
            "have the issuer write it as a text or a list of texts, or name another claim in `scope_claims`"
        }
        TokenError::Claim(_, ClaimFault::Type) => "have the issuer write it as a text",
        TokenError::UnknownKey(None) => "have the issuer name its key in `kid`, and publish one of the token's `alg`",
        TokenError::AmbiguousKey => "have the issuer name its key in `kid`",
        _ => return None,
    })
}

fn proof(error: &ProofError) -> Option<&'static str> {
    Some(match error {
        ProofError::Doubled => "send one `DPoP` header, not two",
        ProofError::TooLong(_) => "make a shorter proof: it needs no other members than those of RFC 9449 section 4.2",
        ProofError::PrivateKey => "put only the public key into `jwk`, and make a new key: this one was sent out",
        ProofError::Algorithm(_) | ProofError::Jws(JwsError::Algorithm(_)) => {
            "sign the proof with one of the resource's `dpop.algorithms`"
        }
        ProofError::Forgotten => "make a new proof for each request",
        _ => return None,
    })
}

fn introspection(error: &IntrospectionError) -> Option<&'static str> {
    Some(match error {
        IntrospectionError::Fetch(FetchError::Status(status)) if status == "401" => {
            "give `client_id` and the secret under which the issuer knows this proxy"
        }
        IntrospectionError::Fetch(FetchError::NoResponse | FetchError::NotSent(_)) => {
            "see whether the proxy reaches the endpoint"
        }
        IntrospectionError::Fetch(_) | IntrospectionError::Json(_) | IntrospectionError::Active => {
            "compare `introspection.endpoint` with the issuer's: what answers there is none, or is out of order"
        }
        _ => return None,
    })
}

/// By the refusal's stable name, for all that bear it; `None` for what is no refusal.
pub(crate) fn cure(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "mcp_oauth_missing_token" => "send a token, here with --token; a client gets one by following the challenge",
        "mcp_oauth_malformed_credentials" => "send one `Authorization: Bearer` header with one token",
        "mcp_oauth_malformed_request" => "send one method, one path and one host",

        "mcp_oauth_token_malformed" => {
            "get a JWT access token, and send all of it; for opaque ones configure `introspection` or `static_tokens`"
        }
        "mcp_oauth_token_type" => {
            "use the access token, not the ID token; if it is the access token, name the issuer's product in `provider`"
        }
        "mcp_oauth_token_claim" => {
            "have the issuer put it in: `iss`, `aud` and `exp` must be there, dates be numbers, and scopes a text or an array"
        }
        "mcp_oauth_token_issuer" => {
            "compare `issuer` with the token's `iss`, letter by letter, with and without `/` at the end"
        }
        "mcp_oauth_token_algorithm" => "add it to `algorithms`, or have the issuer sign with another one",
        "mcp_oauth_token_audience" => {
            "have the client send `resource`, or the issuer put the resource into `aud`; else list what it does put there in `audiences`"
        }
        "mcp_oauth_token_expired" => "get a new token; if it is new, set the clocks",
        "mcp_oauth_token_not_yet_valid" => "set the clocks of the issuer and of the proxy",
        "mcp_oauth_token_key" => {
            "compare the token's `kid` with the issuer's keys: the token may be another environment's, or the keys old"
        }
        "mcp_oauth_token_signature" => {
            "get a new token from this issuer: this one was changed, cut off, or is another environment's of the same names"
        }
        "mcp_oauth_token_inactive" => {
            "get a new token from this issuer: this one was revoked, has run out or is another's"
        }
        "mcp_oauth_token_sender_constrained" => {
            "configure `dpop` for `cnf.jkt` and `mutual_tls` for `cnf.x5t#S256`, or get a token that is not bound; one of DPoP is sent with --scheme DPoP"
        }
        "mcp_oauth_token_not_bound" => {
            "get a token that is bound to the client's DPoP key; if the resource takes others, send this one as Bearer"
        }
        "mcp_oauth_token_certificate" => {
            "give the fingerprint of the client's certificate with --certificate; in the proxy, end TLS there and ask for certificates"
        }

        "mcp_oauth_dpop_missing" => "add the client's proof: --header 'DPoP: PROOF'",
        "mcp_oauth_dpop_nonce" => {
            "make the proof with the nonce of the answer, as a client does; if that never ends, give all proxies the same `nonce.key_variable`"
        }
        "mcp_oauth_dpop_malformed" => {
            "send one proof: a JWT of the type `dpop+jwt` with the public key in `jwk`, signed by an algorithm that `dpop` takes"
        }
        "mcp_oauth_dpop_key" => "make the proof with the key for which the token was issued, or log in again",
        "mcp_oauth_dpop_use" => {
            "make the proof for this method, this token, and the URL that users type: compare `htm`, `ath` and `htu`"
        }
        "mcp_oauth_dpop_time" => "make a new proof; if it is new, set the client's clock, or --now to when it was made",
        "mcp_oauth_dpop_signature" => "sign the proof with the key that its `jwk` names",
        "mcp_oauth_dpop_replay" => "make a new proof for each request, also when it is tried again",

        "mcp_oauth_insufficient_scope" => {
            "have the client ask for the scopes of the challenge, and the issuer grant them"
        }
        "mcp_oauth_denied" => "change `rules` or `default` if the caller may do it: no scope cures it",
        "mcp_oauth_origin" => "list the page's origin in `origins`: compare scheme, host and port",
        "mcp_oauth_session" => {
            "have the client begin a new session; if all of them must, give all proxies the same `sessions.key_variable`"
        }

        "mcp_oauth_unmatched" => "compare host and path with `resource`",
        "mcp_oauth_no_document" => {
            "ask at the path of the resource behind the well-known one, or set `host_default` for the place without a path"
        }
        "mcp_oauth_document_method" => "read it with GET or HEAD",
        "mcp_oauth_ambiguous_path" => {
            "write the path plainly: without `..`, `//`, `;`, `%2F`, and letters encoded for nothing"
        }
        "mcp_oauth_method" => "use POST, GET or DELETE: an MCP endpoint has no other method",
        "mcp_oauth_media_type" => "send the body as `content-type: application/json`, once, and not compressed",
        "mcp_oauth_body_too_large" => "send less, or raise `body.max_size` and the proxy's own limit",
        "mcp_oauth_malformed_message" => {
            "send one JSON-RPC message without repeated members; for batches set `body.batches`"
        }
        "mcp_oauth_header_mismatch" => "the client must send headers that say what its body says",
        "mcp_oauth_ambiguous_uri" => "name the resource by a URI that has one reading: see `Rules` in README.md",

        "mcp_oauth_keys_unavailable" => "see whether the proxy reaches the issuer, and what its metadata says",
        "mcp_oauth_introspection_unavailable" => {
            "see whether the proxy reaches the endpoint, and whether `client_id` and the secret are right"
        }
        "mcp_oauth_upstream_credential_unavailable" => {
            "see whether the proxy reaches the token endpoint, and what that answers"
        }
        "mcp_oauth_upstream_credential_refused" => {
            "look up its `error`: `invalid_client` is the proxy's own secret, `invalid_target` its `audience`, `invalid_grant` the caller's token; without one the server itself refused the credential"
        }
        "mcp_oauth_unreadable_list" => "switch the server's compression off: `filter_lists` must read its lists",
        "mcp_oauth_early_response" => "have the server read the request before it answers",
        "mcp_oauth_overloaded" => {
            "see why requests wait: an issuer that is slow, or clients that do not end their bodies"
        }
        "mcp_oauth_route_resource" => "name a configured `resource` in the metadata of the proxy's route",
        "mcp_oauth_misconfigured" => "see what is wrong with: mcp-oauth check FILE",
        "mcp_oauth_host_failure" => "see the proxy's log, and docs/compatibility.md for the versions that were tried",
        _ => return None,
    })
}
