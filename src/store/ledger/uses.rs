//! How often grants were used.

use std::collections::BTreeMap;

use crate::domain::ids::{GrantId, Partition};
use crate::domain::uses::Use;
use crate::store::StoreFault;
use crate::store::backend::Backend;
use crate::store::keys::{self, Key};
use crate::store::record::parse_use;

use super::Ledger;

/// So many counters are added to in one go.
const AT_ONCE: usize = 256;

impl<B: Backend> Ledger<B> {
    pub(super) async fn add_uses_of(
        &self,
        partition: Partition,
        uses: &[(GrantId, Use)],
    ) -> Result<(), StoreFault> {
        for some in uses.chunks(AT_ONCE) {
            let own = some.iter().filter(|(grant, _)| grant.partition == partition);
            let adds = own.map(|(grant, used)| (keys::grant_use(*grant), *used)).collect();
            self.backend.add_uses(partition, adds).await?;
        }
        Ok(())
    }

    pub(super) async fn uses_of(
        &self,
        partition: Partition,
        grants: &[GrantId],
    ) -> Result<BTreeMap<GrantId, Use>, StoreFault> {
        let own: Vec<GrantId> =
            grants.iter().copied().filter(|it| it.partition == partition).collect();
        if own.is_empty() {
            return Ok(BTreeMap::new());
        }
        let keys: Vec<Key> = own.iter().map(|grant| keys::grant_use(*grant)).collect();
        let values = self.backend.get(partition, &keys).await?;
        let used = own.into_iter().zip(values);
        Ok(used.filter_map(|(grant, value)| Some((grant, parse_use(&value?)?))).collect())
    }
}
