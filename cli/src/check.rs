//! `mcp-oauth check`: what is wrong with a configuration, with place and cure.

use std::{borrow::Cow, collections::HashSet};

use mcp_oauth::config;
use serde_json::json;

use crate::{
    Ending, Misuse, advice,
    arguments::Check,
    assumed::Environment,
    budget::{Budget, MAX_CONFIGURATIONS, MAX_NESTING, MAX_TEXT_BYTES},
    clusters::{Clusters, named},
    configuration::{Readable, Unreadable},
    cures,
    manifests::{self, Documents, Holder, Inner},
    node::{Node, SyntaxError, Value, shown, shown_uri},
    output::{self, Ink, Output},
    recognise,
    services::Made,
    source::{self, ReadError, Source},
    switches::Switches,
    yaml::Document,
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Severity {
    /// It would not load, or not protect.
    Error,
    Warning,
    /// Good to know; it is no finding.
    Note,
}

impl Severity {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        }
    }
}

/// One thing that is wrong with a file.
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// In characters from the beginning of the file.
    pub(crate) at: usize,
    pub(crate) path: String,
    pub(crate) reason: String,
    pub(crate) value: Option<String>,
    pub(crate) cure: String,
}

impl Finding {
    pub(crate) fn new(
        severity: Severity,
        at: usize,
        path: &str,
        reason: impl Into<String>,
        cure: impl Into<String>,
    ) -> Self {
        Self { severity, at, path: path.to_owned(), reason: reason.into(), value: None, cure: cure.into() }
    }
}

/// More findings than these are counted only.
const MAX_SHOWN: usize = 200;

pub(crate) fn run(options: &Check, out: &mut Output) -> Result<Ending, Misuse> {
    options.environment.iter().for_each(|(_, value)| out.keep_secret(value));
    if options.files.iter().filter(|name| *name == "-").count() > 1 {
        return Err(Misuse::new(
            "standard input is named twice",
            "name it once: the second time nothing is left of it",
        ));
    }
    let (mut documents, mut unread) = (Vec::new(), Vec::new());
    let (mut count, mut configurations) = (0_usize, 0_usize);
    for name in &options.files {
        out.progress(&format!("reading {}", output::name_of_file(name)));
        let report = match source::read(name) {
            Ok(source) => look(&source, options),
            Err(ReadError::Unreadable(why)) => {
                let cure = "name a file that can be read, or `-` for standard input";
                output::complain(&Misuse::new(format!("{}: {why}", output::name_of_file(name)), cure));
                unread.push(json!({ "file": output::name_of_file(name), "reason": why, "cure": cure }));
                continue;
            }
            Err(ReadError::Content(why)) => {
                let empty = Source::new(name, String::new());
                let cure = "check the file that holds the configuration, as text in UTF-8";
                Report::only(&empty, Finding::new(Severity::Error, 0, "", why, cure))
            }
        };
        configurations = configurations.saturating_add(report.found.len());
        count = count.saturating_add(report.placed.iter().filter(|(_, f)| f.severity != Severity::Note).count());
        print(&report, out);
        documents.extend(report.placed.iter().map(|((line, column), finding)| {
            json!({
                "file": report.file, "line": line, "column": column, "severity": finding.severity.name(),
                "path": finding.path, "reason": finding.reason, "value": finding.value, "cure": finding.cure,
            })
        }));
    }
    out.document(&json!({
        "findings": documents, "count": count, "configurations": configurations, "unread": unread,
    }));
    let files = options.files.len().saturating_sub(unread.len());
    if files > 0 {
        out.line(&match count {
            0 => out.paint(
                Ink::Green,
                &format!("no findings: {} in {}", number(configurations, "configuration"), number(files, "file")),
            ),
            count => out.paint(Ink::Red, &number(count, "finding")),
        });
    }
    Ok(match count {
        // Whatever the others are like: this is not the answer that was asked for.
        _ if !unread.is_empty() => Ending::Misuse,
        0 => Ending::Good,
        _ => Ending::Findings,
    })
}

fn number(count: usize, of: &str) -> String {
    format!("{count} {of}{}", if count == 1 { "" } else { "s" })
}

fn print(report: &Report, out: &Output) {
    for ((line, column), finding) in report.placed.iter().take(MAX_SHOWN) {
        let ink = match finding.severity {
            Severity::Error => Ink::Red,
            Severity::Warning => Ink::Yellow,
            Severity::Note => Ink::Dim,
        };
        let place = out.paint(Ink::Bold, &format!("{}:{line}:{column}:", report.file));
        let path = if finding.path.is_empty() { String::new() } else { format!("{}: ", finding.path) };
        out.line(&format!("{place} {}: {path}{}", out.paint(ink, finding.severity.name()), finding.reason));
        if let Some(value) = &finding.value {
            out.line(&format!("   value: {value}"));
        }
        if !finding.cure.is_empty() {
            out.line(&format!("   cure: {}", finding.cure));
        }
    }
    if let Some(more) = report.placed.len().checked_sub(MAX_SHOWN).filter(|more| *more > 0) {
        out.line(&format!("{}: and {more} more", report.file));
    }
}

