//! Whom notices reach. Nothing of it decides who may do something.

use std::path::PathBuf;
use std::time::Duration;

use http::Uri;

use crate::domain::people::Groups;

/// Who is in which group: what the sources say, taken together, in this order.
#[derive(Clone, Debug, Default)]
pub struct DirectoryConfig {
    pub groups: Groups,
    /// Of the same shape; read again when it changes.
    pub file: Option<PathBuf>,
    pub http: Option<DirectoryHttpConfig>,
}

/// `GET`: 200 with `{"groups": {...}}`.
#[derive(Clone, Debug)]
pub struct DirectoryHttpConfig {
    pub url: Uri,
    /// PEM: the roots that are trusted. Absent: Mozilla's.
    pub ca: Option<PathBuf>,
    /// For a whole answer.
    pub timeout: Duration,
    /// From one answer to the next question.
    pub refresh: Duration,
}
