//! Finds and loads the module that was really built, and refuses a stale one.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::SystemTime;

/// The module's bytes and its loaded form.
pub struct Built {
    /// Where it was found.
    pub path: PathBuf,
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// Ready to be instantiated.
    pub module: wasmi::Module,
}

/// The module under test: `$MCP_WASM`, or what `make build` left in `target/`.
///
/// Fails when it is missing or older than a source file, so that yesterday's module is never
/// what is tested.
pub fn built() -> &'static Built {
    static BUILT: OnceLock<Built> = OnceLock::new();
    BUILT.get_or_init(|| load().unwrap_or_else(|problem| panic!("{problem}\nRun `make build`.")))
}

fn load() -> Result<Built, String> {
    let root = workspace();
    let path = match std::env::var_os("MCP_WASM") {
        Some(path) => PathBuf::from(path),
        None => root.join("target/mcp_resource_server.wasm"),
    };
    let built_at = modified(&path)?;
    let (source, changed_at) = newest_source(&root)?;
    if changed_at > built_at {
        return Err(format!("{} is older than {}", path.display(), source.display()));
    }
    let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let module = wasmi::Module::new(&wasmi::Engine::default(), &bytes)
        .map_err(|error| format!("{} is not a module: {error}", path.display()))?;
    Ok(Built { path, bytes, module })
}

fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).expect("tests/wasm is two below the root").to_owned()
}

fn modified(path: &Path) -> Result<SystemTime, String> {
    let meta = std::fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
    meta.modified().map_err(|error| format!("{}: {error}", path.display()))
}

/// The newest file that the module is built from.
fn newest_source(root: &Path) -> Result<(PathBuf, SystemTime), String> {
    let mut todo: Vec<PathBuf> =
        ["src", "filters", "Cargo.toml", "Cargo.lock"].iter().map(|name| root.join(name)).collect();
    let mut newest: Option<(PathBuf, SystemTime)> = None;
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            let entries = std::fs::read_dir(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            todo.extend(entries.filter_map(Result::ok).map(|entry| entry.path()));
            continue;
        }
        let at = modified(&path)?;
        if newest.as_ref().is_none_or(|(_, latest)| at > *latest) {
            newest = Some((path, at));
        }
    }
    newest.ok_or_else(|| format!("no sources below {}", root.display()))
}
