//! What the gate asks other servers, answered from files or by those servers.

use mcp_oauth::{
    fetch::{Answer, Fetch, FetchError, KeyEvent, KeyEventKind, MAX_DOCUMENT_BYTES, RemoteEvent},
    issuer::{Issuer, MetadataError},
};

use crate::{
    http::{self, Client, Unreachable},
    output::Output,
};

/// As much is read of an answer that is too large.
const CUT_OFF: usize = MAX_DOCUMENT_BYTES + 1;

/// Who answers.
pub(crate) struct Answers {
    /// A JWK Set for all issuers.
    pub(crate) keys: Option<String>,
    pub(crate) client: Option<Client>,
    /// Whether a token endpoint may be asked for credentials.
    pub(crate) exchange: bool,
    pub(crate) issuers: Vec<String>,
    /// The secrets that nobody gave. What is made up for them is sent to no server.
    pub(crate) made_up: Vec<String>,
    pub(crate) unreachable: Vec<Unreachable>,
    /// What was asked and not answered.
    pub(crate) open: Option<String>,
    /// What came of the answers.
    pub(crate) events: Vec<String>,
}

/// An answer that is kept while the gate reads it.
#[derive(Default)]
pub(crate) struct Kept {
    status: String,
    content_type: Option<String>,
    cache_control: Option<String>,
    body: Vec<u8>,
    too_large: bool,
    failed: bool,
}

impl Kept {
    pub(crate) fn answer(&self) -> Answer<'_> {
        if self.failed {
            return Answer::NoResponse;
        }
        if self.too_large {
            return Answer::TooLarge(CUT_OFF);
        }
        Answer::Response {
            status: self.status.as_bytes(),
            content_type: self.content_type.as_deref().map(str::as_bytes),
            cache_control: self.cache_control.as_deref().map(str::as_bytes),
            body: &self.body,
        }
    }

    fn json(body: String) -> Self {
        let content_type = Some("application/json".to_owned());
        Self { status: "200".to_owned(), content_type, body: body.into_bytes(), ..Self::default() }
    }
}

impl Answers {
    /// The answer to a fetch; `None` if there is nobody to ask, which [`Answers::open`] says.
    pub(crate) fn to(&mut self, fetch: &Fetch, out: &Output) -> Option<Kept> {
        let url = fetch.uri.as_str();
        if let (None, Some(keys)) = (&fetch.post, &self.keys) {
            return Some(match self.issuer_of_metadata(fetch) {
                Some(issuer) => Kept::json(metadata(&issuer)),
                None => Kept::json(keys.clone()),
            });
        }
        let is_for_upstream = fetch.post.as_ref().is_some_and(|post| !post.form.expose().contains("token_type_hint="))
            && !self.is_tokeninfo(fetch);
        let address = http::address(url);
        let Some(client) = self.client.as_ref() else {
            self.open = Some(match &fetch.post {
                None => {
                    format!("the keys of {address} are needed: give them with --keys FILE, or get them with --fetch")
                }
                Some(_) => format!("{address} would have to be asked: with --fetch it is"),
            });
            return None;
        };
        if is_for_upstream && !self.exchange {
            self.open =
                Some(format!("{address} would have to issue a credential for the server: with --exchange it does"));
            return None;
        }
        if let (Some(_), [_, ..]) = (&fetch.post, &self.made_up[..])
            && !self.is_tokeninfo(fetch)
        {
            let names = self.made_up.join(", ");
            self.open = Some(format!(
                "{address} would be asked with a secret that is not set: give {names} with --env NAME=VALUE"
            ));
            return None;
        }
        out.progress(&format!("asking {address}"));
        let mut headers = vec![("accept", "application/json")];
        let authorization = fetch.post.as_ref().and_then(|post| post.authorization.as_ref());
        headers.extend(authorization.map(|secret| ("authorization", secret.expose())));
        if fetch.post.is_some() {
            headers.push(("content-type", mcp_oauth::form::MEDIA_TYPE));
        }
        let (step, method) = match &fetch.post {
            Some(_) if is_for_upstream => ("upstream credential", "POST"),
            Some(_) => ("introspection", "POST"),
            None => ("keys", "GET"),
        };
        let body = fetch.post.as_ref().map(|post| post.form.expose());
        Some(match client.ask(step, method, url, &headers, body, fetch.timeout) {
            Ok(response) => Kept {
                status: response.status.to_string(),
                content_type: response.header("content-type").map(str::to_owned),
                cache_control: response.header("cache-control").map(str::to_owned),
                too_large: response.too_large,
                body: response.body,
                failed: false,
            },
            Err(unreachable) => {
                self.unreachable.push(unreachable);
                Kept { failed: true, ..Kept::default() }
            }
        })
    }

