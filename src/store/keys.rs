//! Every key of the store, in one table.
//!
//! ```text
//! tg:meta                             what the store was initialised with        sealed
//! tg:{p07}:head                       epoch, seq and commit id                   plain text
//! tg:{p07}:markers                    epoch, kills, suspensions                  sealed
//! tg:{p07}:live:<subject>             live grants, read on every request         sealed
//! tg:{p07}:ended:<subject>            what ended within a day                    sealed
//! tg:{p07}:subject:<subject>          version and open work; never expires       sealed
//! tg:{p07}:request:<id>               one request                                sealed
//! tg:{p07}:grant:<id>                 one grant                                  sealed
//! tg:{p07}:use:<id>                   how often a grant was used                 plain text
//! tg:{p07}:template:<name>            one template that was made over the API    sealed
//! tg:{p07}:timer:<name>               one timer                                  sealed
//! tg:{p07}:answer:<digest>            an idempotency answer, for 24 hours        sealed
//! tg:{p07}:commit:<id>                what a commit answered, for 24 hours       plain text
//! tg:{p07}:sink:<digest>              how far a sink has delivered               plain text
//! tg:{p07}:relay:<digest>             which process delivers to a sink           plain text
//! tg:{p07}:letters:<digest>           what a sink could not be told               sealed
//! tg:{p07}:fence                      written to be waited for (Redis)           plain text
//! tg:{p00}:turn:<digest>              whose turn it is to be told                plain text
//! tg:{p07}:events                     the log: one entry per commit              entries sealed
//! tg:{p07}:timers                     set of timer names by due time
//! tg:{p07}:requests                   set of request ids by creation time
//! tg:{p07}:requests:pending           the same, pending or owed a review
//! tg:{p07}:requests:of:<subject>      the same, of one subject
//! tg:{p07}:grants                     set of grant ids by the time they were granted
//! tg:{p07}:grants:open                the same, not yet ended ones only
//! tg:{p07}:grants:of:<subject>        the same, of one subject
//! ```
//!
//! The braces are a Redis Cluster hash tag: everything of a partition is in one slot. `<subject>`
//! is 32 hexadecimal digits, `<id>` 26 characters of base 32, `<digest>` hexadecimal digits.

use std::fmt::{self, Display, Write};

use crate::domain::command::Timer;
use crate::domain::hash::sha256;
use crate::domain::ids::{Base32, CommitId, GrantId, Partition, RequestId, hex_digits};
use crate::domain::subject::SubjectKey;

use super::IdempotencyKey;

/// The longest key: an answer's in partition 1023.
const LONGEST: usize = 96;

/// A key, kept inline: making one allocates nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    bytes: [u8; LONGEST],
    length: u8,
}

impl Key {
    const EMPTY: Self = Self { bytes: [0; LONGEST], length: 0 };

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    fn in_partition(partition: Partition) -> Self {
        let mut key = Self::EMPTY;
        key.push(b"tg:{p");
        let number = partition.0;
        for unit in [1000, 100, 10, 1] {
            if number >= unit || unit <= 10 {
                let digit = u8::try_from(number / unit % 10).unwrap_or(0);
                key.push(&[b'0' + digit]);
            }
        }
        key.push(b"}:");
        key
    }

    fn with(mut self, part: &[u8]) -> Self {
        self.push(part);
        self
    }

    fn with_hex<const N: usize>(mut self, bytes: [u8; N]) -> Self {
        self.push(hex_digits(&bytes).as_flattened());
        self
    }

    fn with_text(mut self, text: impl Display) -> Self {
        // Writing to a key cannot fail.
        let _ = write!(self, "{text}");
        self
    }

    /// What does not fit is left out; no key of the table comes near.
    fn push(&mut self, part: &[u8]) {
        debug_assert!(usize::from(self.length) + part.len() <= LONGEST, "a key is too long");
        let begin = usize::from(self.length);
        let room = self.bytes.get_mut(begin..begin + part.len());
        if let (Some(room), Ok(length)) = (room, u8::try_from(part.len())) {
            room.copy_from_slice(part);
            self.length += length;
        }
    }
}

