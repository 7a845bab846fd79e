//! Due timers. A timer's effect is a commit that removes it, so that it takes effect once.

use bytes::Bytes;

use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::store::backend::{Backend, Range};
use crate::store::keys::{self, Member};
use crate::store::record::{TimerRecord, open_json};
use crate::store::{DueTimer, StoreFault};

use super::Ledger;

impl<B: Backend> Ledger<B> {
    /// A timer whose record cannot be trusted is left out and logged: it must not hold up the
    /// others, and no timer gives access.
    pub(super) async fn timers_due(
        &self,
        partition: Partition,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueTimer>, StoreFault> {
        let set = keys::timers(partition);
        let due = self.backend.members(partition, &set, Range::UpTo(now.millis()), limit).await?;
        if due.is_empty() {
            return Ok(Vec::new());
        }
        let keys: Vec<_> = due.iter().map(|due| keys::timer(partition, &due.member)).collect();
        let values = self.backend.get(partition, &keys).await?;
        let timers = due.iter().zip(values).filter_map(|(due, value)| {
            // Absent: it was fired between the two reads.
            let found = self.open_timer(partition, &due.member, &value?);
            if found.is_none() {
                tracing::error!(timer = %due.member, "a timer's record cannot be trusted");
            }
            found.filter(|timer| timer.at <= now)
        });
        Ok(timers.collect())
    }

    fn open_timer(&self, partition: Partition, member: &Member, value: &Bytes) -> Option<DueTimer> {
        let key = keys::timer(partition, member);
        let (_, record): (u64, TimerRecord) = open_json(&self.checks.sealer, &key, value).ok()?;
        let TimerRecord { subject, timer, at } = record;
        (keys::timer_member(&timer) == *member).then_some(DueTimer { subject, timer, at })
    }
}
