//! Which host and path belong to which resource, and to which document.

use alloc::{borrow::Cow, collections::BTreeMap, string::String, vec::Vec};

use crate::{path::RequestPath, resource::METADATA_PATH};

/// Which host and path belong to which resource.
#[derive(Clone, Debug, Default)]
pub(crate) struct Routes {
    hosts: BTreeMap<String, HostRoutes>,
    /// The resources of all hosts, by path alone.
    anywhere: HostRoutes,
}

#[derive(Clone, Debug, Default)]
struct HostRoutes {
    /// Path without its trailing slash → resource.
    resources: BTreeMap<String, usize>,
    /// The same in lower case.
    folded: BTreeMap<String, usize>,
    /// The lengths of those paths, longest first: the only prefixes that are worth a look.
    lengths: Vec<usize>,
    /// Path of a metadata document, without its trailing slash → resource.
    documents: BTreeMap<String, usize>,
    /// Path of a set of public keys → resource.
    keys: BTreeMap<String, usize>,
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// This resource.
    Resource(usize),
    /// The metadata of this resource.
    Document(usize),
    /// The public keys of the identity JWTs of this resource.
    Keys(usize),
    /// A well-known document that does not exist.
    NoDocument,
    /// Nothing that is configured.
    Nothing,
    /// Nothing that is configured, but what something behind the filter may take for it: a path of another host, where the
    /// proxy's route does not look at the host; or one in another case, which Express and others do not tell apart.
    Alike,
}

/// Metadata of an authorization server. Clients older than RFC 9728 look for it on the MCP server's own host; an answer
/// other than 404 there sends them into a dead end, or to the wrong server.
const SERVER_METADATA: [&str; 2] = ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"];

impl Routes {
    /// Adds a resource below `path`; false if the place is taken.
    pub(crate) fn add_resource(&mut self, authority: &str, path: &str, resource: usize) -> bool {
        self.anywhere.add(path, resource);
        self.hosts.entry(authority.into()).or_default().add(path, resource)
    }

    /// Adds the metadata document of a resource; false if the place is taken.
    pub(crate) fn add_document(&mut self, authority: &str, base_path: &str, resource: usize) -> bool {
        let host = self.hosts.entry(authority.into()).or_default();
        let path = alloc::format!("{METADATA_PATH}{base_path}");
        let free = host.documents.get(&path).is_none_or(|taken| *taken == resource);
        if free {
            host.documents.insert(path, resource);
        }
        free
    }

    /// Adds the public keys of a resource, and says whose are there now: the first that was added.
    pub(crate) fn add_keys(&mut self, authority: &str, path: &str, resource: usize) -> usize {
        let host = self.hosts.entry(authority.into()).or_default();
        let there = host.keys.get(path).copied();
        if there.is_none() {
            host.keys.insert(path.into(), resource);
        }
        there.unwrap_or(resource)
    }

    /// The resource that a path belongs to.
    pub(crate) fn resource(&self, authority: &str, path: &str) -> Option<usize> {
        self.hosts.get(authority)?.resource(path)?
    }

    /// Finds what a request is for. Host names are compared without case, paths with it.
    pub(crate) fn find(&self, authority: &[u8], path: &RequestPath<'_>) -> Target {
        let path = path.as_str();
        let host = self.host(authority);
        if is_below(path, METADATA_PATH) {
            let without_slash = path.strip_suffix('/').unwrap_or(path);
            let document = host.and_then(|host| host.documents.get(without_slash));
            return document.map_or(Target::NoDocument, |resource| Target::Document(*resource));
        }
        if let Some(resource) = host.and_then(|host| host.keys.get(path)) {
            return Target::Keys(*resource);
        }
        match host.and_then(|host| host.resource(path)) {
            Some(_) if SERVER_METADATA.into_iter().any(|document| is_below(path, document)) => Target::NoDocument,
            Some(Some(resource)) => Target::Resource(resource),
            None if self.anywhere.resource(path).is_none() => Target::Nothing,
            _ => Target::Alike,
        }
    }

    fn host(&self, authority: &[u8]) -> Option<&HostRoutes> {
        self.hosts.get(&*fold(str::from_utf8(authority).ok()?))
    }
}

fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Cow::Owned(text.to_ascii_lowercase());
    }
    Cow::Borrowed(text)
}

impl HostRoutes {
    fn add(&mut self, path: &str, resource: usize) -> bool {
        let folded = path.to_ascii_lowercase();
        let free = !self.folded.contains_key(&folded);
        if free {
            self.folded.insert(folded, resource);
            self.resources.insert(path.into(), resource);
            let place = self.lengths.partition_point(|length| *length > path.len());
            if self.lengths.get(place) != Some(&path.len()) {
                self.lengths.insert(place, path.len());
            }
        }
        free
    }

    /// The resource with the longest path that contains this one, on segment boundaries; `Some(None)` if it does so in another
    /// case only.
    fn resource(&self, path: &str) -> Option<Option<usize>> {
        let folded = fold(path);
        self.lengths.iter().find_map(|length| {
            let (prefix, rest) = folded.split_at_checked(*length)?;
            let on_boundary = rest.is_empty() || rest.starts_with('/');
            self.folded.get(prefix).filter(|_| on_boundary)?;
            Some(self.resources.get(path.get(..*length)?).copied())
        })
    }
}

/// Whether requests for this path are answered with documents, or with their absence.
pub(crate) fn is_well_known(path: &str) -> bool {
    is_below(path, METADATA_PATH) || SERVER_METADATA.into_iter().any(|document| is_below(path, document))
}

fn is_below(path: &str, base: &str) -> bool {
    path.strip_prefix(base).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