impl Write for Key {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text.as_bytes());
        Ok(())
    }
}

impl Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[must_use]
pub fn meta() -> Key {
    Key::EMPTY.with(b"tg:meta")
}

/// Under this name the question of a reconciliation is sealed; no record stands there.
#[must_use]
pub fn reconcile_question() -> Key {
    Key::EMPTY.with(b"tg:reconcile:question")
}

#[must_use]
pub fn reconcile_answer() -> Key {
    Key::EMPTY.with(b"tg:reconcile:answer")
}

#[must_use]
pub fn head(partition: Partition) -> Key {
    Key::in_partition(partition).with(b"head")
}

#[must_use]
pub fn markers(partition: Partition) -> Key {
    Key::in_partition(partition).with(b"markers")
}

/// [`head`] and [`markers`].
#[must_use]
pub fn base(partition: Partition) -> [Key; 2] {
    let key = Key::in_partition(partition);
    [key.with(b"head"), key.with(b"markers")]
}

#[must_use]
pub fn live(partition: Partition, subject: SubjectKey) -> Key {
    Key::in_partition(partition).with(b"live:").with_hex(subject.0)
}

#[must_use]
pub fn ended(partition: Partition, subject: SubjectKey) -> Key {
    Key::in_partition(partition).with(b"ended:").with_hex(subject.0)
}

#[must_use]
pub fn subject(partition: Partition, subject: SubjectKey) -> Key {
    Key::in_partition(partition).with(b"subject:").with_hex(subject.0)
}

#[must_use]
pub fn request(id: RequestId) -> Key {
    Key::in_partition(id.partition).with(b"request:").with_text(Base32(id.random))
}

#[must_use]
pub fn grant(id: GrantId) -> Key {
    Key::in_partition(id.partition).with(b"grant:").with_text(Base32(id.random))
}

/// How often the grant was used.
#[must_use]
pub fn grant_use(id: GrantId) -> Key {
    Key::in_partition(id.partition).with(b"use:").with_text(Base32(id.random))
}

/// A name has at most 64 characters.
#[must_use]
pub fn template(partition: Partition, name: &str) -> Key {
    Key::in_partition(partition).with(b"template:").with(name.as_bytes())
}

/// The record of a timer, from its member in [`timers`].
#[must_use]
pub fn timer(partition: Partition, member: &Member) -> Key {
    Key::in_partition(partition).with(b"timer:").with(member.as_bytes())
}

#[must_use]
pub fn answer(partition: Partition, key: IdempotencyKey) -> Key {
    Key::in_partition(partition).with(b"answer:").with_hex(key.0)
}

#[must_use]
pub fn commit(partition: Partition, id: CommitId) -> Key {
    Key::in_partition(partition).with(b"commit:").with_text(id)
}

/// Sinks are named by people; the first half of SHA-256 over the name keeps keys short.
#[must_use]
pub fn sink(partition: Partition, name: &str) -> Key {
    of_name(partition, b"sink:", name)
}

/// The lease of whoever delivers a partition to a sink.
#[must_use]
pub fn relay(partition: Partition, sink: &str) -> Key {
    of_name(partition, b"relay:", sink)
}

/// What could not be delivered to a sink.
#[must_use]
pub fn letters(partition: Partition, sink: &str) -> Key {
    of_name(partition, b"letters:", sink)
}

fn of_name(partition: Partition, what: &[u8], name: &str) -> Key {
    let digest = sha256(&[name.as_bytes()]);
    let half = digest.first_chunk::<16>().copied().unwrap_or_default();
    Key::in_partition(partition).with(what).with_hex(half)
}

/// Where all sequences are: they belong to no subject.
pub const TURNS: Partition = Partition(0);

/// The last number of a sequence; named like sinks.
#[must_use]
pub fn turn(name: &str) -> Key {
    of_name(TURNS, b"turn:", name)
}

/// Holds nothing: it is written when a write is needed that means nothing.
#[must_use]
pub fn fence(partition: Partition) -> Key {
    Key::in_partition(partition).with(b"fence")
}

