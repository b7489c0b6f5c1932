//! RFC 9449 section 4.3, check 9: the URI that a proof was made for, compared as RFC 3986 sections 6.2.2 and 6.2.3 have it.

use mcp_oauth::{
    dpop::ProofError,
    gate::Verdict,
    request::{Request, RouteResource},
};
use serde_json::{Value, json};

use super::{authorization, bound_token, not_proved, proof_claims, proof_header, sign_proof, thumbprint};
use crate::support::{NOW, ask, claims, gate, head, header, inline_config, outcome, put, sign, with};

fn config(resource: &str) -> Value {
    put(put(inline_config(), "/resources/0/dpop", json!({})), "/resources/0/resource", json!(resource))
}

/// Asks for a path of the resource with a proof for this URI.
fn ask_for(resource: &str, path: &str, htu: &str) -> Verdict {
    let token = sign(
        &header(),
        &with(with(claims(), "aud", json!(resource)), "cnf", json!({ "jkt": thumbprint(super::CLIENT).to_string() })),
    );
    let proof = sign_proof(&proof_header(), &with(proof_claims(&token), "htu", json!(htu)));
    let authorization = authorization(&token);
    ask(&mut gate(&config(resource)), &head(path, &[("authorization", &authorization), ("dpop", &proof)]))
}

#[test]
fn the_uri_of_the_request() {
    const MCP: &str = "https://mcp.example.com/mcp";
    const ROOT: &str = "https://mcp.example.com";
    let good = [
        (MCP, "/mcp", MCP),
        (MCP, "/mcp?a=b", MCP),
        (MCP, "/mcp", "https://mcp.example.com/mcp?a=b"),
        (MCP, "/mcp?a=b", "https://mcp.example.com/mcp?c#d"),
        (MCP, "/mcp", "https://mcp.example.com/mcp#"),
        (MCP, "/mcp/x", "https://mcp.example.com/mcp/x"),
        // What the client knows the resource by.
        (MCP, "/mcp/x", MCP),
        (MCP, "/mcp/", MCP),
        // Case and default port.
        (MCP, "/mcp", "HTTPS://MCP.Example.COM/mcp"),
        (MCP, "/mcp", "https://mcp.example.com:443/mcp"),
        (MCP, "/mcp", "https://mcp.example.com:/mcp"),
        // Percent-encoding and dot segments.
        (MCP, "/mcp", "https://mcp.example.com/%6dcp"),
        (MCP, "/mcp", "https://mcp.example.com/%6Dcp"),
        (MCP, "/mcp/a%C3%A9", "https://mcp.example.com/mcp/a%c3%a9"),
        (MCP, "/mcp", "https://mcp.example.com/./x/../mcp"),
        (ROOT, "/", "https://mcp.example.com/"),
        (ROOT, "/", "https://mcp.example.com"),
        (ROOT, "/", "HTTPS://mcp.example.com"),
        (ROOT, "/x", "https://mcp.example.com"),
        (ROOT, "/x", "https://mcp.example.com/x"),
    ];
    for (resource, path, htu) in good {
        assert_eq!(outcome(ask_for(resource, path, htu)), Ok(()), "{htu} for {path} of {resource}");
    }
    let bad = [
        (MCP, "/mcp", ""),
        (MCP, "/mcp", "/mcp"),
        (MCP, "/mcp", "mcp.example.com/mcp"),
        (MCP, "/mcp", "//mcp.example.com/mcp"),
        (MCP, "/mcp", "https:/mcp.example.com/mcp"),
        (MCP, "/mcp", "https:///mcp.example.com/mcp"),
        (MCP, "/mcp", "https:\\\\mcp.example.com\\mcp"),
        (MCP, "/mcp", "http://mcp.example.com/mcp"),
        (MCP, "/mcp", "https://mcp.example.com:8443/mcp"),
        (MCP, "/mcp", "https://mcp.example.com.evil.example/mcp"),
        (MCP, "/mcp", "https://evil@mcp.example.com/mcp"),
        (MCP, "/mcp", "https://:x@mcp.example.com/mcp"),
        (MCP, "/mcp", "https://evil.example/mcp"),
        (MCP, "/mcp", "https://mcp.example.com/MCP"),
        (MCP, "/mcp", "https://mcp.example.com/mcp/"),
        (MCP, "/mcp", "https://mcp.example.com/mcp%2F"),
        (MCP, "/mcp", "https://mcp.example.com/mcp%2"),
        (MCP, "/mcp", "https://mcp.example.com/%+6dcp"),
        (MCP, "/mcp", "https://mcp.example.com/mcp/x"),
        (MCP, "/mcp/x", "https://mcp.example.com/mcp/y"),
        (MCP, "/mcp", "https://mcp.example.com/"),
        (MCP, "/mcp", "https://mcp.example.com"),
        (MCP, "/mcp", "https://mcp.example.com/mcp x"),
        (MCP, "/mcp", "https://mcp.example.com/m\tcp"),
        (MCP, "/mcp", "https://mcp.example.com/\u{ff4d}cp"),
        (ROOT, "/x", "https://mcp.example.com/y"),
        (ROOT, "/x", "https://mcp.example.com//"),
    ];
    for (resource, path, htu) in bad {
        let found = outcome(ask_for(resource, path, htu));
        assert_eq!(found, not_proved(ProofError::OtherUse("htu")), "{htu:?} for {path} of {resource}");
    }
}

/// What a proxy makes of host and path, clients do not know: a route says which resource it is.
#[test]
fn the_resource_counts_and_not_the_authority_of_the_request() {
    let config = with(config("https://mcp.example.com/mcp"), "route_metadata", json!(true));
    let token = bound_token();
    for (htu, expected) in [
        ("https://mcp.example.com/mcp", Ok(())),
        ("https://mcp.example.com/rewritten", Ok(())),
        ("https://gateway/rewritten", not_proved(ProofError::OtherUse("htu"))),
    ] {
        let mut gate = gate(&config);
        let proof = sign_proof(&proof_header(), &with(proof_claims(&token), "htu", json!(htu)));
        let authorization = authorization(&token);
        let lines = [
            (":method", "POST"),
            (":authority", "gateway"),
            (":path", "/rewritten"),
            ("authorization", &authorization),
            ("dpop", &proof),
        ];
        let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        let route = RouteResource::Named(b"https://mcp.example.com/mcp");
        let request = Request::new(lines, gate.policy().identity_headers()).on_route(route);
        assert_eq!(outcome(gate.on_request(1, &request, NOW)), expected, "{htu}");
    }
}
