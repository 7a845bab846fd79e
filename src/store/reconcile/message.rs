//! Question and answer, as they go over the channel that all processes share. Whoever can write to
//! the channel but has no seal key can neither ask nor answer; what was recorded fits no later
//! question.
//!
//! ```text
//! message  := '?' sealed(question)  |  '!' sealed(part)
//! ```

use bytes::{BufMut, Bytes, BytesMut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::ids::Partition;
use crate::domain::markers::Generation;
use crate::domain::time::Timestamp;
use crate::store::StoreFault;
use crate::store::keys::{self, Key};
use crate::store::record::{MarkersRecord, open_json, seal_json};
use crate::store::revoked::Revocation;
use crate::store::seal::Sealer;

const QUESTION: u8 = b'?';
const ANSWER: u8 = b'!';
/// A part is closed when it is this long (bytes); one thing to say is never split.
const PART: usize = 48 * 1024;
/// Longer messages are not looked at.
const LONGEST: usize = 4 * 1024 * 1024;

pub type Nonce = [u8; 16];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub nonce: Nonce,
    pub at: Timestamp,
}

/// One of the `of` messages with which a process answers a question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The question's.
    pub nonce: Nonce,
    /// Drawn by the answering process for this answer.
    pub answer: Nonce,
    pub instance: String,
    pub number: u32,
    pub of: u32,
    pub says: Vec<Says>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Says {
    Partition(PartitionSays),
    Ended(Revocation),
}

/// What a process remembers of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSays {
    pub partition: Partition,
    pub closed: bool,
    /// As it is spelled in the store.
    pub head: Option<String>,
    pub generation: Generation,
    pub markers: Option<MarkersRecord>,
}

pub enum Message {
    Question(Question),
    Part(Part),
}

impl Question {
    /// # Errors
    /// Never for such a question.
    pub fn sealed(&self, sealer: &Sealer) -> Result<Bytes, StoreFault> {
        sealed(sealer, QUESTION, &keys::reconcile_question(), self)
    }
}

impl Part {
    /// # Errors
    /// Something that JSON cannot hold.
    pub fn sealed(&self, sealer: &Sealer) -> Result<Bytes, StoreFault> {
        sealed(sealer, ANSWER, &keys::reconcile_answer(), self)
    }
}

impl Message {
    /// `None` for whatever nobody with a seal key has said.
    #[must_use]
    pub fn open(sealer: &Sealer, message: &Bytes) -> Option<Self> {
        if message.len() > LONGEST {
            return None;
        }
        let kind = *message.first()?;
        let value = message.slice(1..);
        match kind {
            QUESTION => opened(sealer, &keys::reconcile_question(), &value).map(Self::Question),
            ANSWER => opened(sealer, &keys::reconcile_answer(), &value).map(Self::Part),
            _ => None,
        }
    }
}

fn sealed<T: Serialize>(
    sealer: &Sealer,
    kind: u8,
    key: &Key,
    content: &T,
) -> Result<Bytes, StoreFault> {
    let value = seal_json(sealer, key, 0, content)?;
    let mut message = BytesMut::with_capacity(1 + value.len());
    message.put_u8(kind);
    message.extend_from_slice(&value);
    Ok(message.freeze())
}

fn opened<T: DeserializeOwned>(sealer: &Sealer, key: &Key, value: &Bytes) -> Option<T> {
    open_json(sealer, key, value).ok().map(|(_, content)| content)
}

/// What there is to say, in portions that fit into one part each; there is always one.
///
/// # Errors
/// Something that JSON cannot hold.
pub fn portions(all: Vec<Says>) -> Result<Vec<Vec<Says>>, StoreFault> {
    let unwritable = |_| StoreFault::Unreachable("an answer that cannot be written".into());
    let (mut portions, mut portion, mut length) = (Vec::new(), Vec::new(), 0);
    for says in all {
        let more = serde_json::to_vec(&says).map_err(unwritable)?.len();
        if length + more > PART && !portion.is_empty() {
            portions.push(std::mem::take(&mut portion));
            length = 0;
        }
        length += more;
        portion.push(says);
    }
    portions.push(portion);
    Ok(portions)
}
