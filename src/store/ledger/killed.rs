//! What the kill switch hit and nobody has marked yet, found among what is open.

use crate::domain::grant::Grant;
use crate::domain::ids::Partition;
use crate::domain::markers::Markers;
use crate::domain::request::Request;
use crate::store::backend::{Backend, Range, Scored};
use crate::store::keys::{self, Slice};
use crate::store::record::open_json;
use crate::store::{Killed, KilledPlace, StoreFault};

use super::Ledger;
use super::list::Listable;

/// How many records of a set are looked at in one go.
const PAGE: usize = 256;

trait Mortal: Listable {
    fn is_hit(&self, markers: &Markers) -> bool;
}

impl Mortal for Grant {
    fn is_hit(&self, markers: &Markers) -> bool {
        self.ended.is_none() && markers.kill_of_grant(self).is_some()
    }
}

impl Mortal for Request {
    fn is_hit(&self, markers: &Markers) -> bool {
        self.is_pending() && markers.kill_of_request(self).is_some()
    }
}

impl<B: Backend> Ledger<B> {
    pub(super) async fn killed_page(
        &self,
        partition: Partition,
        from: Option<KilledPlace>,
    ) -> Result<Killed, StoreFault> {
        match from.unwrap_or(KilledPlace::Grants(None)) {
            KilledPlace::Grants(below) => {
                let (page, last) = self.hit::<Grant>(partition, below).await?;
                let next = last
                    .map_or(KilledPlace::Requests(None), |last| KilledPlace::Grants(Some(last)));
                Ok(Killed { next: Some(next), ..page })
            }
            KilledPlace::Requests(below) => {
                let (page, last) = self.hit::<Request>(partition, below).await?;
                let next = last.map(|last| KilledPlace::Requests(Some(last)));
                Ok(Killed { next, ..page })
            }
        }
    }

    /// One page of a set, and its last place when the set goes on.
    async fn hit<T: Mortal>(
        &self,
        partition: Partition,
        below: Option<Scored>,
    ) -> Result<(Killed, Option<Scored>), StoreFault> {
        let set = T::set(partition, Slice::Open);
        let members = self.backend.members(partition, &set, Range::Below(below), PAGE).await?;
        let last = members.last().copied().filter(|_| members.len() >= PAGE);
        let mut page = Killed::default();
        let ids = members.iter().filter_map(|found| keys::member_id(partition, &found.member));
        let keys: Vec<_> = ids.map(|random| T::key(T::id_of(partition, random))).collect();
        if keys.is_empty() {
            return Ok((page, last));
        }
        let values = self.backend.get(partition, &keys).await?;
        // After the records: a kill that hits one of them is seen here at the latest.
        let markers = self.read_base(partition).await?.markers;
        for (key, value) in keys.iter().zip(values) {
            let Some(value) = value else { continue };
            match open_json::<T>(&self.checks.sealer, key, &value) {
                Ok((_, item)) if item.is_hit(&markers) => {
                    if !page.subjects.contains(item.subject()) {
                        page.subjects.push(item.subject().clone());
                    }
                }
                Ok(_spared) => (),
                Err(fault) => page.broken.push(fault),
            }
        }
        Ok((page, last))
    }
}
