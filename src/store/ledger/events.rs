//! Events, as the outbox reads them.

use bytes::Bytes;

use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::store::backend::{Backend, LogEntry};
use crate::store::keys;
use crate::store::record::{EventRecord, open_json};
use crate::store::seal::invalid;
use crate::store::{StoreFault, StoredEvent};

use super::Ledger;

impl<B: Backend> Ledger<B> {
    /// Goes on past commits without events, so that an empty answer means "nothing more".
    pub(super) async fn events_after(
        &self,
        partition: Partition,
        mut after: u64,
        limit: usize,
    ) -> Result<Vec<StoredEvent>, StoreFault> {
        let mut events = Vec::new();
        while events.len() < limit {
            let wanted = (limit - events.len()).clamp(1, 256);
            let entries = self.backend.log(partition, after, wanted).await?;
            let Some(last) = entries.last() else { break };
            after = last.seq;
            for entry in &entries {
                self.open_entry(partition, entry, &mut events)?;
            }
        }
        Ok(events)
    }

    fn open_entry(
        &self,
        partition: Partition,
        entry: &LogEntry,
        events: &mut Vec<StoredEvent>,
    ) -> Result<(), StoreFault> {
        for (index, bytes) in (0_u16..).zip(&entry.events) {
            let (subject, record) = self.open_event(partition, index, bytes)?;
            if usize::from(record.of) != entry.events.len() {
                let key = keys::event(partition, subject, index);
                return Err(invalid(&key, "events of its commit are missing"));
            }
            events.push(StoredEvent {
                partition,
                seq: entry.seq,
                index,
                commit: entry.commit,
                subject: record.subject,
                traceparent: record.traceparent,
                event: record.event,
            });
        }
        Ok(())
    }

    pub(super) fn open_event(
        &self,
        partition: Partition,
        index: u16,
        bytes: &Bytes,
    ) -> Result<(SubjectKey, EventRecord), StoreFault> {
        let Some((subject, _)) = bytes.split_first_chunk::<16>() else {
            return Err(invalid(&keys::events(partition), "an event is cut short"));
        };
        let subject = SubjectKey(*subject);
        let key = keys::event(partition, subject, index);
        let (_, record): (u64, EventRecord) =
            open_json(&self.checks.sealer, &key, &bytes.slice(16..))?;
        if record.subject.key() != subject {
            return Err(invalid(&key, "it is of another subject"));
        }
        Ok((subject, record))
    }
}
