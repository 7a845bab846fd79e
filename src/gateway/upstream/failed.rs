//! Why a backend gave no response.

use super::http1::Error as Http1Error;

/// Why a backend gave no response, and whether the request may still be sent: nothing of it has left.
#[derive(Debug, thiserror::Error)]
pub enum Failed {
    #[error("{0}")]
    Http1(Http1Error, bool),
    #[error("{0}")]
    Http2(hyper::Error, bool),
}

impl Failed {
    #[must_use]
    pub const fn is_unsent(&self) -> bool {
        match self {
            Self::Http1(_, is_unsent) | Self::Http2(_, is_unsent) => *is_unsent,
        }
    }

    /// It tells nothing of the backend.
    #[must_use]
    pub const fn is_of_request(&self) -> bool {
        match self {
            Self::Http1(why, _) => why.is_of_request(),
            Self::Http2(..) => false,
        }
    }

    #[must_use]
    pub const fn of_http2(&self) -> Option<&hyper::Error> {
        match self {
            Self::Http2(why, _) => Some(why),
            Self::Http1(..) => None,
        }
    }
}
