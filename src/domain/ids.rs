//! Identifiers. Those of requests and grants carry their partition, so that a record is found
//! without an index over the whole store.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Crockford's alphabet in lower case: no `i`, `l`, `o`, `u`.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const ENCODED: usize = 26;

/// A partition of the store: `0..count`, where `count` is fixed when a store is initialised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Partition(pub u16);

impl Partition {
    /// As ASCII: at least two.
    fn digits(self, piece: &mut impl FnMut(&[u8])) {
        let number = self.0;
        let all = [10_000, 1_000, 100, 10, 1].map(|place| b'0' + low(number / place % 10));
        let shown = match number {
            0..=99 => all.get(3..),
            100..=999 => all.get(2..),
            1_000..=9_999 => all.get(1..),
            10_000.. => all.get(..),
        };
        piece(shown.unwrap_or_default());
    }
}

/// At least two digits.
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut written = Ok(());
        self.digits(&mut |text| {
            written = f.write_str(std::str::from_utf8(text).unwrap_or_default());
        });
        written
    }
}

fn low(digit: u16) -> u8 {
    u8::try_from(digit).unwrap_or(0)
}

/// How many partitions a store has (64 unless it was initialised otherwise).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartitionCount(u16);

impl PartitionCount {
    pub const DEFAULT: Self = Self(64);

    /// `None` for zero and for more than 1024.
    #[must_use]
    pub const fn new(count: u16) -> Option<Self> {
        if count == 0 || count > 1024 { None } else { Some(Self(count)) }
    }

    #[must_use]
    pub const fn get(self) -> u16 {
        self.0
    }

    pub fn all(self) -> impl Iterator<Item = Partition> {
        (0..self.0).map(Partition)
    }

    /// The partition of 16 bytes that are already evenly spread (a digest).
    #[must_use]
    pub fn of(self, digest: [u8; 16]) -> Partition {
        let remainder = u128::from_be_bytes(digest) % u128::from(self.0);
        Partition(u16::try_from(remainder).unwrap_or(0))
    }
}

/// Sixteen random bytes from which all identifiers of one command are made.
///
/// Drawn by the shell before the command, so that the domain stays free of randomness.
#[derive(Clone, Copy, Debug)]
pub struct Seed(pub [u8; 16]);

impl Seed {
    /// The `n`th identifier of this seed; different `n` give different identifiers.
    #[must_use]
    pub fn nth(self, n: u16) -> [u8; 16] {
        (u128::from_be_bytes(self.0) ^ u128::from(n)).to_be_bytes()
    }
}

/// An identifier that is not one: which kind was expected and what was found (shortened).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected} like {prefix}_07_{}, found {found:?}", "0".repeat(ENCODED))]
pub struct InvalidId {
    pub expected: &'static str,
    pub prefix: &'static str,
    pub found: String,
}

macro_rules! partitioned_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name {
            pub partition: Partition,
            pub random: [u8; 16],
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // A header and a record of every request show one.
                f.write_str(concat!($prefix, "_"))?;
                self.partition.fmt(f)?;
                f.write_str("_")?;
                Base32(self.random).fmt(f)
            }
        }

        impl $name {
            /// The same text, piece by piece: without the machinery of formatting.
            pub fn pieces(&self, mut piece: impl FnMut(&[u8])) {
                piece(concat!($prefix, "_").as_bytes());
                self.partition.digits(&mut piece);
                piece(b"_");
                piece(&Base32(self.random).digits());
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                parse(text, $prefix)
                    .map(|(partition, random)| Self { partition, random })
                    .ok_or_else(|| InvalidId {
                        expected: $what,
                        prefix: $prefix,
                        found: text.chars().take(64).collect(),
                    })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

partitioned_id!(
    /// `req_<partition>_<26 characters>`.
    RequestId,
    "req",
    "a request id"
);
partitioned_id!(
    /// `grt_<partition>_<26 characters>`.
    GrantId,
    "grt",
    "a grant id"
);

/// Identifies one order to throw the kill switch; a retry with its idempotency key carries the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderId(pub [u8; 16]);

/// Identifies one commit; a retry carries the same one and finds its stored answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommitId(pub [u8; 16]);

impl fmt::Display for CommitId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Base32(self.0).fmt(f)
    }
}

