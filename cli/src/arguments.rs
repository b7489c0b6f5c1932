//! The command line.

use std::ffi::OsString;

use lexopt::prelude::*;

use crate::{Misuse, output::Output};

/// What to do.
pub(crate) enum Command {
    /// Help or version.
    Say(String),
    Check(Check),
    Explain(Explain),
    Discover(Discover),
    Init(Init),
    Schema,
}

#[derive(Default)]
pub(crate) struct Check {
    pub(crate) files: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) strict_environment: bool,
}

#[derive(Default)]
pub(crate) struct Explain {
    pub(crate) config: String,
    pub(crate) at: Option<String>,
    pub(crate) token: Option<String>,
    pub(crate) scheme: Option<String>,
    pub(crate) method: Option<String>,
    pub(crate) path: Option<String>,
    pub(crate) headers: Vec<String>,
    pub(crate) body: Option<String>,
    pub(crate) now: Option<String>,
    pub(crate) keys: Option<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) fetch: bool,
    pub(crate) exchange: bool,
    pub(crate) ca: Option<String>,
    pub(crate) environment: Vec<(String, String)>,
}

#[derive(Default)]
pub(crate) struct Discover {
    pub(crate) url: String,
    pub(crate) origin: Option<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) ca: Option<String>,
}

#[derive(Default)]
pub(crate) struct Init {
    pub(crate) kind: Option<String>,
    pub(crate) resource: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) provider: Option<String>,
    pub(crate) cluster: Option<String>,
    pub(crate) scopes: Option<String>,
    pub(crate) output: Option<String>,
}

const HELP: &str = "\
mcp-oauth: the command-line tool of mcp-oauth-filter

  mcp-oauth check FILE...                      find everything that is wrong with a configuration
  mcp-oauth explain --config FILE --token -    why a request is let through or refused, check by check
  mcp-oauth discover URL                       what an MCP client sees of a deployed server
  mcp-oauth init                               write a configuration: four questions, or flags
  mcp-oauth schema                             JSON Schema of the plugin configuration, for editors

  mcp-oauth COMMAND --help                     what a command takes
  --json                                       machine-readable output (all commands but schema)
  --version

exit codes: 0 nothing to complain about; 1 findings, or a request that is refused; 2 the tool was not used as it is
meant, which is said on standard error, also with --json; 3 a server could not be reached
";

const CHECK: &str = "\
mcp-oauth check FILE...    (`-` is standard input)

Finds the plugin configurations in a JSON file, an envoy.yaml, or the manifests WasmPlugin (Istio, Higress),
TrafficExtension, EnvoyExtensionPolicy, EnvoyFilter, ConfigMap and Secret, asks the filter's own code about each, and looks
at what is around them: fail-open settings, clusters that are missing, secrets in plain sight.

  --env NAME=VALUE   a value for an environment variable that the configuration names. Those that are neither given nor
                     in this process's environment are assumed to be right, and named as assumed
  --assume-env       the same as without it; for scripts that want to say so
  --strict-env       assume nothing: a variable that is not there is a finding
  --json

exit codes: 0 no findings, 1 findings, 2 misuse (such as a file that is not there; the others are checked)
";

const EXPLAIN: &str = "\
mcp-oauth explain --config FILE --token TOKEN|-

Asks the filter's own code about one request, and prints every check that it ran, in order, with the clause of the
specification, and the answer that the client gets. `--token -` reads the token from standard input, so that it stays out
of the shell's history; without --token the request has none. `Bearer` or `DPoP` before it is taken for its scheme. The
token is never printed.

  --config FILE        what check takes, with a plugin configuration in it
  --at PLACE           where the configuration begins, if there are several in the file: LINE, LINE:COLUMN, or
                       LINE:COLUMN#NUMBER for one of several in a base64 value
  --scheme SCHEME      how the token is presented: Bearer or DPoP; default what is before it, else Bearer
  --method METHOD      default POST
  --path PATH          a path of the first resource's host, or a whole URL; default the first resource
  --header 'N: V'      another header, any number of times
  --body FILE          the body of the request
  --now TIME           seconds since 1970, or 2027-01-31T12:00:00Z; default the clock
  --keys FILE          a JWK Set: the keys of every issuer that has none in the configuration
  --fetch              get keys and metadata over the network, and ask introspection endpoints, as the filter would
  --exchange           with --fetch: get upstream credentials too (a token endpoint issues one)
  --certificate HEX    SHA-256 of the client's certificate, where mutual_tls is configured
  --ca FILE            PEM certificates to trust instead of the public ones
  --env NAME=VALUE     as for check
  --json

