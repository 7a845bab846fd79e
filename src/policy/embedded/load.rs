//! Reads a policy directory.

use std::fs;
use std::path::{Path, PathBuf};

use super::file::Document;
use super::problem::{PolicyProblem, Problems};

/// The documents of one file that are not disabled, and what is wrong with it so far.
pub(super) struct Source {
    pub problems: Problems,
    pub documents: Vec<Document>,
}

/// Reads every policy file, in the order of their paths. Hidden files, `testdata`, `_schemas` and
/// test suites are no policies; links to directories are not followed.
///
/// # Errors
/// The directory itself cannot be read.
pub(super) fn directory(root: &Path) -> Result<Vec<Source>, PolicyProblem> {
    let mut paths = Vec::new();
    walk(root, &mut paths).map_err(|(path, error)| PolicyProblem {
        file: path,
        line: None,
        place: String::new(),
        message: format!("cannot be read: {error}"),
    })?;
    paths.sort();
    Ok(paths.into_iter().map(read).collect())
}

fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> Result<(), (PathBuf, std::io::Error)> {
    let failed = |error| (directory.to_owned(), error);
    for entry in fs::read_dir(directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        let path = entry.path();
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            if name != "testdata" && name != "_schemas" {
                walk(&path, found)?;
            }
        } else if is_policy(&name) && !path.is_dir() {
            found.push(path);
        }
    }
    Ok(())
}

fn is_policy(name: &str) -> bool {
    match name.rsplit_once('.') {
        Some((stem, "yaml" | "yml" | "json")) => !stem.ends_with("_test"),
        _ => false,
    }
}

fn read(path: PathBuf) -> Source {
    let mut source = Source { documents: Vec::new(), problems: Problems::new(path) };
    let text = match fs::read_to_string(&source.problems.file) {
        Ok(text) => text,
        Err(error) => {
            source.problems.add(None, "", format!("cannot be read: {error}"));
            return source;
        }
    };
    let options = serde_saphyr::options! { with_snippet: false };
    match serde_saphyr::from_multiple_with_options::<Document>(&text, options) {
        Ok(documents) => {
            source.documents = documents.into_iter().filter(|it| !it.disabled).collect();
        }
        Err(error) => {
            let line = error.location().map(|location| location.line());
            source.problems.add(line, "", error.to_string());
        }
    }
    source
}
