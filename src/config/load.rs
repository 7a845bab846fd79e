//! Reads a configuration file whole, or says everything that is wrong with it. Nothing is bound,
//! opened for writing or created here.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Config;
use super::interpolate::Env;
use super::problems::Problems;
use super::reader::{At, Context};
use super::yaml::{self, MAX_BYTES, Node};

/// What a good file gives.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What is accepted but should be looked at.
    pub warnings: Vec<String>,
}

/// Where a file says that the rest is, as far as it could be read: known also when something else
/// in the file is wrong, so that a check can look at the rest too.
#[derive(Debug, Default)]
pub struct Places {
    pub policies: Option<PathBuf>,
    pub catalog: Option<PathBuf>,
    /// The names of all tools; `None` when a tool could not be read.
    pub tools: Option<Vec<Arc<str>>>,
}

/// # Errors
/// Every problem of the file.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    survey(path, env).0
}

/// As [`load`], with what is known in either case.
pub fn survey(path: &Path, env: Env<'_>) -> (Result<Loaded, Problems>, Places) {
    let context = Context::new(path, Some(env));
    let mut places = Places::default();
    let walk = |root: &At<'_>| super::read::config(root, &mut places);
    let config = read(path, &context, "a mapping of sections", walk);
    let (problems, warnings) = context.finish();
    let loaded = match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
        Some(_) | None => Err(Problems(problems)),
    };
    (loaded, places)
}

/// Reads a YAML file and hands its root to `walk`; a file that is none is a problem in `context`.
pub(crate) fn read<T>(
    path: &Path,
    context: &Context<'_>,
    expected: &str,
    walk: impl FnOnce(&At<'_>) -> Option<T>,
) -> Option<T> {
    let text = match text_of(path) {
        Ok(text) => text,
        Err(found) => {
            context.problem("", None, found, "a YAML file of at most 1 MiB");
            return None;
        }
    };
    match yaml::parse(&text) {
        Ok(Some(node)) => walk(&At::root(context, &node)),
        Ok(None) => {
            context.problem("", None, "an empty file", expected);
            None
        }
        Err(wrong) => {
            context.problem("", Some(wrong.line), wrong.found, "one plain YAML document");
            None
        }
    }
}

/// Hands a JSON value to `walk`, as if it stood in a file.
pub(crate) fn read_json<T>(
    value: &serde_json::Value,
    context: &Context<'_>,
    walk: impl FnOnce(&At<'_>) -> Option<T>,
) -> Option<T> {
    walk(&At::root(context, &Node::of_json(value)))
}

fn text_of(path: &Path) -> Result<String, String> {
    if path.is_dir() {
        return Err("a directory".to_owned());
    }
    let open = |error: std::io::Error| format!("no file that can be read ({})", error.kind());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(open)?;
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(open)?;
    if u64::try_from(bytes.len()).unwrap_or(u64::MAX) > MAX_BYTES {
        return Err("a file larger than 1 MiB".to_owned());
    }
    String::from_utf8(bytes).map_err(|_| "a file that is not UTF-8".to_owned())
}
