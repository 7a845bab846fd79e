//! What the records hold, and how they become bytes. All but the live value (see `compact`) are
//! sealed JSON; head and stored commit are plain text, because the store's own script writes them.

use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::domain::access::Access;
use crate::domain::command::Timer;
use crate::domain::event::Event;
use crate::domain::ids::{CommitId, GrantId, Partition, PartitionCount, RequestId, hex};
use crate::domain::markers::Markers;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::domain::uses::Use;
use crate::entropy::{self, NoEntropy};

use super::keys::{self, Key};
use super::seal::{Sealer, invalid};
use super::{Head, StoreFault, StoredAnswer};

/// The format of the whole store; another one is refused at start.
pub const FORMAT: u16 = 1;
/// The first entry of every log is the initialisation itself.
const FIRST_SEQ: u64 = 1;
const FIRST_EPOCH: u64 = 1;

/// What a store was initialised with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meta {
    pub format: u16,
    pub partitions: PartitionCount,
}

/// The markers with the epoch they belong to: the head is not sealed, so its epoch counts only
/// when the sealed markers say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkersRecord {
    pub epoch: u64,
    pub markers: Markers,
}

/// The anchor of a subject: its version (in the seal) and its open work. It never expires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubjectRecord {
    pub subject: Subject,
    pub pending: Vec<Listed<RequestId>>,
    pub open: Vec<Listed<GrantId>>,
    /// Its kill switch was thrown: until then approvers decide on whatever it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supervised_until: Option<Timestamp>,
    /// Of the subject whose records the templates are that were made over the API.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<ListedTemplate>,
}

/// A name that was used for a template over the API, with what has to be known of it also when its
/// record cannot be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedTemplate {
    pub name: Arc<str>,
    /// The version of the subject that its record was written at.
    pub version: u64,
    /// Its own, which also a deletion raises.
    pub revision: u64,
    pub accesses: Vec<Access>,
    /// There is no record any more.
    #[serde(default)]
    pub deleted: bool,
}

