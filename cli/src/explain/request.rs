//! The request that is explained, from the command line.

use std::io::Read as _;

use mcp_oauth::{config, policy::Policy, request::Certificate, time::UnixTime};

use super::{bound::Bound, chosen, presented};
use crate::{
    Misuse,
    arguments::Explain,
    assumed::Environment,
    output::{self, Output},
    source::{self, ReadError},
};

/// What is asked.
pub(crate) struct Asked {
    pub(crate) policy: Policy,
    pub(crate) issuers: Vec<String>,
    pub(crate) head: Vec<(String, String)>,
    /// `None`: the head is all of it.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) now: UnixTime,
    pub(crate) certificate: Option<Certificate>,
    /// What the token says that it is bound to.
    pub(crate) bound: Option<Bound>,
    /// The secrets that are not set.
    pub(crate) made_up: Vec<String>,
    /// What was assumed.
    pub(crate) notes: Vec<String>,
}

/// Headers that are secrets.
const SECRET: [&str; 3] = ["authorization", "dpop", "mcp-session-id"];

pub(crate) fn read(options: &Explain, out: &mut Output) -> Result<Asked, Misuse> {
    let inputs = [Some(&options.config), options.token.as_ref(), options.body.as_ref(), options.keys.as_ref()];
    if inputs.into_iter().flatten().filter(|input| *input == "-").count() > 1 {
        return Err(Misuse::new("standard input can be one thing only", "put the other one into a file"));
    }
    let presented = presented::read(options)?;
    let bound = presented.as_ref().and_then(|presented| Bound::of(&presented.token));
    if let Some(presented) = &presented {
        out.keep_secret(&presented.token);
    }
    options.environment.iter().for_each(|(_, value)| out.keep_secret(value));
    let mut notes = Vec::new();
    let (policy, issuers, first, made_up) = policy(options, &mut notes)?;

    let (authority, path) = target(options.path.as_deref(), &first)?;
    let method = options.method.clone().unwrap_or_else(|| "POST".to_owned());
    let pseudo = [(":method", method.as_str()), (":authority", authority.as_str()), (":path", path.as_str())];
    let mut head: Vec<(String, String)> =
        pseudo.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    if let Some(presented::Presented { scheme, token }) = presented {
        head.push(("authorization".to_owned(), format!("{scheme} {token}")));
    }
    for line in &options.headers {
        let Some((name, value)) = line.split_once(':').filter(|(name, _)| is_name(name)) else {
            return Err(Misuse::new("a --header without a name", "write --header 'name: value'"));
        };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().to_owned());
        match name.as_str() {
            // The name of a cookie is none of its secrets.
            "cookie" => value.split(';').for_each(|pair| out.keep_secret(pair.split_once('=').unwrap_or(("", pair)).1)),
            name if SECRET.contains(&name) => out.keep_secret(&value),
            _ => {}
        }
        head.push((name, value));
    }
    let body = body(options, &method, &mut notes)?;
    if body.is_some() && !head.iter().any(|(name, _)| name == "content-type") {
        head.push(("content-type".to_owned(), "application/json".to_owned()));
        notes.push("assumed `content-type: application/json`".to_owned());
    }
    if policy.reads_route_metadata() {
        notes.push("assumed that the proxy's route names no resource".to_owned());
    }
    let certificate = options.certificate.as_deref().map(|hex| match Certificate::from_hex(hex.as_bytes()) {
        Certificate::Unknown => Err(Misuse::new(
            "--certificate is no SHA-256 in 64 lower-case hexadecimal digits",
            "openssl x509 -outform der | sha256sum",
        )),
        certificate => Ok(certificate),
    });
    let now = match options.now.as_deref() {
        None => super::clock(),
        Some(text) => text.parse().ok().map(UnixTime).or_else(|| UnixTime::parse(text)).ok_or_else(|| {
            Misuse::new("--now is no time", "write seconds since 1970, or a time such as 2027-01-31T12:00:00Z")
        })?,
    };
    Ok(Asked { policy, issuers, head, body, now, certificate: certificate.transpose()?, bound, made_up, notes })
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
}

