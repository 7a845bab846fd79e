//! Templates that were made over the API, all of one subject that nobody can be.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use crate::domain::ids::Partition;
use crate::domain::made::{self, Content, Made, MadeTemplates, MadeVersion};
use crate::domain::template::Template;
use crate::store::backend::Backend;
use crate::store::keys;
use crate::store::record::{ListedTemplate, open_json};
use crate::store::seal::Sealer;
use crate::store::{Load, StoreFault};

use super::Ledger;

impl<B: Backend> Ledger<B> {
    /// `None`: they are those of the version that is `known`.
    pub(super) async fn templates_since(
        &self,
        known: Option<MadeVersion>,
    ) -> Result<Option<MadeTemplates>, StoreFault> {
        let subject = made::subject();
        let seen = self.templates_version().await?;
        if known == Some(seen) {
            return Ok(None);
        }
        let load = Load { subject: &subject, request: None, grant: None, idempotency: None };
        let state = self.load_subject(load).await?.state;
        // Should the epoch have been raised in between, the next look finds another version.
        let version = MadeVersion { number: state.version, ..seen };
        Ok(Some(MadeTemplates { version, templates: state.templates }))
    }

    /// Of head, markers and subject record alone: where it is another one than is known, everything
    /// is read. A store that went back in time is a fault, never a version.
    async fn templates_version(&self) -> Result<MadeVersion, StoreFault> {
        let subject = made::subject();
        let key = subject.key();
        let partition = key.partition(self.checks.partitions);
        let anchor_key = keys::subject(partition, key);
        let known = self.checks.memory.known(partition, Some(key));
        let keys = [keys::head(partition), keys::markers(partition), anchor_key];
        let [head, markers, anchor] = self.get(partition, keys).await?;
        let base = self.base(partition, &known, head.as_ref(), markers.as_ref()).await?;
        let record = self.open_anchor(&anchor_key, anchor.as_ref(), &subject)?;
        let number = record.map_or(0, |(version, _)| version);
        self.checks.version(partition, &known, &base, number)?;
        self.checks.learn(partition, &known, &base, Some((key, number)))?;
        Ok(MadeVersion { epoch: base.head.epoch, number })
    }
}

/// One that cannot be trusted holds up none of the others.
pub(super) fn open_templates(
    sealer: &Sealer,
    partition: Partition,
    listed: &[ListedTemplate],
    values: &[Option<Bytes>],
) -> BTreeMap<Arc<str>, Made> {
    let open = |(listed, value): (&ListedTemplate, &Option<Bytes>)| {
        let content = if listed.deleted {
            Content::Deleted
        } else {
            match open_template(sealer, partition, listed, value.as_ref()) {
                Ok(template) => Content::There(Arc::new(template)),
                Err(why) => Content::Unreadable(why),
            }
        };
        let (version, accesses) = (listed.revision, listed.accesses.clone());
        (listed.name.clone(), Made { version, accesses, content })
    };
    listed.iter().zip(values).map(open).collect()
}

fn open_template(
    sealer: &Sealer,
    partition: Partition,
    listed: &ListedTemplate,
    value: Option<&Bytes>,
) -> Result<Template, &'static str> {
    let key = keys::template(partition, &listed.name);
    let value = value.ok_or("it is listed but not there")?;
    let opened = open_json(sealer, &key, value);
    let (version, template): (u64, Template) = opened.map_err(|fault| match fault {
        StoreFault::InvalidRecord { why, .. } => why,
        StoreFault::Unreachable(_)
        | StoreFault::Deadline
        | StoreFault::RolledBack(_)
        | StoreFault::Missing { .. }
        | StoreFault::ClockSkew(_)
        | StoreFault::Overloaded => "it cannot be opened",
    })?;
    let is_listed = version == listed.version
        && template.name == listed.name
        && template.made == Some(listed.revision)
        && template.accesses == listed.accesses;
    if is_listed { Ok(template) } else { Err("it is not the one that is listed") }
}