/// What was found in one file.
pub(crate) struct Report {
    file: String,
    pub(crate) placed: Vec<((usize, usize), Finding)>,
    pub(crate) found: Vec<Found>,
}

/// A plugin configuration.
pub(crate) struct Found {
    /// In characters from the beginning of the file.
    pub(crate) at: usize,
    /// Or why not.
    pub(crate) readable: Result<Readable, &'static str>,
}

impl Report {
    fn only(source: &Source, finding: Finding) -> Self {
        Self { file: source.name.clone(), placed: vec![(source.place(finding.at), finding)], found: Vec::new() }
    }
}

/// Everything that is wrong with a file.
pub(crate) fn look(source: &Source, options: &Check) -> Report {
    let mut search = Search { options, budget: Budget::default(), found: Vec::new(), telling: 0 };
    let mut findings = search.look_into(source, 0);
    if search.budget.is_spent() {
        let reason = format!(
            "there is more here than is looked at: {MAX_CONFIGURATIONS} configurations, {} MiB of texts",
            MAX_TEXT_BYTES / 1024 / 1024
        );
        findings.push(Finding::new(Severity::Error, 0, "", reason, "check its parts as files of their own"));
    }
    let found = search.found;
    if found.is_empty() && findings.is_empty() {
        let reason = "there is no plugin configuration of this filter here";
        let cure = "name a file with `authorization_servers` and `resources`, or with a manifest that holds them";
        findings.push(Finding::new(Severity::Error, 0, "", reason, cure));
    }
    let mut placed: Vec<_> = findings.into_iter().map(|finding| (source.place(finding.at), finding)).collect();
    placed.sort_by_key(|(place, _)| *place);
    Report { file: source.name.clone(), placed, found }
}

/// One file, and the files in it.
struct Search<'o> {
    options: &'o Check,
    budget: Budget,
    found: Vec<Found>,
    /// Texts in it that name this filter's settings, readable or not.
    telling: usize,
}

impl Search<'_> {
    fn look_into(&mut self, source: &Source, nesting: usize) -> Vec<Finding> {
        let Documents { all: documents, no_json } = match manifests::documents(source) {
            Ok(documents) => documents,
            Err(SyntaxError { at, reason }) => {
                return vec![Finding::new(Severity::Error, at, "", reason, "mend the syntax here, or just before")];
            }
        };
        let (mut findings, mut arounds) = (Vec::new(), HashSet::new());
        let mut switches = Switches::of(documents.iter().map(|document| &document.node));
        let mut made = Made::of(documents.iter().map(|document| &document.node));
        for Document { node: document, disputed } in &documents {
            if let Some(SyntaxError { at, reason }) = disputed {
                let cure = "write what all of them read in the same way";
                findings.push(Finding::new(Severity::Error, *at, "", reason, cure));
            }
            let mut clusters = Clusters::of(document);
            for plugin in manifests::find(document) {
                if !self.budget.has_configuration() {
                    return findings;
                }
                let no_json = no_json.as_ref().filter(|_| plugin.holder == Holder::Itself);
                if let Some(SyntaxError { at, reason }) = no_json {
                    let cure = "mend the JSON here, or just before";
                    findings.push(Finding::new(Severity::Error, *at, "", reason, cure));
                }
                let readable = plugin.configuration.read(source, &mut self.budget);
                match &readable {
                    Ok(readable) => findings.extend(ask(readable, plugin.holder, self.options)),
                    Err(Unreadable { reason, cure }) => {
                        let at = plugin.configuration.node().at;
                        findings.push(Finding::new(Severity::Error, at, "configuration", *reason, *cure));
                    }
                }
                findings.extend(advice::advise(&plugin, readable.as_ref().ok()));
                if arounds.insert(std::ptr::from_ref(plugin.around)) {
                    findings.extend(advice::advise_around(&plugin));
                }
                if let Ok(readable) = &readable
                    && let Ok(tree) = readable.tree()
                {
                    findings.extend(match plugin.holder {
                        Holder::Envoy => clusters.advise(&named(tree), readable),
                        holder => made.advise(holder, tree, readable),
                    });
                }
                let told = plugin.filter.map(|filter| switches.tell(filter)).unwrap_or_default();
                findings.extend(told.findings);
                for around in told.arounds.into_iter().filter(|around| arounds.insert(std::ptr::from_ref(*around))) {
                    findings.extend(advice::settings(around, Holder::Envoy));
                }
                let readable = readable.map_err(|why| why.reason);
                let readable = match (no_json, disputed) {
                    (Some(_), _) => Err("no JSON"),
                    (None, Some(_)) => Err("not read in the same way by all readers of YAML"),
                    (None, None) => readable,
                };
                self.found.push(Found { at: plugin.configuration.node().at, readable });
            }
            for inner in manifests::inner_files(document) {
                findings.extend(self.look_inside(source, &inner, nesting));
            }
        }
        findings
    }

    fn look_inside(&mut self, source: &Source, inner: &Inner<'_>, nesting: usize) -> Vec<Finding> {
        let Inner { name, node, text } = inner;
        let is_telling = recognise::is_telling_text(text);
        self.telling = self.telling.saturating_add(usize::from(is_telling));
        if nesting >= MAX_NESTING {
            let (reason, cure) = ("a file in files is not looked at so deep", "check it as a file of its own");
            let finding = || Finding::new(Severity::Error, node.at, &shown(name), reason, cure);
            return is_telling.then(finding).into_iter().collect();
        }
        if !self.budget.has_text(text.len()) {
            return Vec::new();
        }
        let places = match (&node.value, text) {
            (Value::Text { style, .. }, Cow::Borrowed(text)) => source.align(node.at, *style, text),
            // What was base64: all places are that of the value.
            _ => Vec::new(),
        };
        let before = (self.found.len(), self.telling);
        let found = self.look_into(&Source::new(name, text.clone().into_owned()), nesting.saturating_add(1));
        let outer = |at: usize| places.get(at).or(places.last()).copied().unwrap_or(node.at);
        self.found.iter_mut().skip(before.0).for_each(|one| one.at = outer(one.at));
        // A file without anything of ours in it is none of our business.
        let is_ours = is_telling || (self.found.len(), self.telling) != before;
        found.into_iter().filter(|_| is_ours).map(|f| Finding { at: outer(f.at), ..f }).collect()
    }
}

