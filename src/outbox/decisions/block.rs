//! What one core told since the collector came last: lines, one behind the other.

use crate::cloudevents::LineWriter;
use crate::domain::time::Timestamp;

use super::slots::{Slots, Ticket};
use super::told::{Telling, Told};

/// A block that once was very full keeps room for so many records, and so many bytes.
const KEPT: usize = 4096;
const KEPT_BYTES: usize = 4 * 1024 * 1024;

#[derive(Default)]
pub struct Block {
    lines: Vec<u8>,
    marks: Vec<Mark>,
    /// The same for webhooks, when there are any.
    pub told: Vec<(Ticket, Told)>,
}

/// One line.
struct Mark {
    ticket: Ticket,
    /// Where it ends.
    end: usize,
    at: Timestamp,
}

/// A line, found in its block.
pub struct Line<'a> {
    pub ticket: Ticket,
    pub at: Timestamp,
    pub bytes: &'a [u8],
}

/// There is no room in the log.
#[derive(Debug)]
pub struct NoRoom;

impl Block {
    /// Writes it down. Without a `writer` it is counted, and takes no bytes.
    ///
    /// # Errors
    /// The log is full; the block is as it was.
    pub fn put(
        &mut self,
        telling: Telling<'_>,
        writer: Option<&mut LineWriter>,
        slots: &Slots,
    ) -> Result<Ticket, NoRoom> {
        // What a writer that failed half-way has left behind goes.
        let begin = self.marks.last().map_or(0, |last| last.end);
        self.lines.truncate(begin);
        if let Some(writer) = writer {
            telling.write(writer, &mut self.lines);
        }
        let end = self.lines.len();
        let Some(ticket) = slots.take(end.saturating_sub(begin)) else {
            self.lines.truncate(begin);
            return Err(NoRoom);
        };
        self.marks.push(Mark { ticket, end, at: telling.at() });
        Ok(ticket)
    }

    pub fn is_empty(&self) -> bool {
        self.marks.is_empty()
    }

    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut begin = 0;
        self.marks.iter().map(move |mark| {
            let bytes = self.lines.get(begin..mark.end).unwrap_or_default();
            begin = mark.end;
            Line { ticket: mark.ticket, at: mark.at, bytes }
        })
    }

    /// Keeps its memory, unless that is very much.
    pub fn clear(&mut self) {
        self.lines.clear();
        self.lines.shrink_to(KEPT_BYTES);
        self.marks.clear();
        self.marks.shrink_to(KEPT);
        self.told.clear();
        self.told.shrink_to(KEPT);
    }
}