/// Also the name that seals event `index` of a commit to `subject`.
#[must_use]
pub fn event(partition: Partition, subject: SubjectKey, index: u16) -> Key {
    let key = Key::in_partition(partition).with(b"events:").with_hex(subject.0);
    key.with(b":").with_text(index)
}

#[must_use]
pub fn events(partition: Partition) -> Key {
    Key::in_partition(partition).with(b"events")
}

#[must_use]
pub fn timers(partition: Partition) -> Key {
    Key::in_partition(partition).with(b"timers")
}

/// Which of the sets of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slice {
    All,
    /// Pending requests, grants that have not ended.
    Open,
    Of(SubjectKey),
}

#[must_use]
pub fn requests(partition: Partition, slice: Slice) -> Key {
    let key = Key::in_partition(partition).with(b"requests");
    match slice {
        Slice::All => key,
        Slice::Open => key.with(b":pending"),
        Slice::Of(subject) => key.with(b":of:").with_hex(subject.0),
    }
}

#[must_use]
pub fn grants(partition: Partition, slice: Slice) -> Key {
    let key = Key::in_partition(partition).with(b"grants");
    match slice {
        Slice::All => key,
        Slice::Open => key.with(b":open"),
        Slice::Of(subject) => key.with(b":of:").with_hex(subject.0),
    }
}

/// Where the heads of new commits are published; a server's databases share their channels.
#[must_use]
pub fn moved_channel(database: u16, partition: Partition) -> String {
    format!("tg:{database}:moved:{partition}")
}

/// Matches every [`moved_channel`] of a database.
#[must_use]
pub fn moved_pattern(database: u16) -> String {
    format!("tg:{database}:moved:*")
}

/// Where processes speak to each other.
#[must_use]
pub fn gateways_channel(database: u16) -> String {
    format!("tg:{database}:gateways")
}

/// A member of a set: an id of 26 characters, or a timer's name.
pub type Member = Key;

#[must_use]
pub fn member(id: [u8; 16]) -> Member {
    Key::EMPTY.with_text(Base32(id))
}

#[must_use]
pub fn timer_member(timer: &Timer) -> Member {
    match timer {
        Timer::TimeOutRequest(id) => Key::EMPTY.with(b"time-out:").with_text(Base32(id.random)),
        Timer::ExpireGrant(id) => Key::EMPTY.with(b"expire:").with_text(Base32(id.random)),
        Timer::ConfirmGrant(id) => Key::EMPTY.with(b"confirm:").with_text(Base32(id.random)),
        Timer::Escalate(id) => Key::EMPTY.with(b"escalate:").with_text(Base32(id.random)),
        Timer::WarnOfEnd(id) => Key::EMPTY.with(b"warn:").with_text(Base32(id.random)),
        Timer::ReviewDue(id) => Key::EMPTY.with(b"review:").with_text(Base32(id.random)),
    }
}

/// A member as a back end gave it; `None` when it is longer than any we write.
#[must_use]
pub fn member_from(bytes: &[u8]) -> Option<Member> {
    (bytes.len() <= 40).then(|| Key::EMPTY.with(bytes))
}

/// The id in a member of a list.
#[must_use]
pub fn member_id(partition: Partition, member: &Member) -> Option<[u8; 16]> {
    // Read back through the identifier's own parser, so that only the canonical spelling passes.
    let text = format!("req_{partition}_{member}");
    text.parse::<RequestId>().ok().map(|id| id.random)
}

/// Whether the value under `key` is read on the data plane: head, markers, live values and
/// tombstones.
#[must_use]
pub fn is_hot(key: &[u8]) -> bool {
    let Some(end) = key.iter().position(|&byte| byte == b'}') else { return false };
    let rest = key.get(end..).unwrap_or_default();
    rest == b"}:head"
        || rest == b"}:markers"
        || rest.starts_with(b"}:live:")
        || rest.starts_with(b"}:ended:")
}

/// Where the hot keys of a partition begin; each range ends where its prefix does.
#[must_use]
pub fn hot_prefixes(partition: Partition) -> [Key; 4] {
    let key = Key::in_partition(partition);
    [key.with(b"head"), key.with(b"markers"), key.with(b"live:"), key.with(b"ended:")]
}

#[cfg(test)]
mod tests;