/// Sixteen bytes as 26 characters of Crockford's base 32 (the first carries three bits).
pub struct Base32(pub [u8; 16]);

impl Base32 {
    /// As ASCII.
    #[must_use]
    pub fn digits(&self) -> [u8; ENCODED] {
        let mut rest = u128::from_be_bytes(self.0);
        let mut text = [b'0'; ENCODED];
        for byte in text.iter_mut().rev() {
            let digit = usize::from(rest.to_le_bytes()[0] & 31);
            *byte = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        text
    }
}

impl fmt::Display for Base32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(std::str::from_utf8(&self.digits()).unwrap_or_default())
    }
}

/// Bytes as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.extend(hex_pair(*byte).map(char::from));
        text
    })
}

/// The lower-case hexadecimal digits of every byte.
#[must_use]
pub fn hex_digits<const N: usize>(bytes: &[u8; N]) -> [[u8; 2]; N] {
    let mut digits = [[0; 2]; N];
    for (pair, byte) in digits.iter_mut().zip(bytes) {
        *pair = hex_pair(*byte);
    }
    digits
}

fn hex_pair(byte: u8) -> [u8; 2] {
    PAIRS.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The two digits of each byte, so that one costs a look.
static PAIRS: [[u8; 2]; 256] = pairs();

#[expect(clippy::indexing_slicing, reason = "worked out by the compiler, which checks it")]
const fn pairs() -> [[u8; 2]; 256] {
    let (digits, mut pairs, mut at) = (b"0123456789abcdef", [[0; 2]; 256], 0);
    while at < pairs.len() {
        pairs[at] = [digits[at >> 4], digits[at & 15]];
        at += 1;
    }
    pairs
}

/// Only the canonical spelling is accepted: an identifier has exactly one text.
fn parse(text: &str, prefix: &str) -> Option<(Partition, [u8; 16])> {
    let rest = text.strip_prefix(prefix)?.strip_prefix('_')?;
    let (partition, random) = rest.split_once('_')?;
    let number: u16 = partition.parse().ok()?;
    if Partition(number).to_string() != partition || random.len() != ENCODED {
        return None;
    }
    let mut value: u128 = 0;
    for (place, byte) in random.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|&letter| letter == byte)?;
        if place == 0 && digit > 7 {
            return None;
        }
        value = (value << 5) | u128::try_from(digit).ok()?;
    }
    Some((Partition(number), value.to_be_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_has_two_digits_or_as_many_as_it_needs() {
        for number in 0..=u16::MAX {
            assert_eq!(Partition(number).to_string(), format!("{number:02}"));
        }
    }

    #[test]
    fn the_pieces_of_an_identifier_are_its_text() {
        for number in [0, 7, 10, 99, 100, 1023] {
            let id = GrantId { partition: Partition(number), random: *b"0123456789abcdef" };
            let mut text = Vec::new();
            id.pieces(|piece| text.extend_from_slice(piece));
            assert_eq!(text, id.to_string().as_bytes());
        }
    }

    #[test]
    fn an_identifier_reads_back_as_itself() {
        for seed in [[0; 16], [0xff; 16], *b"0123456789abcdef"] {
            let id = RequestId { partition: Partition(7), random: seed };
            assert_eq!(id.to_string().parse::<RequestId>(), Ok(id));
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_an_identifier_is_accepted() {
        let id = GrantId { partition: Partition(3), random: [0xff; 16] }.to_string();
        let wrong = [
            id.to_uppercase(),
            id.replace("_03_", "_3_"),
            id.replace("_03_", "_003_"),
            id.replace("_03_", "_+3_"),
            id.replace("grt_", "req_"),
            format!("{id}0"),
            id.replace("_7", "_z"),
            String::new(),
        ];
        for text in wrong {
            assert!(text.parse::<GrantId>().is_err(), "{text}");
        }
    }

    #[test]
    fn one_seed_gives_different_identifiers() {
        let seed = Seed([9; 16]);
        assert_ne!(seed.nth(0), seed.nth(1));
    }
}
