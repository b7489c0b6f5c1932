//! What to do about a refusal. `tests/tool/explain.rs` goes over all reasons of the core: none may be missing.

/// By the refusal's stable name; `None` for what is no refusal.
pub(crate) fn cure(reason: &str) -> Option<&'static str> {
    Some(match reason {
        "mcp_oauth_missing_token" => "nothing is wrong: a client follows the challenge and comes back with a token",
        "mcp_oauth_malformed_credentials" => "send one `Authorization: Bearer` header with one token",
        "mcp_oauth_malformed_request" => "send one method, one path and one host",

        "mcp_oauth_token_malformed" => "get a JWT access token; for opaque ones configure `introspection`",
        "mcp_oauth_token_type" => {
            "use the access token, not the ID token; perhaps `provider` says more of the issuer's tokens"
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
            "compare the token's `kid` with the issuer's keys: another environment's token, or keys that are old"
        }
        "mcp_oauth_token_signature" => {
            "the token was changed, cut off, or is from another environment with the same names"
        }
        "mcp_oauth_token_inactive" => "it was revoked, or is of another issuer",
        "mcp_oauth_token_sender_constrained" => {
            "configure `dpop` or `mutual_tls`, or get a token that is not bound; one of DPoP goes with --scheme DPoP"
        }
        "mcp_oauth_token_not_bound" => "get a token that is bound to the client's DPoP key",
        "mcp_oauth_token_certificate" => {
            "give the fingerprint of the client's certificate with --certificate; in the proxy, end TLS there and ask for certificates"
        }

        "mcp_oauth_dpop_missing" => "add the client's proof: --header 'DPoP: PROOF'",
        "mcp_oauth_dpop_nonce" => {
            "nothing is wrong: a client takes the nonce of the answer and comes back; if it never ends, give all proxies the same `nonce.key_variable`"
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
        "mcp_oauth_denied" => "a rule says so; no scope cures it",
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
            "look up its `error`: `invalid_client` is the proxy's own secret, `invalid_target` its `audience`, `invalid_grant` the caller's token"
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
