//! The sinks there are.

use std::path::PathBuf;

use crate::config::SinkConfig;

use super::sink::SinkHandle;

mod file;
mod writer;

pub use file::FileSink;
pub use writer::WriterSink;

/// A sink that takes batches of events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BatchSink {
    File(PathBuf),
    Stdout,
}

impl BatchSink {
    /// `None`: the configuration names a sink of another kind.
    #[must_use]
    pub fn of(config: &SinkConfig) -> Option<Self> {
        match config {
            SinkConfig::File { path } => Some(Self::File(path.clone())),
            SinkConfig::Stdout => Some(Self::Stdout),
            SinkConfig::Webhook(_) => None,
        }
    }

    /// Starts it. A file is opened with its first batch, and again whenever it failed or was moved
    /// away.
    #[must_use]
    pub fn start(&self) -> SinkHandle {
        let name = self.name();
        match self {
            Self::File(path) => SinkHandle::start(&name, FileSink::new(path.clone())),
            Self::Stdout => SinkHandle::start(&name, WriterSink::new(std::io::stdout())),
        }
    }

    /// Whether the sink could be written to now; makes the file when it is not there. For start-up:
    /// a misspelt path is better refused then than found when the decision log is full.
    ///
    /// # Errors
    /// The file cannot be opened for writing, or its directory not forced to disk.
    pub fn check(&self) -> std::io::Result<()> {
        match self {
            Self::File(path) => FileSink::check(path),
            Self::Stdout => Ok(()),
        }
    }

    /// `file:<path as configured>` or `stdout`. A file under another path is another sink: it gets
    /// every event that the store still has.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::File(path) => format!("file:{}", path.display()),
            Self::Stdout => "stdout".to_owned(),
        }
    }
}