/// A record of this subject with the version it was last written at, so that an older sealed value
/// of the same record is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed<I> {
    pub id: I,
    pub version: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AnswerRecord {
    pub at: Timestamp,
    pub answer: StoredAnswer,
    /// The grants of the commit that were not confirmed: until they are, the answer is "unconfirmed".
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waits_for: Vec<GrantId>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimerRecord {
    pub subject: Subject,
    pub timer: Timer,
    pub at: Timestamp,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventRecord {
    pub subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<Arc<str>>,
    /// How many events the commit has, so that a missing last one is noticed.
    pub of: u16,
    pub event: Event,
}

/// # Errors
/// A value that JSON cannot hold.
pub fn seal_json<T: Serialize>(
    sealer: &Sealer,
    key: &Key,
    version: u64,
    record: &T,
) -> Result<Bytes, StoreFault> {
    let content = serde_json::to_vec(record).map_err(|_| invalid(key, "it cannot be written"))?;
    Ok(sealer.seal(key, version, &content))
}

/// The version and the record under `key`.
///
/// # Errors
/// A bad seal, or content that is not such a record.
pub fn open_json<T: DeserializeOwned>(
    sealer: &Sealer,
    key: &Key,
    value: &Bytes,
) -> Result<(u64, T), StoreFault> {
    let opened = sealer.open_record(key, value)?;
    let record = serde_json::from_slice(&opened.content)
        .map_err(|_| invalid(key, "its content is in no known form"))?;
    Ok((opened.version, record))
}

/// `<epoch> <seq> <commit id, 32 hexadecimal digits>`.
#[must_use]
pub fn head_text(head: &Head) -> Bytes {
    format!("{} {} {}", head.epoch, head.seq, hex(&head.id.0)).into()
}

#[must_use]
pub fn parse_head(text: &[u8]) -> Option<Head> {
    let mut parts = std::str::from_utf8(text).ok()?.split(' ');
    let head = Head {
        epoch: number(parts.next()?)?,
        seq: number(parts.next()?)?,
        id: parse_commit(parts.next()?)?,
    };
    parts.next().is_none().then_some(head)
}

/// `<version> <seq>`: what a commit answered.
#[must_use]
pub fn stored_commit(version: u64, seq: u64) -> Bytes {
    format!("{version} {seq}").into()
}

#[must_use]
pub fn parse_stored_commit(text: &[u8]) -> Option<(u64, u64)> {
    let (version, seq) = std::str::from_utf8(text).ok()?.split_once(' ')?;
    Some((number(version)?, number(seq)?))
}

/// `<count> <first> <last>`, both in milliseconds.
#[must_use]
pub fn use_text(used: Use) -> Bytes {
    format!("{} {} {}", used.count, used.first.millis(), used.last.millis()).into()
}

#[must_use]
pub fn parse_use(text: &[u8]) -> Option<Use> {
    let mut parts = std::str::from_utf8(text).ok()?.split(' ').map(number);
    let (count, first, last) = (parts.next()??, parts.next()??, parts.next()??);
    let (first, last) = (Timestamp::from_millis(first), Timestamp::from_millis(last));
    parts.next().is_none().then_some(Use { count, first, last })
}

/// Decimal digits only: no sign, which `parse` would take.
#[must_use]
pub fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A commit id in 32 hexadecimal digits.
#[must_use]
pub fn parse_commit(text: &str) -> Option<CommitId> {
    let digits = text.as_bytes();
    if digits.len() != 32 {
        return None;
    }
    let mut id = [0; 16];
    for (byte, pair) in id.iter_mut().zip(digits.chunks_exact(2)) {
        for &digit in pair {
            let value = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = (*byte << 4) | value;
        }
    }
    Some(CommitId(id))
}

/// Everything an empty store starts with; written all together or not at all.
#[derive(Debug)]
pub struct Genesis {
    pub meta: (Key, Bytes),
    pub partitions: Vec<GenesisPartition>,
}

#[derive(Debug)]
pub struct GenesisPartition {
    pub partition: Partition,
    pub head: Head,
    pub head_value: (Key, Bytes),
    pub markers_value: (Key, Bytes),
}

/// # Errors
/// No random bytes, or nothing that can be written.
pub fn genesis(sealer: &Sealer, partitions: PartitionCount) -> Result<Genesis, GenesisError> {
    let meta = Meta { format: FORMAT, partitions };
    let meta_value = seal_json(sealer, &keys::meta(), 0, &meta)?;
    let each = |partition| -> Result<GenesisPartition, GenesisError> {
        let head = Head { epoch: FIRST_EPOCH, seq: FIRST_SEQ, id: entropy::commit_id()? };
        let record = MarkersRecord { epoch: head.epoch, markers: Markers::default() };
        let key = keys::markers(partition);
        let markers = seal_json(sealer, &key, record.markers.generation, &record)?;
        Ok(GenesisPartition {
            partition,
            head,
            head_value: (keys::head(partition), head_text(&head)),
            markers_value: (key, markers),
        })
    };
    let partitions = partitions.all().map(each).collect::<Result<_, _>>()?;
    Ok(Genesis { meta: (keys::meta(), meta_value), partitions })
}

#[derive(Clone, Debug, thiserror::Error)]
pub enum GenesisError {
    #[error(transparent)]
    NoEntropy(#[from] NoEntropy),
    #[error(transparent)]
    Store(#[from] StoreFault),
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::SealKey;
    use crate::domain::request::Request;

    fn sealer() -> Sealer {
        let key = SealKey { id: "k1".into(), bytes: [1; 32].into() };
        Sealer::new(&[key]).expect("usable")
    }

    #[test]
    fn a_head_has_one_spelling() {
        let id = "0123456789abcdef".repeat(2);
        assert!(parse_head(format!("1 7 {id}").as_bytes()).is_some());
        let upper = id.to_uppercase();
        for text in ["", "1 7", "1 7 zz", &format!("1 7 {upper}"), &format!("1 +7 {id}")] {
            assert_eq!(parse_head(text.as_bytes()), None, "{text}");
        }
        for text in [format!("1 7 {id} "), format!("1  7 {id}"), format!(" 1 7 {id}")] {
            assert_eq!(parse_head(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_head_reads_back_as_itself(epoch: u64, seq: u64, id: [u8; 16]) {
            let head = Head { epoch, seq, id: CommitId(id) };
            prop_assert_eq!(parse_head(&head_text(&head)), Some(head));
            prop_assert_eq!(parse_stored_commit(&stored_commit(epoch, seq)), Some((epoch, seq)));
        }

        #[test]
        fn well_sealed_garbage_is_an_invalid_record(content in proptest::collection::vec(any::<u8>(), 0..300)) {
            let key = keys::meta();
            let value = sealer().seal(&key, 1, &content);
            prop_assert!(open_json::<Request>(&sealer(), &key, &value).is_err());
            prop_assert!(open_json::<SubjectRecord>(&sealer(), &key, &value).is_err());
            prop_assert!(open_json::<EventRecord>(&sealer(), &key, &value).is_err());
            prop_assert!(open_json::<MarkersRecord>(&sealer(), &key, &value).is_err());
            let _ = (parse_head(&content), parse_stored_commit(&content));
        }
    }
}
