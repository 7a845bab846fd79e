//! How often a grant was used, and when first and last. It decides nothing.

use super::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Use {
    /// At least one.
    pub count: u64,
    pub first: Timestamp,
    pub last: Timestamp,
}

impl Use {
    #[must_use]
    pub const fn once(at: Timestamp) -> Self {
        Self { count: 1, first: at, last: at }
    }

    /// Of both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            count: self.count.saturating_add(other.count),
            first: self.first.min(other.first),
            last: self.last.max(other.last),
        }
    }
}