exit codes: 0 it goes upstream, or the filter answers it with a document; 1 it is refused; 2 misuse, or undecided for want of
keys; 3 a server could not be reached
";

const DISCOVER: &str = "\
mcp-oauth discover URL

Asks a deployed MCP server what a client asks before it has a token: the challenge, the resource metadata at both
well-known places, the metadata of its authorization servers in the order in which clients try; and says what is wrong.
Nothing is registered, no redirect is followed.

  --origin ORIGIN    the page whose CORS rights are looked at; default https://example.com
  --timeout TIME     for each request, such as 5s; default 10s
  --ca FILE          PEM certificates to trust instead of the public ones
  --json

exit codes: 0 nothing wrong, 1 findings, 2 misuse, 3 a server that could not be reached
";

const INIT: &str = "\
mcp-oauth init

Writes the least that is needed, and checks it. Asks on a terminal for what is not given.

  --for KIND         envoy, istio, traffic-extension, envoy-gateway, higress or json
  --resource URL     the MCP server's URL as users type it
  --issuer URL       the authorization server, exactly as its tokens say in `iss`
  --provider NAME    whose product it is: keycloak, auth0, entra, okta, google, authentik or generic, which is the default.
                     Those that need more settings are refused: add them to what is written
  --cluster NAME     the proxy's cluster that reaches the issuer; has a default for each KIND. With another one, nothing
                     is written that makes a cluster
  --scopes 'A B'     what a token must carry; may be empty
  --output FILE      a new file; default `-`, which is standard output
  --json             findings, and which file was written, as JSON; what is written is the same

exit codes: 0 written, 1 findings in what would be written, 2 misuse
";

pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<(Command, Output), Misuse> {
    let mut parser = lexopt::Parser::from_args(arguments);
    read(&mut parser).map_err(|error| match error {
        Failure::Misuse(misuse) => misuse,
        Failure::Syntax(lexopt::Error::UnexpectedArgument(_)) => {
            Misuse::new("an argument that is not expected here", "see mcp-oauth --help")
        }
        Failure::Syntax(lexopt::Error::UnexpectedValue { option, .. }) => {
            Misuse::new(format!("{option} takes no value"), "see mcp-oauth --help")
        }
        // Whatever else begins with `--` may be a secret.
        Failure::Syntax(lexopt::Error::UnexpectedOption(option)) => {
            let is_word = option.len() <= 20 && option.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            let which = if is_word { format!(": {option}") } else { String::new() };
            Misuse::new(format!("an option that there is not{which}"), "see mcp-oauth COMMAND --help")
        }
        Failure::Syntax(error) => Misuse::new(error.to_string(), "see mcp-oauth --help"),
    })
}

enum Failure {
    Misuse(Misuse),
    Syntax(lexopt::Error),
}

impl From<lexopt::Error> for Failure {
    fn from(error: lexopt::Error) -> Self {
        Self::Syntax(error)
    }
}

fn text(parser: &mut lexopt::Parser) -> Result<String, Failure> {
    parser.value()?.into_string().map_err(|_| misuse("an argument that is not UTF-8", "write it in UTF-8"))
}

fn misuse(what: impl Into<String>, cure: impl Into<String>) -> Failure {
    Failure::Misuse(Misuse::new(what, cure))
}

fn variable(parser: &mut lexopt::Parser) -> Result<(String, String), Failure> {
    let text = text(parser)?;
    let (name, value) = text.split_once('=').ok_or_else(|| misuse("--env without `=`", "write --env NAME=VALUE"))?;
    Ok((name.to_owned(), value.to_owned()))
}

