//! The texts of a policy directory at one moment: what is loaded is what is tested.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::listing::{Kind, Listed, Listing, SCHEMAS};
use super::problem::{PolicyProblem, PolicyProblems};

const MAX_FILE: u64 = 1 << 20;
/// Of all files.
const MAX_BYTES: u64 = 64 << 20;
/// A directory that is written all the time is not waited for.
const ATTEMPTS: usize = 5;

/// Policies, suites, fixtures and schemas, each read once. Nothing was changed from before the first
/// was read until after the last.
#[derive(Debug)]
pub struct Snapshot {
    root: PathBuf,
    listing: Listing,
    texts: BTreeMap<PathBuf, Result<String, String>>,
}

impl Snapshot {
    /// # Errors
    /// The directory cannot be read, holds too much, or things that are none of a policy
    /// directory; or it was changed all the time.
    pub fn read(root: &Path) -> Result<Self, PolicyProblems> {
        Self::read_with(root, || ())
    }

    /// As `read`, with something else happening once the files are read.
    pub(super) fn read_with(
        root: &Path,
        mut meanwhile: impl FnMut(),
    ) -> Result<Self, PolicyProblems> {
        let refused = |message: String| {
            let (file, place) = (root.to_owned(), String::new());
            PolicyProblems(vec![PolicyProblem { file, line: None, column: None, place, message }])
        };
        let mut listing = Listing::of(root);
        for _ in 0..ATTEMPTS {
            let texts = texts(&listing);
            meanwhile();
            let after = Listing::of(root);
            if after != listing {
                listing = after;
                continue;
            }
            let texts = texts.ok_or_else(|| refused(format!("more than {MAX_BYTES} bytes")))?;
            return Ok(Self { root: root.to_owned(), listing, texts });
        }
        Err(refused("is changed while it is read".to_owned()))
    }

    /// What it was made of, to be compared with a later one.
    #[must_use]
    pub fn into_listing(self) -> Listing {
        self.listing
    }

    pub(super) fn of(&self, kind: Kind) -> impl Iterator<Item = &Path> {
        self.listing.files.iter().filter(move |it| it.kind == kind).map(|it| it.path.as_path())
    }

    pub(super) fn problems(&self) -> &[PolicyProblem] {
        &self.listing.problems
    }

    pub(super) fn holds(&self, path: &Path) -> bool {
        self.texts.contains_key(path)
    }

    /// # Errors
    /// Why there is none.
    pub(super) fn text(&self, path: &Path) -> Result<&str, String> {
        match self.texts.get(path) {
            Some(Ok(text)) => Ok(text),
            Some(Err(why)) => Err(why.clone()),
            None => Err("cannot be read: there is no such file".to_owned()),
        }
    }

    /// The files of `_schemas`, by their path below it.
    pub(super) fn schemas(&self) -> BTreeMap<PathBuf, Result<String, String>> {
        let folder = self.root.join(SCHEMAS);
        let below = |path: &Path| path.strip_prefix(&folder).ok().map(Path::to_owned);
        let text = |path: &Path| Some((below(path)?, self.texts.get(path)?.clone()));
        self.of(Kind::Schema).filter_map(text).collect()
    }
}

/// `None`: they are too much.
fn texts(listing: &Listing) -> Option<BTreeMap<PathBuf, Result<String, String>>> {
    let mut left = MAX_BYTES;
    let mut texts = BTreeMap::new();
    for file in &listing.files {
        let text = text(file);
        if let Ok(text) = &text {
            left = left.checked_sub(text.len() as u64)?;
        }
        texts.insert(file.path.clone(), text);
    }
    Some(texts)
}

/// # Errors
/// Why not: it is no file, too big, no text, or cannot be read.
fn text(file: &Listed) -> Result<String, String> {
    let told = |error: io::Error| format!("cannot be read: {error}");
    // Before it is opened: opening a device may do something.
    if !fs::symlink_metadata(&file.real).map_err(told)?.is_file() {
        return Err("is no file".to_owned());
    }
    // Without waiting: it may be a pipe by now.
    let flags = OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    let opened =
        OpenOptions::new().read(true).custom_flags(flags).open(&file.real).map_err(told)?;
    if !opened.metadata().map_err(told)?.is_file() {
        return Err("is no file".to_owned());
    }
    let mut bytes = Vec::new();
    opened.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(told)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("is bigger than {MAX_FILE} bytes"));
    }
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        return Err(format!("holds a NUL byte (the {}th)", at + 1));
    }
    String::from_utf8(bytes)
        .map_err(|error| format!("is no UTF-8 (after {} bytes)", error.utf8_error().valid_up_to()))
}

#[cfg(test)]
mod tests {
    use std::fs::write;

    use super::*;

    #[test]
    fn a_file_that_changes_while_the_directory_is_read_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        write(&file, "first").unwrap();
        let mut changes = ["second", "third"].into_iter();
        let meanwhile = || {
            if let Some(text) = changes.next() {
                // Another file in its place: the clock of the disk may stand still between writes.
                fs::remove_file(&file).unwrap();
                write(folder.path().join("new"), text).unwrap();
                fs::rename(folder.path().join("new"), &file).unwrap();
            }
        };
        let snapshot = Snapshot::read_with(folder.path(), meanwhile).unwrap();
        assert_eq!(snapshot.text(&file).unwrap(), "third");
    }

    #[test]
    fn a_directory_that_changes_all_the_time_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut count = 0;
        let meanwhile = || {
            count += 1;
            write(folder.path().join(format!("{count}.yaml")), "x").unwrap();
        };
        let problems = Snapshot::read_with(folder.path(), meanwhile).unwrap_err().to_string();
        assert!(problems.ends_with("is changed while it is read"), "{problems}");
        assert_eq!(count, ATTEMPTS);
    }
}
