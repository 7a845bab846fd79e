//! Where the body of a response ends (RFC 9112, section 6.3).

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, StatusCode};
use http_body::SizeHint;

use super::chunks::Chunks;
use super::error::Error;
use super::fields::Framing;
use super::head::Head;

/// How far the body of a response was read.
#[derive(Debug, Default)]
pub enum Decoder {
    /// So many bytes are left.
    Sized(u64),
    Chunked(Chunks),
    /// Up to the end of the connection.
    UntilClose,
    #[default]
    Ended,
}

/// What could be taken.
#[derive(Debug)]
pub enum Step {
    Data(Bytes),
    /// With the trailers, if there are any.
    Ended(HeaderMap),
    /// Not before more bytes come.
    More,
}

impl Decoder {
    /// Of a final response to a request of this method.
    pub fn of(head: &Head, method: &Method) -> Self {
        let is_bare = matches!(
            head.status,
            StatusCode::SWITCHING_PROTOCOLS | StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
        );
        let is_connected = *method == Method::CONNECT && head.status.is_success();
        if is_bare || is_connected || *method == Method::HEAD {
            return Self::Ended;
        }
        match head.fields.framing {
            Framing::Unsaid => Self::UntilClose,
            Framing::Sized(0) => Self::Ended,
            Framing::Sized(length) => Self::Sized(length),
            Framing::Chunked => Self::Chunked(Chunks::default()),
        }
    }

    /// Takes from `input` what can be taken.
    ///
    /// # Errors
    /// It is malformed.
    pub fn step(&mut self, input: &mut BytesMut) -> Result<Step, Error> {
        let step = match self {
            Self::Ended => Step::Ended(HeaderMap::new()),
            Self::Sized(_) | Self::UntilClose if input.is_empty() => Step::More,
            Self::Sized(left) => {
                let count = usize::try_from(*left).map_or(input.len(), |it| it.min(input.len()));
                *left -= count as u64;
                Step::Data(input.split_to(count).freeze())
            }
            Self::UntilClose => Step::Data(input.split().freeze()),
            Self::Chunked(chunks) => chunks.step(input)?,
        };
        if matches!(step, Step::Ended(_)) {
            *self = Self::Ended;
        } else {
            self.settle(input);
        }
        Ok(step)
    }

    /// Sees an end that is there already, so that it goes out with the last piece.
    pub fn settle(&mut self, input: &mut BytesMut) {
        let ended = match self {
            Self::Sized(left) => *left == 0,
            Self::Chunked(chunks) => chunks.settle(input),
            Self::UntilClose | Self::Ended => false,
        };
        if ended {
            *self = Self::Ended;
        }
    }

    /// The connection has ended.
    ///
    /// # Errors
    /// The body had not.
    pub fn closed(&mut self) -> Result<(), Error> {
        match self {
            Self::UntilClose | Self::Ended => {
                *self = Self::Ended;
                Ok(())
            }
            Self::Sized(_) | Self::Chunked(_) => Err(Error::Closed),
        }
    }

    pub const fn has_ended(&self) -> bool {
        matches!(self, Self::Ended)
    }

    /// Of what is still to come.
    pub fn size_hint(&self) -> SizeHint {
        match self {
            Self::Sized(left) => SizeHint::with_exact(*left),
            Self::Ended => SizeHint::with_exact(0),
            Self::Chunked(_) | Self::UntilClose => SizeHint::default(),
        }
    }
}
