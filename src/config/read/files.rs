//! Files that the configuration names. What stands in a secret's place is never shown, as somebody
//! may have written the secret itself there.

use std::io::Read;
use std::path::PathBuf;

use crate::config::map::Map;
use crate::config::reader::At;

/// The least that counts as a key, in bytes.
const LEAST_KEY: usize = 32;
const LARGEST_KEY: u64 = 4096;

/// A readable file, for example a key set.
pub fn readable(at: &At<'_>) -> Option<PathBuf> {
    let expected = "a file that exists and can be read";
    let path = at.path(expected)?;
    let opens = path.is_file() && std::fs::File::open(&path).is_ok();
    if opens { Some(path) } else { at.refuse(expected) }
}

/// A file with a secret of 32 bytes or more that only its owner may read. Nothing is trimmed.
pub fn secret(at: &At<'_>, strict: bool) -> Option<(PathBuf, Vec<u8>)> {
    let expected = "the path of a readable file with 32 to 4096 bytes";
    let hidden = |why: &str| at.refuse_as(format!("{why} (value not shown)"), expected);
    let path = match at.quiet_path() {
        Ok(path) => path,
        Err(found) => return at.refuse_as(found, expected),
    };
    if !path.is_file() {
        return hidden("no such file");
    }
    let Ok(file) = std::fs::File::open(&path) else { return hidden("a file that cannot be read") };
    check_mode(at, &file, strict)?;
    let mut bytes = Vec::new();
    if file.take(LARGEST_KEY + 1).read_to_end(&mut bytes).is_err() {
        return hidden("a file that cannot be read");
    }
    match bytes.len() {
        0..LEAST_KEY => at.refuse_as(format!("a file of {} bytes", bytes.len()), expected),
        size if u64::try_from(size).is_ok_and(|size| size <= LARGEST_KEY) => Some((path, bytes)),
        _ => at.refuse_as("a file larger than 4096 bytes", expected),
    }
}

/// A file with a private key that only its owner may read; it is read where it is used.
pub fn private(at: &At<'_>, strict: bool) -> Option<PathBuf> {
    let expected = "the path of a readable file with a private key";
    let path = match at.quiet_path() {
        Ok(path) => path,
        Err(found) => return at.refuse_as(found, expected),
    };
    let file = if path.is_file() { std::fs::File::open(&path).ok() } else { None };
    let Some(file) = file else {
        return at.refuse_as("no file that can be read (value not shown)", expected);
    };
    check_mode(at, &file, strict)?;
    Some(path)
}

/// A certificate chain and its key: both, or neither.
#[expect(clippy::option_option, reason = "wrong, absent and there are three answers")]
pub fn pair(
    map: &Map<'_>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
) -> Option<Option<(PathBuf, PathBuf)>> {
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(Some((certificate, key))),
        (None, None) => Some(None),
        (Some(_), None) | (None, Some(_)) => {
            map.refuse("one of certificate and key", "both of them or none")
        }
    }
}

#[cfg(unix)]
fn check_mode(at: &At<'_>, file: &std::fs::File, strict: bool) -> Option<()> {
    use std::os::unix::fs::PermissionsExt;

    let Ok(facts) = file.metadata() else {
        return at.refuse_as("a file without permissions to look at", "a regular file");
    };
    let open = facts.permissions().mode() & 0o077;
    if open == 0 {
        return Some(());
    }
    let found = format!(
        "a secret file that others may use (mode {:03o})",
        facts.permissions().mode() & 0o777
    );
    let expected = "a file for its owner alone (chmod 600)";
    if strict {
        return at.refuse_as(found, expected);
    }
    at.warn(&format!("found {found}, production expects {expected}"));
    Some(())
}

#[cfg(not(unix))]
fn check_mode(_: &At<'_>, _: &std::fs::File, _: bool) -> Option<()> {
    Some(())
}