/// What the core says.
fn ask(readable: &Readable, holder: Holder, options: &Check) -> Vec<Finding> {
    let nothing = Node { at: 0, value: Value::Null };
    let tree = readable.tree().unwrap_or(&nothing);
    let environment = Environment::new(&options.environment, !options.strict_environment, tree);
    let mut findings: Vec<Finding> = match config::parse_in(readable.json.as_bytes(), &|name| environment.value(name)) {
        Ok(policy) => {
            let note = |reason: String| Finding::new(Severity::Note, readable.place("", false).0, "", reason, "");
            policy.warnings().map(note).collect()
        }
        Err(found) => found.into_iter().map(|finding| placed(&finding, readable, holder)).collect(),
    };
    if let Some(reason) = environment.note() {
        let cure = "give values with --env NAME=VALUE, or see what fails without with --strict-env";
        let at = readable.place("", false).0;
        findings.push(Finding::new(Severity::Note, at, "environment", reason, cure));
    }
    findings
}

fn placed(finding: &config::Finding, readable: &Readable, holder: Holder) -> Finding {
    let config::Finding { path, reason } = finding;
    if path.is_empty()
        && let Err(SyntaxError { at, reason }) = readable.tree()
    {
        let cure = "mend the JSON here, or just before";
        return Finding::new(Severity::Error, readable.in_file(*at), "", format!("no JSON: {reason}"), cure);
    }
    let is_unknown = reason.starts_with("unknown key");
    let (at, node) = readable.place(path, is_unknown);
    // An unknown setting may be a secret in the wrong place, and so may whatever stands where secrets are configured.
    const SECRET: [&str; 6] = ["static_tokens", "upstream_credential", "introspection", "sessions", "dpop", "jwks"];
    let is_below = path.split(['.', '[']).any(|name| SECRET.contains(&name));
    let is_secret = is_unknown || is_below || path.ends_with("_variable");
    let value = node.filter(|_| !is_secret && !path.is_empty()).map(show);
    let cure = cures::variable(reason, holder).unwrap_or_else(|| cures::cure(path, reason));
    Finding { value, ..Finding::new(Severity::Error, at, path, reason, cure) }
}

/// A value in one short line.
fn show(node: &Node) -> String {
    match &node.value {
        Value::Null => "null".to_owned(),
        Value::Truth(truth) => truth.to_string(),
        Value::Number(number) => shown(number),
        Value::Text { text, .. } => format!("\"{}\"", shown_uri(text)),
        Value::List(items) => format!("a list of {}", items.len()),
        Value::Map(members) => format!("an object with {} members", members.len()),
    }
}
