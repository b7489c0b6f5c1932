//! `mcp-oauth`: checks configurations of the filter, explains its decisions, looks at deployed servers.
//!
//! What the filter would say, it is asked: the core is the same. Nothing here decides anything by itself.

mod advice;
mod arguments;
mod assumed;
mod budget;
mod check;
mod clusters;
mod configuration;
mod cures;
mod dialects;
mod discover;
mod explain;
mod http;
mod init;
mod json;
mod manifests;
mod node;
mod output;
mod recognise;
mod schema;
mod services;
mod source;
mod switches;
mod yaml;

use std::process::ExitCode;

use arguments::Command;
use output::Output;

/// How it ended; the numbers are documented in `--help`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// Nothing to complain about.
    Good = 0,
    /// Findings, or a request that is refused.
    Findings = 1,
    /// The tool was not used as it is meant.
    Misuse = 2,
    /// A server that could not be reached.
    Unreachable = 3,
}

/// What was wrong with the way the tool was called: what, and the cure.
pub(crate) struct Misuse {
    pub(crate) what: String,
    pub(crate) cure: String,
}

impl Misuse {
    pub(crate) fn new(what: impl Into<String>, cure: impl Into<String>) -> Self {
        Self { what: what.into(), cure: cure.into() }
    }
}

fn main() -> ExitCode {
    let ending = arguments::parse(std::env::args_os().skip(1)).and_then(|(command, mut out)| {
        let ending = run(command, &mut out)?;
        out.end()?;
        Ok(ending)
    });
    let ending = ending.unwrap_or_else(|misuse| {
        output::complain(&misuse);
        Ending::Misuse
    });
    ExitCode::from(ending as u8)
}

fn run(command: Command, out: &mut Output) -> Result<Ending, Misuse> {
    match command {
        Command::Say(text) => {
            out.plain(&text);
            Ok(Ending::Good)
        }
        Command::Check(options) => check::run(&options, out),
        Command::Explain(options) => explain::run(&options, out),
        Command::Discover(options) => discover::run(&options, out),
        Command::Init(options) => init::run(options, out),
        Command::Schema => {
            out.plain(schema::TEXT.trim_end());
            Ok(Ending::Good)
        }
    }
}
