//! Dead letters: events that a sink could not be told. A letter names an entry of the log, and
//! holds it there; it is no copy.

use serde::{Deserialize, Serialize};

use crate::domain::time::Timestamp;

/// Where an event stands in its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct EventPlace {
    pub seq: u64,
    pub index: u16,
}

/// Why the last try failed: a closed set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetterWhy {
    /// A status that says that trying again is of no use.
    Refused,
    /// Another status that is not 2xx.
    Failed,
    /// No status in time.
    TimedOut,
    /// No connection.
    Unreachable,
    /// The exchange broke off.
    Broken,
}

impl LetterWhy {
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Unreachable => "unreachable",
            Self::Broken => "broken",
        }
    }
}

/// An event that was given up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetter {
    pub place: EventPlace,
    /// The `CloudEvents` id.
    pub id: String,
    /// The `CloudEvents` type.
    pub event_type: String,
    /// When it happened.
    pub at: Timestamp,
    /// When it was given up last.
    pub died: Timestamp,
    pub tries: u32,
    pub why: LetterWhy,
    /// The last status, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Somebody asked for another try.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replay: bool,
}

/// The dead letters of one sink in one partition, in the order of the log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadLetters(pub Vec<DeadLetter>);

/// One step in the life of dead letters.
#[derive(Clone, Debug)]
pub enum LetterChange {
    /// Adds one, or puts another in its place; of more than `most` the oldest are dropped.
    Put { letter: DeadLetter, most: usize },
    /// It was delivered after all, or its event is gone.
    Remove(EventPlace),
    /// Asks for another try of the one with this id, or of all.
    Replay { id: Option<String> },
    /// Drops those that were given up before.
    Expire { before: Timestamp },
}

/// What a change came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LettersChanged {
    /// Letters that were added, removed or dropped, or that are marked.
    pub count: usize,
    /// Of these, dropped to make room or for their age.
    pub dropped: usize,
}

impl DeadLetters {
    /// What holds the log: nothing from here on may be trimmed.
    #[must_use]
    pub fn oldest(&self) -> Option<u64> {
        self.0.iter().map(|letter| letter.place.seq).min()
    }

    /// What a store does for [`super::Store::change_dead_letters`].
    pub fn change(&mut self, change: &LetterChange) -> LettersChanged {
        match change {
            LetterChange::Put { letter, most } => self.put(letter, *most),
            LetterChange::Remove(place) => {
                let before = self.0.len();
                self.0.retain(|letter| letter.place != *place);
                LettersChanged { count: before - self.0.len(), dropped: 0 }
            }
            LetterChange::Replay { id } => {
                let wanted =
                    |letter: &&mut DeadLetter| id.as_deref().is_none_or(|id| id == letter.id);
                let mut count = 0;
                for letter in self.0.iter_mut().filter(wanted) {
                    letter.replay = true;
                    count += 1;
                }
                LettersChanged { count, dropped: 0 }
            }
            LetterChange::Expire { before } => {
                let had = self.0.len();
                self.0.retain(|letter| letter.died >= *before);
                let dropped = had - self.0.len();
                LettersChanged { count: dropped, dropped }
            }
        }
    }

    fn put(&mut self, letter: &DeadLetter, most: usize) -> LettersChanged {
        self.0.retain(|other| other.place != letter.place);
        let after = self.0.partition_point(|other| other.place < letter.place);
        self.0.insert(after, letter.clone());
        let dropped = self.0.len().saturating_sub(most.max(1));
        self.0.drain(..dropped);
        LettersChanged { count: 1, dropped }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(seq: u64, died: u64) -> DeadLetter {
        DeadLetter {
            place: EventPlace { seq, index: 0 },
            id: format!("e{seq}"),
            event_type: "dev.tidegate.request.submitted.v1".into(),
            at: Timestamp::from_millis(1),
            died: Timestamp::from_millis(died),
            tries: 5,
            why: LetterWhy::TimedOut,
            status: None,
            replay: false,
        }
    }

    fn put(letters: &mut DeadLetters, letter: DeadLetter) -> LettersChanged {
        letters.change(&LetterChange::Put { letter, most: 3 })
    }

    fn seqs(letters: &DeadLetters) -> Vec<u64> {
        letters.0.iter().map(|letter| letter.place.seq).collect()
    }

    #[test]
    fn letters_stand_in_the_order_of_the_log_and_the_oldest_make_room() {
        let mut letters = DeadLetters::default();
        for seq in [4, 2, 3] {
            assert_eq!(put(&mut letters, letter(seq, 9)).dropped, 0);
        }
        assert_eq!((seqs(&letters), letters.oldest()), (vec![2, 3, 4], Some(2)));
        // Given up again: it is still one letter.
        assert_eq!(put(&mut letters, letter(3, 10)).dropped, 0);
        assert_eq!(put(&mut letters, letter(5, 10)), LettersChanged { count: 1, dropped: 1 });
        assert_eq!(seqs(&letters), [3, 4, 5]);
    }

    #[test]
    fn letters_are_marked_by_id_or_all() {
        let mut letters = DeadLetters(vec![letter(1, 9), letter(2, 9)]);
        let replay = |id: Option<&str>| LetterChange::Replay { id: id.map(str::to_owned) };
        assert_eq!(letters.change(&replay(Some("e2"))).count, 1);
        assert_eq!(letters.change(&replay(Some("unknown"))).count, 0);
        assert_eq!(letters.change(&replay(None)).count, 2);
        assert!(letters.0.iter().all(|letter| letter.replay));
        let delivered = LetterChange::Remove(EventPlace { seq: 1, index: 0 });
        assert_eq!((letters.change(&delivered).count, seqs(&letters)), (1, vec![2]));
    }

    #[test]
    fn what_was_given_up_long_ago_is_dropped() {
        let mut letters = DeadLetters(vec![letter(1, 5), letter(2, 9)]);
        let expire = LetterChange::Expire { before: Timestamp::from_millis(9) };
        assert_eq!(letters.change(&expire), LettersChanged { count: 1, dropped: 1 });
        assert_eq!(seqs(&letters), [2]);
    }
}
