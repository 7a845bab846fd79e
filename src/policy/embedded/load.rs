//! Reads a policy directory: bounded, whatever lies there.

use std::fs;
use std::path::{Path, PathBuf};

use super::file::Document;
use super::problem::{At, PolicyProblem, Problems};

const MAX_FILE: u64 = 1 << 20;
const MAX_FILES: usize = 20_000;
const MAX_DEPTH: usize = 32;

/// Schemas are files of this directory of the root.
pub(super) const SCHEMAS: &str = "_schemas";
pub(super) const FIXTURES: &str = "testdata";

/// The documents of one file that are not disabled, and what is wrong with it so far.
pub(super) struct Source {
    pub problems: Problems,
    pub documents: Vec<Document>,
}

/// What lies in a policy directory, in the order of the paths.
#[derive(Debug, Default)]
pub(super) struct Files {
    pub policies: Vec<PathBuf>,
    pub suites: Vec<PathBuf>,
    misplaced: Vec<PathBuf>,
}

/// Reads every policy file, in the order of their paths. Hidden files, `testdata`, `_schemas` and
/// test suites are no policies; links to directories are not followed.
///
/// # Errors
/// The directory itself cannot be read, or holds too much.
pub(super) fn directory(root: &Path) -> Result<Vec<Source>, PolicyProblem> {
    let files = files(root)?;
    let misplaced = files.misplaced.into_iter().map(|path| {
        let mut problems = Problems::new(path);
        problems.add(At::NOWHERE, "", "schemas belong into the directory `_schemas` of the root");
        Source { problems, documents: Vec::new() }
    });
    Ok(files.policies.into_iter().map(read).chain(misplaced).collect())
}

/// # Errors
/// The directory cannot be read, or holds too much.
pub(super) fn files(root: &Path) -> Result<Files, PolicyProblem> {
    let mut found = Files::default();
    walk(root, 0, &mut found).map_err(|(file, message)| PolicyProblem {
        file,
        line: None,
        column: None,
        place: String::new(),
        message,
    })?;
    found.policies.sort();
    found.suites.sort();
    Ok(found)
}

fn walk(directory: &Path, depth: usize, found: &mut Files) -> Result<(), (PathBuf, String)> {
    let failed = |error: std::io::Error| (directory.to_owned(), format!("cannot be read: {error}"));
    if depth > MAX_DEPTH {
        return Err((directory.to_owned(), format!("more than {MAX_DEPTH} directories deep")));
    }
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        if entry.file_type().map_err(failed)?.is_dir() {
            if name == SCHEMAS && depth > 0 {
                found.misplaced.push(path);
            } else if name != FIXTURES && name != SCHEMAS {
                walk(&path, depth + 1, found)?;
            }
        } else if let Some(is_suite) = kind(&name)
            && !path.is_dir()
        {
            if is_suite { &mut found.suites } else { &mut found.policies }.push(path);
            if found.policies.len() + found.suites.len() > MAX_FILES {
                return Err((directory.to_owned(), format!("more than {MAX_FILES} files")));
            }
        }
    }
    Ok(())
}

/// Whether a file is a test suite; `None` for what is neither that nor a policy.
fn kind(name: &str) -> Option<bool> {
    match name.rsplit_once('.') {
        Some((stem, "yaml" | "yml" | "json")) => Some(stem.ends_with("_test")),
        _ => None,
    }
}

/// # Errors
/// Why not: it is too big, no text, or cannot be read.
pub(super) fn text(path: &Path) -> Result<String, String> {
    let told = |error: std::io::Error| format!("cannot be read: {error}");
    let about = fs::metadata(path).map_err(told)?;
    if !about.is_file() {
        return Err("is no file".to_owned());
    }
    if about.len() > MAX_FILE {
        return Err(format!("is bigger than {MAX_FILE} bytes"));
    }
    fs::read_to_string(path).map_err(told)
}

fn read(path: PathBuf) -> Source {
    let mut source = Source { documents: Vec::new(), problems: Problems::new(path) };
    let text = match text(&source.problems.file) {
        Ok(text) => text,
        Err(why) => {
            source.problems.add(At::NOWHERE, "", why);
            return source;
        }
    };
    let options = serde_saphyr::options! { with_snippet: false };
    match serde_saphyr::from_multiple_with_options::<Document>(&text, options) {
        Ok(documents) => {
            source.documents = documents.into_iter().filter(|it| !it.disabled).collect();
        }
        Err(error) => {
            let at = error.location().map_or(At::NOWHERE, |location| At::from(&location));
            source.problems.add(at, "", error.to_string());
        }
    }
    source
}