fn read(parser: &mut lexopt::Parser) -> Result<(Command, Output), Failure> {
    let mut json = false;
    let name = loop {
        match parser.next()? {
            None => return Err(misuse("no command", "mcp-oauth check FILE, or mcp-oauth --help")),
            Some(Long("help") | Short('h')) => {
                return Ok((Command::Say(HELP.trim_end().to_owned()), Output::new(false)));
            }
            Some(Long("version") | Short('V')) => {
                let version = format!("mcp-oauth {}", env!("CARGO_PKG_VERSION"));
                return Ok((Command::Say(version), Output::new(false)));
            }
            Some(Long("json")) => json = true,
            Some(Value(name)) => break name.to_string_lossy().into_owned(),
            Some(other) => return Err(other.unexpected().into()),
        }
    };
    let (help, mut command) = match name.as_str() {
        "check" => (CHECK, Command::Check(Check::default())),
        "explain" => (EXPLAIN, Command::Explain(Explain::default())),
        "discover" => (DISCOVER, Command::Discover(Discover::default())),
        "init" => (INIT, Command::Init(Init::default())),
        "schema" => {
            ("mcp-oauth schema\n\nPrints the JSON Schema (2020-12) of the plugin configuration.\n", Command::Schema)
        }
        "help" => return Ok((Command::Say(HELP.trim_end().to_owned()), Output::new(false))),
        _ => return Err(misuse("a command that there is not", "check, explain, discover, init or schema")),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => return Ok((Command::Say(help.trim_end().to_owned()), Output::new(false))),
            Long("json") => json = true,
            Long(option) => {
                let option = option.to_owned();
                if !set(&mut command, &option, parser)? {
                    return Err(lexopt::Error::UnexpectedOption(format!("--{option}")).into());
                }
            }
            Value(value) => {
                let value = value.into_string().map_err(|_| misuse("an argument that is not UTF-8", "use UTF-8"))?;
                match &mut command {
                    Command::Check(check) => check.files.push(value),
                    Command::Discover(discover) if discover.url.is_empty() => discover.url = value,
                    _ => return Err(lexopt::Error::UnexpectedArgument(value.into()).into()),
                }
            }
            other @ Short(_) => return Err(other.unexpected().into()),
        }
    }
    match &command {
        Command::Check(check) if check.files.is_empty() => Err(misuse("no file to check", "mcp-oauth check FILE")),
        Command::Explain(explain) if explain.config.is_empty() => Err(misuse("no configuration", "add --config FILE")),
        Command::Explain(explain) if !explain.fetch && (explain.exchange || explain.ca.is_some()) => {
            let option = if explain.exchange { "--exchange" } else { "--ca" };
            Err(misuse(format!("{option} without --fetch: nobody is asked"), "add --fetch"))
        }
        Command::Discover(discover) if discover.url.is_empty() => {
            Err(misuse("no URL", "mcp-oauth discover https://mcp.example.com/mcp"))
        }
        _ => Ok((command, Output::new(json))),
    }
}

/// Whether the command has such an option.
fn set(command: &mut Command, option: &str, parser: &mut lexopt::Parser) -> Result<bool, Failure> {
    match (command, option) {
        (Command::Check(o), "env") => o.environment.push(variable(parser)?),
        (Command::Check(o), "assume-env") => o.strict_environment = false,
        (Command::Check(o), "strict-env") => o.strict_environment = true,
        (Command::Explain(o), "config") => o.config = text(parser)?,
        (Command::Explain(o), "at") => o.at = Some(text(parser)?),
        (Command::Explain(o), "token") => o.token = Some(text(parser)?),
        (Command::Explain(o), "scheme") => o.scheme = Some(text(parser)?),
        (Command::Explain(o), "method") => o.method = Some(text(parser)?),
        (Command::Explain(o), "path") => o.path = Some(text(parser)?),
        (Command::Explain(o), "header") => o.headers.push(text(parser)?),
        (Command::Explain(o), "body") => o.body = Some(text(parser)?),
        (Command::Explain(o), "now") => o.now = Some(text(parser)?),
        (Command::Explain(o), "keys") => o.keys = Some(text(parser)?),
        (Command::Explain(o), "certificate") => o.certificate = Some(text(parser)?),
        (Command::Explain(o), "fetch") => o.fetch = true,
        (Command::Explain(o), "exchange") => o.exchange = true,
        (Command::Explain(o), "ca") => o.ca = Some(text(parser)?),
        (Command::Explain(o), "env") => o.environment.push(variable(parser)?),
        (Command::Discover(o), "origin") => o.origin = Some(text(parser)?),
        (Command::Discover(o), "timeout") => o.timeout = Some(text(parser)?),
        (Command::Discover(o), "ca") => o.ca = Some(text(parser)?),
        (Command::Init(o), "for") => o.kind = Some(text(parser)?),
        (Command::Init(o), "resource") => o.resource = Some(text(parser)?),
        (Command::Init(o), "issuer") => o.issuer = Some(text(parser)?),
        (Command::Init(o), "provider") => o.provider = Some(text(parser)?),
        (Command::Init(o), "cluster") => o.cluster = Some(text(parser)?),
        (Command::Init(o), "scopes") => o.scopes = Some(text(parser)?),
        (Command::Init(o), "output") => o.output = Some(text(parser)?),
        _ => return Ok(false),
    }
    Ok(true)
}
