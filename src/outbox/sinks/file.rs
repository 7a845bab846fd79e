//! The file sink: JSON lines, appended; transitions are forced to disk with every batch.
//!
//! It never shortens the file, because another gateway may append to it while one replaces the
//! other. A line that a crash or a full disk left torn is ended when the file is opened next; its
//! event follows again, whole. Readers skip lines that are not JSON and events they have seen.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::outbox::sink::{Delivered, Lines, Promise, Sink, SinkFault};

#[derive(Debug)]
pub struct FileSink {
    path: PathBuf,
    /// `None` before the first batch and after a failure.
    file: Option<File>,
}

impl FileSink {
    #[must_use]
    pub const fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// # Errors
    /// The file cannot be opened, made or written.
    pub fn check(path: &Path) -> io::Result<()> {
        open(path).map(drop)
    }
}

impl Sink for FileSink {
    fn deliver(&mut self, lines: Lines, promise: Promise) -> Delivered<'_> {
        Box::pin(async move {
            let (path, file) = (self.path.clone(), self.file.take());
            let written =
                tokio::task::spawn_blocking(move || append(&path, file, lines.as_ref(), promise));
            self.file = Some(written.await.map_err(|_ended| SinkFault::Stopped)??);
            Ok(())
        })
    }
}

/// On any error the file is closed, so that the next try opens, and repairs, it anew.
fn append(
    path: &Path,
    open_file: Option<File>,
    lines: &[u8],
    promise: Promise,
) -> io::Result<File> {
    let mut file = match open_file {
        Some(file) if is_at(&file, path) => file,
        Some(_) | None => open(path)?,
    };
    file.write_all(lines)?;
    match promise {
        Promise::Flushed => (),
        Promise::Forced => file.sync_data()?,
    }
    Ok(file)
}

/// Whether the path still names this very file: after a rotation it does not.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(open), Ok(named)) => open.dev() == named.dev() && open.ino() == named.ino(),
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => false,
    }
}

/// Readable by its owner and group only: it names people and what they did.
fn open(path: &Path) -> io::Result<File> {
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o640).open(path)?;
    if !ends_with_line(&mut file)? {
        file.write_all(b"\n")?;
    }
    sync_directory(path)?;
    Ok(file)
}

fn ends_with_line(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// A new file survives a crash of the machine only when its directory was forced to disk too.
fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(parent)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::outbox::testing::{events, ids_in};

    #[tokio::test]
    async fn every_event_becomes_one_line_at_the_end_of_the_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("audit.jsonl");
        let mut sink = FileSink::new(path.clone());
        sink.deliver(events(0..3), Promise::Forced).await.expect("delivers");
        sink.deliver(events(3..4), Promise::Forced).await.expect("delivers");
        assert_eq!(ids_in(&path), ["0", "1", "2", "3"]);
    }

    #[tokio::test]
    async fn a_line_torn_by_a_crash_is_ended_before_anything_is_added() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("audit.jsonl");
        FileSink::new(path.clone()).deliver(events(0..1), Promise::Forced).await.expect("delivers");
        let mut file = OpenOptions::new().append(true).open(&path).expect("opens");
        file.write_all(b"{\"specversion\":\"1.").expect("writes");
        FileSink::new(path.clone()).deliver(events(1..2), Promise::Forced).await.expect("delivers");
        assert_eq!(ids_in(&path), ["0", "1"]);
        let text = fs::read_to_string(&path).expect("reads");
        assert_eq!(text.lines().nth(1), Some("{\"specversion\":\"1."));
    }

    #[tokio::test]
    async fn a_file_that_was_moved_away_is_made_anew() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("audit.jsonl");
        let mut sink = FileSink::new(path.clone());
        sink.deliver(events(0..1), Promise::Forced).await.expect("delivers");
        let old = dir.path().join("audit.jsonl.1");
        fs::rename(&path, &old).expect("moves");
        sink.deliver(events(1..2), Promise::Forced).await.expect("delivers");
        assert_eq!((ids_in(&old), ids_in(&path)), (vec!["0".to_owned()], vec!["1".to_owned()]));
    }

    #[tokio::test]
    async fn a_sink_whose_directory_comes_back_goes_on() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("later/audit.jsonl");
        let mut sink = FileSink::new(path.clone());
        assert!(sink.deliver(events(0..1), Promise::Forced).await.is_err());
        fs::create_dir(dir.path().join("later")).expect("makes");
        sink.deliver(events(0..1), Promise::Forced).await.expect("delivers");
        assert_eq!(ids_in(&path), ["0"]);
    }

    #[test]
    fn a_path_that_cannot_be_written_is_found_at_once() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(FileSink::check(&dir.path().join("audit.jsonl")).is_ok());
        for wrong in [dir.path().to_owned(), dir.path().join("missing/audit.jsonl")] {
            assert!(FileSink::check(&wrong).is_err(), "{}", wrong.display());
        }
    }

    #[tokio::test]
    async fn the_file_is_not_for_everybody_to_read() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("audit.jsonl");
        FileSink::new(path.clone()).deliver(events(0..1), Promise::Forced).await.expect("delivers");
        assert_eq!(fs::metadata(&path).expect("exists").mode() & 0o007, 0);
    }
}