/// The policy, its issuers, its first resource, and the secrets that are not set.
fn policy(options: &Explain, notes: &mut Vec<String>) -> Result<(Policy, Vec<String>, String, Vec<String>), Misuse> {
    let name = &options.config;
    let cure = format!("see what is wrong with: mcp-oauth check {name}");
    let readable = chosen::configuration(options)?;
    let tree = readable.tree().map_err(|_| Misuse::new(format!("{name}: no JSON"), &*cure))?;
    let environment = Environment::new(&options.environment, true, tree);
    let policy = config::parse_in(readable.json.as_bytes(), &|name| environment.value(name)).map_err(|findings| {
        let what = format!("{name}: {} findings, so the filter answers 503 to everything", findings.len());
        Misuse::new(what, &*cure)
    })?;
    let assumed = environment.assumed().len();
    if assumed > 0 {
        notes
            .push(format!("made up {assumed} environment variables that are not set: give them with --env NAME=VALUE"));
    }
    let texts = |list: &str, member: &str| -> Vec<String> {
        let items = tree.get(&[list]).map(|list| list.items()).unwrap_or_default();
        items.iter().filter_map(|item| item.text_of(&[member])).map(str::to_owned).collect()
    };
    let first = texts("resources", "resource").into_iter().next().unwrap_or_default();
    Ok((policy, texts("authorization_servers", "issuer"), first, environment.made_up_secrets()))
}

/// Host and path: of the first resource, or as given.
fn target(path: Option<&str>, first: &str) -> Result<(String, String), Misuse> {
    let split = |url: &str| {
        let (_, rest) = url.split_once("://")?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(at)?;
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Some((authority.to_owned(), path))
    };
    let (authority, own) = split(first).unwrap_or_default();
    match path {
        None => Ok((authority, own)),
        Some(path) if path.starts_with('/') => Ok((authority, path.to_owned())),
        Some(url) => {
            split(url).ok_or_else(|| Misuse::new("--path is neither a path nor a URL", "write /mcp, or a whole URL"))
        }
    }
}

fn body(options: &Explain, method: &str, notes: &mut Vec<String>) -> Result<Option<Vec<u8>>, Misuse> {
    const MOST: u64 = 32 * 1024 * 1024;
    let Some(name) = options.body.as_deref() else {
        if method != "POST" {
            return Ok(None);
        }
        notes.push("assumed a body: a `ping`; give one with --body FILE".to_owned());
        return Ok(Some(br#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#.to_vec()));
    };
    let mut body = Vec::new();
    let most = MOST.saturating_add(1);
    let read = if name == "-" {
        std::io::stdin().take(most).read_to_end(&mut body)
    } else {
        std::fs::File::open(name).and_then(|file| file.take(most).read_to_end(&mut body))
    };
    let misuse = |error: std::io::Error| {
        Misuse::new(format!("--body {}: {error}", output::name_of_file(name)), "name a file that can be read")
    };
    read.map_err(misuse)?;
    if u64::try_from(body.len()).map_or(true, |size| size > MOST) {
        let what = format!("--body {name}: is longer than {} MiB", MOST / 1024 / 1024);
        return Err(Misuse::new(what, "name a file with less in it"));
    }
    Ok(Some(body))
}

pub(super) fn read_keys(name: &str) -> Result<String, Misuse> {
    let cure = "name a file with a JWK Set: { \"keys\": [ ... ] }";
    let source = source::read(name).map_err(|error| match error {
        ReadError::Unreadable(why) => Misuse::new(format!("--keys {}: {why}", output::name_of_file(name)), cure),
        ReadError::Content(why) => Misuse::new(format!("--keys {name}: {why}"), cure),
    })?;
    let set: Option<serde_json::Value> = serde_json::from_str(&source.text).ok();
    if !set.is_some_and(|set| set.get("keys").is_some_and(serde_json::Value::is_array)) {
        return Err(Misuse::new(format!("--keys {name}: is no JWK Set"), cure));
    }
    Ok(source.text)
}
