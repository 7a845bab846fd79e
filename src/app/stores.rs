//! The configured store, whichever it is.

use std::sync::Arc;

use crate::domain::grant::Tombstone;
use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::store::embedded::{Embedded, EmbeddedReader};
use crate::store::inspect::Inspect;
use crate::store::reconcile::Reconciler;
use crate::store::redis::{Redis, RedisReader};
use crate::store::{Base, LiveReader, LiveView, SharedStore, StoreFault};
use crate::telemetry::sample::Skew;

#[derive(Clone)]
pub enum Stores {
    Embedded(Embedded),
    Redis(Redis),
}

impl Stores {
    #[must_use]
    pub fn store(&self) -> SharedStore {
        match self {
            Self::Embedded(store) => store.store(),
            Self::Redis(store) => store.store(),
        }
    }

    /// Asks and answers about what processes remember of this store.
    #[must_use]
    pub fn reconciler(&self) -> Arc<dyn Reconciler> {
        match self {
            Self::Embedded(store) => store.reconciler(),
            Self::Redis(store) => store.reconciler(),
        }
    }

    /// For `tidegate store status`.
    #[must_use]
    pub fn inspect(&self) -> Arc<dyn Inspect> {
        match self {
            Self::Embedded(store) => store.inspect(),
            Self::Redis(store) => store.inspect(),
        }
    }

    /// How far this clock and the store's are apart.
    #[must_use]
    pub fn skew(&self) -> Skew {
        match self {
            // One clock for both.
            Self::Embedded(_) => Box::new(|| Some(0)),
            // The gauge is positive when this clock is ahead.
            Self::Redis(store) => {
                let store = store.clone();
                Box::new(move || store.skew().map(|ahead| -ahead))
            }
        }
    }

    /// A reader for the core it is called on.
    #[must_use]
    pub fn reader(&self) -> AnyReader {
        match self {
            Self::Embedded(store) => AnyReader::Embedded(store.reader()),
            Self::Redis(store) => AnyReader::Redis(Box::new(store.reader())),
        }
    }
}

pub enum AnyReader {
    Embedded(EmbeddedReader),
    Redis(Box<RedisReader>),
}

impl LiveReader for AnyReader {
    async fn read(&self, subject: SubjectKey) -> Result<LiveView, StoreFault> {
        match self {
            Self::Embedded(reader) => reader.read(subject).await,
            Self::Redis(reader) => reader.read(subject).await,
        }
    }

    async fn base(&self, partition: Partition) -> Result<Base, StoreFault> {
        match self {
            Self::Embedded(reader) => reader.base(partition).await,
            Self::Redis(reader) => reader.base(partition).await,
        }
    }

    fn partition(&self, subject: SubjectKey) -> Partition {
        match self {
            Self::Embedded(reader) => reader.partition(subject),
            Self::Redis(reader) => reader.partition(subject),
        }
    }

    async fn tombstones(&self, subject: SubjectKey) -> Result<Vec<Tombstone>, StoreFault> {
        match self {
            Self::Embedded(reader) => reader.tombstones(subject).await,
            Self::Redis(reader) => reader.tombstones(subject).await,
        }
    }
}
