//! Reads a configuration file whole, or says everything that is wrong with it. Nothing is bound,
//! opened for writing or created here.

use std::io::Read;
use std::path::Path;

use super::Config;
use super::interpolate::Env;
use super::problems::Problems;
use super::reader::{At, Context};
use super::yaml::{self, MAX_BYTES};

/// What a good file gives.
#[derive(Debug)]
pub struct Loaded {
    pub config: Config,
    /// What is accepted but should be looked at.
    pub warnings: Vec<String>,
}

/// # Errors
/// Every problem of the file.
pub fn load(path: &Path, env: Env<'_>) -> Result<Loaded, Problems> {
    let context = Context::new(path, Some(env));
    let config = read(path, &context, "a mapping of sections", super::read::config);
    let (problems, warnings) = context.finish();
    match config {
        Some(config) if problems.is_empty() => Ok(Loaded { config, warnings }),
        Some(_) | None => Err(Problems(problems)),
    }
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
