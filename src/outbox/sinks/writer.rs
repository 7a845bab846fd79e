//! A sink over anything that can be written to: standard output.

use std::io::Write;

use crate::outbox::sink::{Delivered, Lines, Promise, Sink, SinkFault};

/// Delivered means: handed to the operating system. What becomes of a pipe's content afterwards is
/// not ours to know.
#[derive(Debug)]
pub struct WriterSink<W> {
    /// `None` only when a write was abandoned half-way.
    writer: Option<W>,
    /// The last batch may have ended in the middle of a line.
    torn: bool,
}

impl<W: Write + Send + 'static> WriterSink<W> {
    pub const fn new(writer: W) -> Self {
        Self { writer: Some(writer), torn: false }
    }
}

impl<W: Write + Send + 'static> Sink for WriterSink<W> {
    fn deliver(&mut self, lines: Lines, _promise: Promise) -> Delivered<'_> {
        Box::pin(async move {
            let mut writer = self.writer.take().ok_or(SinkFault::Stopped)?;
            let torn = self.torn;
            let task = tokio::task::spawn_blocking(move || {
                let written = write(&mut writer, torn, lines.as_ref());
                (writer, written)
            });
            let (writer, written) = task.await.map_err(|_ended| SinkFault::Stopped)?;
            self.writer = Some(writer);
            self.torn = written.is_err();
            written
        })
    }
}

fn write(writer: &mut impl Write, torn: bool, lines: &[u8]) -> Result<(), SinkFault> {
    if torn {
        writer.write_all(&[b"\n", lines].concat())?;
    } else {
        writer.write_all(lines)?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::outbox::testing::{events, ids_of};

    /// Takes `room` bytes, then fails once, then has room for everything.
    #[derive(Clone)]
    struct Narrow(Arc<Mutex<(usize, Vec<u8>)>>);

    impl Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().expect("no panic");
            let (room, written) = &mut *state;
            if *room == 0 {
                *room = usize::MAX;
                return Err(io::ErrorKind::StorageFull.into());
            }
            let count = bytes.len().min(*room);
            written.extend(&bytes[..count]);
            *room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn after_a_failure_in_the_middle_of_a_line_the_batch_comes_again_whole() {
        let writer = Narrow(Arc::new(Mutex::new((100, Vec::new()))));
        let mut sink = WriterSink::new(writer.clone());
        assert!(sink.deliver(events(0..2), Promise::Forced).await.is_err());
        sink.deliver(events(0..2), Promise::Forced).await.expect("delivers");
        let text = String::from_utf8(writer.0.lock().expect("no panic").1.clone()).expect("text");
        assert_eq!(ids_of(&text), ["0", "1"]);
    }
}
