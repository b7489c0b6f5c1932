//! Which configuration of a file is meant. What is one, and where each stands, is what `check` says.

use std::collections::HashSet;

use crate::{
    Misuse,
    arguments::{Check, Explain},
    check::{self, Found},
    configuration::Readable,
    node::shown_uri,
    output,
    source::{self, ReadError, Source},
};

/// More are counted only.
const MAX_NAMED: usize = 8;

/// The one that is there, or the one at the place that was given.
pub(super) fn configuration(options: &Explain) -> Result<Readable, Misuse> {
    let name = &options.config;
    let cure = format!("see what is wrong with: mcp-oauth check {name}");
    let source = source::read(name).map_err(|error| match error {
        ReadError::Unreadable(why) => {
            Misuse::new(format!("{}: {why}", output::name_of_file(name)), "name a file that can be read")
        }
        ReadError::Content(why) => Misuse::new(format!("{name}: {why}"), &*cure),
    })?;
    let environment = options.environment.clone();
    let mut found = check::look(&source, &Check { environment, ..Check::default() }).found;
    if found.is_empty() {
        return Err(Misuse::new(format!("{name}: there is no plugin configuration in it"), &*cure));
    }
    // Aliases are one configuration, wherever it is used.
    let mut seen = HashSet::new();
    found.retain(|one| {
        let content = one.readable.as_ref().map(|readable| readable.json.clone()).map_err(|why| *why);
        seen.insert((one.at, content))
    });
    let all = names(&found, &source);
    if let Some(at) = options.at.as_deref() {
        let wanted = parse(at).ok_or_else(|| Misuse::new("--at is no place", format!("write {FORMS}")))?;
        found.retain(|one| {
            let (line, column) = source.place(one.at);
            line == wanted.line && wanted.column.is_none_or(|wanted| wanted == column)
        });
        if let Some(number) = wanted.number {
            found = found.into_iter().skip(number.saturating_sub(1)).take(number.min(1)).collect();
        }
    }
    let (Some(Found { readable, .. }), None) = (found.pop(), found.pop()) else {
        return Err(match options.at {
            None => {
                let what = format!("{name}: there are several plugin configurations in it: {all}");
                Misuse::new(what, format!("choose one with {FORMS}"))
            }
            Some(_) => {
                let what = format!("{name}: not exactly one plugin configuration begins there");
                Misuse::new(what, format!("give --at the place of one: {all}"))
            }
        });
    };
    readable.map_err(|why| Misuse::new(format!("{name}: {why}"), &*cure))
}

const FORMS: &str = "--at LINE, --at LINE:COLUMN or --at LINE:COLUMN#NUMBER";

/// A place, and which of several there.
struct Place {
    line: usize,
    column: Option<usize>,
    number: Option<usize>,
}

fn parse(text: &str) -> Option<Place> {
    let (place, number) = match text.split_once('#') {
        None => (text, None),
        Some((place, number)) => (place, Some(number.parse().ok()?)),
    };
    let (line, column) = match place.split_once(':') {
        None => (place, None),
        Some((line, column)) => (line, Some(column.parse().ok()?)),
    };
    Some(Place { line: line.parse().ok()?, column, number })
}

/// Places, each with what tells it from the others. What is in one base64 value has one place.
fn names(found: &[Found], source: &Source) -> String {
    let one = |index: usize, one: &Found| {
        let (line, column) = source.place(one.at);
        let tree = one.readable.as_ref().ok().and_then(|readable| readable.tree().ok());
        let first = tree.and_then(|tree| tree.get(&["resources"])?.items().first()?.text_of(&["resource"]));
        let resource = first.map(|resource| format!(" ({})", shown_uri(resource))).unwrap_or_default();
        let before = found.iter().take(index).filter(|other| other.at == one.at).count();
        let is_alone = found.iter().filter(|other| other.at == one.at).count() == 1;
        let number = if is_alone { String::new() } else { format!("#{}", before.saturating_add(1)) };
        format!("{line}:{column}{number}{resource}")
    };
    let mut names: Vec<String> =
        found.iter().enumerate().take(MAX_NAMED).map(|(index, found)| one(index, found)).collect();
    if let Some(more) = found.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}
