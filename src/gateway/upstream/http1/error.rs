//! Why there is no response, or no more of it.

use std::io;

use crate::gateway::body::Cut;

/// Why there is no response, or no more of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
    #[error("it closed the connection before the end of its response")]
    Closed,
    #[error("its response cannot be read: {0}")]
    Malformed(&'static str),
    /// Nothing that the tool did.
    #[error("the request cannot be sent: {0}")]
    Unsendable(&'static str),
    /// The client's side, or its access, ended.
    #[error("the request's body ended before its end: {0}")]
    Upload(#[source] Box<Cut>),
}

impl Error {
    /// It tells nothing of the tool.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        match self {
            Self::Unsendable(_) | Self::Upload(_) => true,
            Self::Io(_) | Self::Closed | Self::Malformed(_) => false,
        }
    }
}
