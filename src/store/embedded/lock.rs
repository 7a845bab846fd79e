//! One process per directory. The lock is the operating system's, so that it ends with the
//! process, however it ends; the file's content only says who holds it.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::OpenError;

pub struct DirectoryLock(#[expect(dead_code, reason = "held until it is dropped")] File);

impl DirectoryLock {
    /// Creates the directory, for its owner only, and takes its lock.
    pub fn take(path: &Path) -> Result<Self, OpenError> {
        let unusable = |fault| OpenError::Directory { path: path.to_owned(), fault };
        DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(path.join("lock")).map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => (),
            Err(TryLockError::WouldBlock) => {
                return Err(OpenError::InUse { path: path.to_owned(), pid: holder(&mut file) });
            }
            Err(TryLockError::Error(fault)) => return Err(unusable(fault)),
        }
        note_holder(&mut file).map_err(unusable)?;
        Ok(Self(file))
    }
}

fn holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn note_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", std::process::id())
}
