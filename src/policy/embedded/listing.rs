//! What lies in a policy directory: bounded, whatever lies there, and nothing is opened.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, FileType, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::problem::PolicyProblem;

const MAX_FILES: usize = 20_000;
/// Of any name, also those that are not read.
const MAX_ENTRIES: usize = 100_000;
const MAX_DEPTH: usize = 32;

/// Schemas are files of this directory of the root.
pub(super) const SCHEMAS: &str = "_schemas";
pub(super) const FIXTURES: &str = "testdata";

/// Every file that a load reads, in the order of the paths. Two listings of a directory are equal
/// when nothing was changed between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub(super) files: Vec<Listed>,
    pub(super) problems: Vec<PolicyProblem>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// As people know it; links may be on the way.
    pub path: PathBuf,
    /// Without links.
    pub real: PathBuf,
    pub kind: Kind,
    looks: Looks,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Policy,
    Suite,
    /// Of suites.
    Fixture,
    Schema,
}

/// Which file it is and what was done to it: device, inode, size, last write and last change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Looks(u64, u64, u64, (i64, i64), (i64, i64));

impl From<&Metadata> for Looks {
    fn from(it: &Metadata) -> Self {
        let (written, changed) = ((it.mtime(), it.mtime_nsec()), (it.ctime(), it.ctime_nsec()));
        Self(it.dev(), it.ino(), it.size(), written, changed)
    }
}

impl Listing {
    /// Hidden entries are skipped. Links are followed inside of the directory, as `ConfigMap` mounts
    /// of Kubernetes need it; one that leads out, or to a directory that was reached already, is a
    /// problem.
    #[must_use]
    pub fn of(root: &Path) -> Self {
        let mut walk = Walk {
            root: PathBuf::new(),
            seen: BTreeSet::new(),
            entries: 0,
            found: Self::default(),
        };
        match fs::canonicalize(root) {
            Ok(real) => {
                walk.root.clone_from(&real);
                walk.directory(root, &real, 0, Place::Policies);
            }
            Err(error) => walk.unreadable(root, &error),
        }
        walk.found.files.sort_by(|one, other| one.path.cmp(&other.path));
        walk.found
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Policies,
    Fixtures,
    Schemas,
}

struct Walk {
    /// Without links.
    root: PathBuf,
    seen: BTreeSet<PathBuf>,
    entries: usize,
    found: Listing,
}

impl Walk {
    fn directory(&mut self, path: &Path, real: &Path, depth: usize, place: Place) {
        if depth > MAX_DEPTH {
            return self.problem(path, format!("more than {MAX_DEPTH} directories deep"));
        }
        // Fixtures have no directories of their own, and suites may share them.
        if place != Place::Fixtures && !self.seen.insert(real.to_owned()) {
            return self.problem(path, "a link leads to a directory that is read already");
        }
        match self.entries(path) {
            Ok(entries) => {
                for entry in entries {
                    self.entry(&entry, real, depth, place);
                }
            }
            Err(error) => self.unreadable(path, &error),
        }
    }

    /// Those that are not hidden, by name.
    fn entries(&mut self, path: &Path) -> io::Result<Vec<DirEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(path)? {
            let entry = entry?;
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                if self.entries == MAX_ENTRIES + 1 {
                    self.problem(path, format!("more than {MAX_ENTRIES} entries in all"));
                }
                break;
            }
            if !entry.file_name().to_string_lossy().starts_with('.') {
                entries.push(entry);
            }
        }
        entries.sort_by_key(DirEntry::file_name);
        Ok(entries)
    }

    fn entry(&mut self, entry: &DirEntry, directory: &Path, depth: usize, place: Place) {
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        let kind = kind(&name, place);
        let (file_type, real) = match resolved(entry, &path, directory) {
            Ok(resolved) => resolved,
            Err(error) => return self.unreadable(&path, &error),
        };
        let is_directory = file_type.is_dir() && place != Place::Fixtures;
        if (is_directory || kind.is_some()) && !real.starts_with(&self.root) {
            return self.problem(&path, "a link leads out of the policy directory");
        }
        if is_directory {
            match (place, &*name) {
                (Place::Policies, SCHEMAS) if depth > 0 => {
                    self.problem(&path, "schemas belong into the directory `_schemas` of the root");
                }
                (Place::Policies, SCHEMAS) => {
                    self.directory(&path, &real, depth + 1, Place::Schemas);
                }
                (Place::Policies, FIXTURES) => {
                    self.directory(&path, &real, depth + 1, Place::Fixtures);
                }
                (Place::Policies | Place::Schemas, _) => {
                    self.directory(&path, &real, depth + 1, place);
                }
                (Place::Fixtures, _) => {}
            }
        } else if let Some(kind) = kind.filter(|_| !file_type.is_dir()) {
            self.file(path, real, kind);
        }
    }

    fn file(&mut self, path: PathBuf, real: PathBuf, kind: Kind) {
        if self.found.files.len() >= MAX_FILES {
            let known = format!("more than {MAX_FILES} files in all");
            if self.found.problems.last().is_none_or(|it| it.message != known) {
                self.problem(&path, known);
            }
            return;
        }
        match fs::symlink_metadata(&real) {
            Ok(about) => {
                let looks = Looks::from(&about);
                self.found.files.push(Listed { path, real, kind, looks });
            }
            Err(error) => self.unreadable(&path, &error),
        }
    }

    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        self.problem(path, format!("cannot be read: {error}"));
    }

    fn problem(&mut self, path: &Path, message: impl Into<String>) {
        self.found.problems.push(PolicyProblem {
            file: path.to_owned(),
            line: None,
            column: None,
            place: String::new(),
            message: message.into(),
        });
    }
}

/// What a file is by its name; `None` for what is not read.
fn kind(name: &str, place: Place) -> Option<Kind> {
    let stem = match name.rsplit_once('.') {
        Some((stem, "yaml" | "yml" | "json")) => Some(stem),
        _ => None,
    };
    match place {
        Place::Schemas => Some(Kind::Schema),
        Place::Fixtures => stem.map(|_| Kind::Fixture),
        Place::Policies => {
            stem.map(|stem| if stem.ends_with("_test") { Kind::Suite } else { Kind::Policy })
        }
    }
}

/// # Errors
/// A link that leads nowhere, or to itself.
fn resolved(entry: &DirEntry, path: &Path, directory: &Path) -> io::Result<(FileType, PathBuf)> {
    let own = entry.file_type()?;
    if !own.is_symlink() {
        return Ok((own, directory.join(entry.file_name())));
    }
    Ok((fs::metadata(path)?.file_type(), fs::canonicalize(path)?))
}
