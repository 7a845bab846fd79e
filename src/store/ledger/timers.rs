//! Due timers. A timer's effect is a commit that removes it, so that it takes effect once.

use bytes::Bytes;

use crate::domain::ids::Partition;
use crate::domain::time::Timestamp;
use crate::store::backend::{Backend, Range};
use crate::store::keys::{self, Member};
use crate::store::record::{TimerRecord, open_json};
use crate::store::seal::invalid;
use crate::store::{DuePlace, DueTimer, DueTimers, StoreFault};

use super::Ledger;

impl<B: Backend> Ledger<B> {
    /// A timer whose record cannot be trusted is reported beside the others: it must not hold them
    /// up, and no timer gives access.
    pub(super) async fn timers_due(
        &self,
        partition: Partition,
        now: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Result<DueTimers, StoreFault> {
        let set = keys::timers(partition);
        let range = Range::UpTo(now.millis(), after.map(|DuePlace(place)| place));
        let due = self.backend.members(partition, &set, range, limit).await?;
        let Some(last) = due.last() else { return Ok(DueTimers::default()) };
        let next = (due.len() >= limit).then_some(DuePlace(*last));
        let mut page = DueTimers { next, ..DueTimers::default() };
        let keys: Vec<_> = due.iter().map(|due| keys::timer(partition, &due.member)).collect();
        let values = self.backend.get(partition, &keys).await?;
        for (due, value) in due.iter().zip(values) {
            // Absent: it was fired between the two reads.
            let Some(value) = value else { continue };
            match self.open_timer(partition, &due.member, &value) {
                Ok(timer) if timer.at <= now => page.timers.push(timer),
                Ok(_moved) => (),
                Err(fault) => page.broken.push(fault),
            }
        }
        Ok(page)
    }

    fn open_timer(
        &self,
        partition: Partition,
        member: &Member,
        value: &Bytes,
    ) -> Result<DueTimer, StoreFault> {
        let key = keys::timer(partition, member);
        let (_, record): (u64, TimerRecord) = open_json(&self.checks.sealer, &key, value)?;
        let TimerRecord { subject, timer, at } = record;
        if keys::timer_member(&timer) != *member {
            return Err(invalid(&key, "it is another timer's"));
        }
        Ok(DueTimer { subject, timer, at })
    }
}
