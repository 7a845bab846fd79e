//! A request on its way to the tool.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body::{Body, Frame};

use super::error::Error;
use super::queue::Queue;
use super::request::{Framing, add_field, encode};
use super::wire::Wire;
use crate::gateway::body::{ClientBody, Cut};
use crate::gateway::headers::Added;

/// A body whose rest can be sent from somewhere else.
pub trait Rest: Body<Data = Bytes, Error = Cut> + Unpin + 'static {
    /// What is left of it; an empty one stays.
    #[must_use]
    fn rest(&mut self) -> Self;
}

impl Rest for ClientBody {
    fn rest(&mut self) -> Self {
        let empty = self.emptied();
        std::mem::replace(self, empty)
    }
}

/// A request on its way to the tool.
#[derive(Debug, Default)]
pub struct Upload {
    queue: Queue,
    framing: Framing,
    stage: Stage,
    /// Some of the body was taken from the client.
    touched: bool,
    /// Whoever sends it looks at it again without being woken: when the response comes.
    is_watched: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Stage {
    Body,
    /// Only what is in the queue is left.
    Last,
    #[default]
    Over,
    /// The tool takes no more of it.
    Broken,
}

impl Upload {
    /// # Errors
    /// It cannot be sent in one clear form.
    pub fn begin<B: Body>(
        &mut self,
        request: &Request<B>,
        added: Option<&Added<'_>>,
    ) -> Result<(), Error> {
        (self.touched, self.is_watched) = (false, true);
        self.framing = encode(request, added, self.queue.begin())?;
        self.stage = if self.framing == Framing::Nothing { Stage::Last } else { Stage::Body };
        Ok(())
    }

    /// All of it was written.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Nothing more of it is written, or ever will be.
    pub fn has_stopped(&self) -> bool {
        matches!(self.stage, Stage::Over | Stage::Broken)
    }

    /// From now on it is sent by somebody who looks at nothing else.
    pub fn goes_alone(&mut self) {
        self.is_watched = false;
    }

    /// The tool takes no more.
    pub fn breaks(&mut self) {
        self.stage = Stage::Broken;
    }

    /// No byte has left, and none was taken from the client: it may be sent to somebody else.
    pub fn is_unsent(&self) -> bool {
        self.queue.written() == 0 && !self.touched
    }

    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.queue.written()
    }

    /// What is there is not taken.
    pub fn waits_for_tool(&self) -> bool {
        !self.queue.is_empty()
    }

    /// Ready when all of it was written.
    ///
    /// # Errors
    /// The connection broke, or the client's side did.
    pub fn poll<B: Rest>(
        &mut self,
        body: &mut B,
        wire: &Wire,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        loop {
            let waits = self.poll_gather(body, cx)?.is_pending();
            let is_watched = self.is_watched && self.stage == Stage::Last;
            ready!(wire.with(|mut link| {
                link.set_quiet(is_watched);
                self.queue.poll_write(link, cx)
            }))?;
            match self.stage {
                Stage::Last => self.stage = Stage::Over,
                Stage::Body if waits => return Poll::Pending,
                Stage::Body => (),
                Stage::Over | Stage::Broken => return Poll::Ready(Ok(())),
            }
        }
    }

    /// Ready when no more can be gathered before it was written.
    fn poll_gather<B: Rest>(
        &mut self,
        body: &mut B,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Error>> {
        while self.stage == Stage::Body && !self.queue.is_full() {
            let frame = ready!(Pin::new(&mut *body).poll_frame(cx));
            self.touched = true;
            match frame {
                Some(Ok(frame)) => self.take(frame)?,
                Some(Err(cut)) => return Poll::Ready(Err(Error::Upload(Box::new(cut)))),
                None => self.end(&HeaderMap::new())?,
            }
            // The end goes out with the last piece.
            if self.stage == Stage::Body && !self.queue.is_full() && body.is_end_stream() {
                self.end(&HeaderMap::new())?;
            }
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, frame: Frame<Bytes>) -> Result<(), Error> {
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(frame) => return self.end(&frame.into_trailers().unwrap_or_default()),
        };
        if data.is_empty() {
            return Ok(());
        }
        match &mut self.framing {
            Framing::Length(left) => {
                let rest = left.checked_sub(data.len() as u64);
                *left = rest.ok_or(Error::Unsendable("its body is longer than announced"))?;
                self.queue.add(data, b"");
            }
            Framing::Chunked(_) => {
                let size = format!("{:X}\r\n", data.len());
                self.queue.gather().extend_from_slice(size.as_bytes());
                self.queue.add(data, b"\r\n");
            }
            Framing::Nothing => return Err(Error::Unsendable("it has a body that was not there")),
        }
        Ok(())
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), Error> {
        match &self.framing {
            Framing::Nothing | Framing::Length(0) => (),
            Framing::Length(_) => {
                return Err(Error::Unsendable("its body is shorter than announced"));
            }
            Framing::Chunked(announced) => {
                let out = self.queue.gather();
                out.extend_from_slice(b"0\r\n");
                for (name, value) in trailers.iter().filter(|(name, _)| announced.contains(name)) {
                    add_field(out, name, value.as_bytes());
                }
                out.extend_from_slice(b"\r\n");
            }
        }
        self.stage = Stage::Last;
        Ok(())
    }
}