    /// What the gate says of an answer. The place is left out where a file answered: nobody was asked there.
    pub(crate) fn note(&mut self, fetch: &Fetch, keys: Option<KeyEvent>, remote: Option<RemoteEvent>) {
        let is_file = fetch.post.is_none() && self.keys.is_some();
        let told = |event: &KeyEvent| match &event.kind {
            KeyEventKind::Fetched { usable, skipped, .. } if is_file => {
                format!("keys: --keys has `{usable}` usable keys, `{skipped}` were left out")
            }
            KeyEventKind::Failed { error, .. } | KeyEventKind::TriedElsewhere { error, .. } if is_file => {
                format!("keys: --keys: {error}")
            }
            _ => event.to_string(),
        };
        let told = |event: KeyEvent| match &event.kind {
            KeyEventKind::TriedElsewhere { error, .. } | KeyEventKind::Failed { error, .. } => match error {
                FetchError::Metadata(MetadataError::Issuer(value) | MetadataError::JwksUri(value, _)) => {
                    http::without_secrets(&told(&event), &[value])
                }
                _ => told(&event),
            },
            _ => told(&event),
        };
        let told = keys.map(told).into_iter().chain(remote.map(|event| event.to_string()));
        let uri = fetch.uri.as_str();
        let told: Vec<_> = told.map(|event| self.as_it_was(&event.replace(uri, &http::address(uri)))).collect();
        self.events.extend(told);
    }

    /// What the gate says, and what it does not know: why there was no response, and that a long one was not read to its end.
    pub(crate) fn as_it_was(&self, told: &str) -> String {
        let told = told.replace(
            &FetchError::TooLarge(CUT_OFF).to_string(),
            &format!("answered more than `{MAX_DOCUMENT_BYTES}` bytes"),
        );
        match self.unreachable.last() {
            Some(server) => told.replace(&FetchError::NoResponse.to_string(), &server.why),
            None => told,
        }
    }

    fn is_tokeninfo(&self, fetch: &Fetch) -> bool {
        fetch.post.as_ref().is_some_and(|post| post.form.expose().starts_with("access_token="))
    }

    /// The issuer whose metadata is asked for; `None` if it is keys.
    fn issuer_of_metadata(&self, fetch: &Fetch) -> Option<String> {
        let url = fetch.uri.as_str();
        let path = fetch.uri.path();
        let known = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];
        if !known.iter().any(|known| path.contains(known)) {
            return None;
        }
        let is_its = |issuer: &&String| {
            let parsed = Issuer::parse(issuer);
            parsed.is_ok_and(|issuer| issuer.metadata_candidates().iter().any(|candidate| candidate.as_str() == url))
        };
        let origin = |issuer: &&String| issuer.contains(fetch.uri.authority());
        let found = self.issuers.iter().find(is_its).or_else(|| self.issuers.iter().find(origin));
        found.or(self.issuers.first()).cloned()
    }
}

/// Just enough metadata to lead to the keys.
fn metadata(issuer: &str) -> String {
    let base = issuer.trim_end_matches('/');
    serde_json::json!({ "issuer": issuer, "jwks_uri": format!("{base}/keys-of-the-file") }).to_string()
}
