//! Dead letters: one sealed record for each sink and partition, changed by compare-and-swap,
//! because whoever delivers and whoever asks for another try may be two processes.

use bytes::Bytes;

use crate::domain::ids::Partition;
use crate::store::StoreFault;
use crate::store::backend::Backend;
use crate::store::keys;
use crate::store::letters::{DeadLetters, LetterChange, LettersChanged};
use crate::store::record::{open_json, seal_json};

use super::Ledger;

/// Each time somebody else was faster, who is then done.
const SWAP_TRIES: usize = 64;

impl<B: Backend> Ledger<B> {
    pub(super) async fn read_letters(
        &self,
        sink: &str,
        partition: Partition,
    ) -> Result<DeadLetters, StoreFault> {
        Ok(self.found_letters(sink, partition).await?.letters)
    }

    pub(super) async fn change_letters(
        &self,
        sink: &str,
        partition: Partition,
        change: LetterChange,
    ) -> Result<LettersChanged, StoreFault> {
        let key = keys::letters(partition, sink);
        for _ in 0..SWAP_TRIES {
            let mut found = self.found_letters(sink, partition).await?;
            let changed = found.letters.change(&change);
            if changed.count == 0 {
                return Ok(changed);
            }
            let version = found.version.saturating_add(1);
            let value = seal_json(&self.checks.sealer, &key, version, &found.letters)?;
            if self.backend.swap(partition, key, found.value, value).await? {
                return Ok(changed);
            }
        }
        Err(StoreFault::Deadline)
    }

    async fn found_letters(&self, sink: &str, partition: Partition) -> Result<Found, StoreFault> {
        let key = keys::letters(partition, sink);
        let [value] = self.get(partition, [key]).await?;
        let Some(value) = value else { return Ok(Found::default()) };
        let (version, letters) = open_json(&self.checks.sealer, &key, &value)?;
        Ok(Found { value: Some(value), version, letters })
    }
}

#[derive(Default)]
struct Found {
    value: Option<Bytes>,
    version: u64,
    letters: DeadLetters,
}
