//! Which configuration of a file is meant. What is one, and where each stands, is what `check` says.

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
    let all = names(&found, &source);
    if let Some(at) = options.at.as_deref() {
        let wanted = parse(at).ok_or_else(|| Misuse::new("--at is no place", "write --at LINE or --at LINE:COLUMN"))?;
        found.retain(|one| {
            let (line, column) = source.place(one.at);
            line == wanted.0 && wanted.1.is_none_or(|wanted| wanted == column)
        });
    }
    let (Some(Found { readable, .. }), None) = (found.pop(), found.pop()) else {
        return Err(match options.at {
            None => {
                let what = format!("{name}: there are several plugin configurations in it: {all}");
                Misuse::new(what, "choose one with --at LINE or --at LINE:COLUMN")
            }
            Some(_) => {
                let what = format!("{name}: not exactly one plugin configuration begins there");
                Misuse::new(what, format!("give --at the place of one: {all}"))
            }
        });
    };
    readable.map_err(|why| Misuse::new(format!("{name}: {why}"), &*cure))
}

fn parse(text: &str) -> Option<(usize, Option<usize>)> {
    match text.split_once(':') {
        None => Some((text.parse().ok()?, None)),
        Some((line, column)) => Some((line.parse().ok()?, Some(column.parse().ok()?))),
    }
}

/// Places, each with what tells it from the others.
fn names(found: &[Found], source: &Source) -> String {
    let one = |one: &Found| {
        let (line, column) = source.place(one.at);
        let tree = one.readable.as_ref().ok().and_then(|readable| readable.tree().ok());
        let first = tree.and_then(|tree| tree.get(&["resources"])?.items().first()?.text_of(&["resource"]));
        let resource = first.map(|resource| format!(" ({})", shown_uri(resource))).unwrap_or_default();
        format!("{line}:{column}{resource}")
    };
    let mut names: Vec<String> = found.iter().take(MAX_NAMED).map(one).collect();
    if let Some(more) = found.len().checked_sub(MAX_NAMED).filter(|more| *more > 0) {
        names.push(format!("{more} more"));
    }
    names.join(", ")
}
