//! `tidegate store show | status`: the store as its own process reads it, for people.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::LocalSet;
use tokio::time::{Instant, sleep};

use crate::clock::{SharedClock, SystemClock};
use crate::config::{Backend, Config};
use crate::domain::grant::{Grant, Tombstone};
use crate::domain::ids::GrantId;
use crate::domain::markers::Markers;
use crate::domain::request::Request;
use crate::domain::subject::Subject;
use crate::domain::time::Timestamp;
use crate::identity::Issuers;
use crate::store::embedded;
use crate::store::inspect::{BackendStatus, PartitionStatus};
use crate::store::{LiveGrant, LiveReader, LiveView, Load, Store, StoreFault};

use super::load;
use super::stores::Stores;

/// How long a server that does not answer yet is waited for.
const PATIENCE: Duration = Duration::from_secs(3);
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// The configuration or the subject's name.
    #[error("{0}")]
    Usage(String),
    #[error("there is no store in {0} yet; `tidegate serve` makes one")]
    Absent(String),
    /// It is there and does not fit, or a running process holds it.
    #[error("{0}")]
    Misfit(String),
    #[error(transparent)]
    Store(#[from] StoreFault),
    #[error("the runtime could not start: {0}")]
    Runtime(#[from] std::io::Error),
}

/// All that the store keeps ready about one subject.
#[derive(Debug)]
pub struct SubjectReport {
    pub subject: Subject,
    pub partition: u16,
    /// 0: the store has never seen this subject.
    pub version: u64,
    pub suspended: bool,
    /// What has not been marked as ended, newest first.
    pub grants: Vec<Held>,
    /// What ended within a day, newest first.
    pub ended: Vec<Tombstone>,
    pub pending: Vec<Request>,
}

/// A grant, and whether the gateway counts it.
#[derive(Debug)]
pub struct Held {
    pub grant: Grant,
    /// Why it does not count; `None`: it does, for every request that its narrowing covers.
    pub does_not_count: Option<String>,
}

#[derive(Debug)]
pub struct StoreReport {
    pub back_end: BackendStatus,
    pub partitions: Vec<PartitionStatus>,
}

/// # Errors
/// See [`InspectError`].
pub fn show_subject(config: &Config, name: &str) -> Result<SubjectReport, InspectError> {
    let issuers = Issuers::new(config.issuers.clone());
    let issuers = issuers.map_err(|refused| InspectError::Usage(refused.to_string()))?;
    let Some(subject) = issuers.resolve(name) else {
        return Err(InspectError::Usage(format!("{name:?} can be no subject of any issuer")));
    };
    on_runtime(async {
        let clock: SharedClock = Arc::new(SystemClock);
        let stores = open(config, &clock).await?;
        read_subject(&stores, subject, clock.now()).await
    })
}

/// # Errors
/// See [`InspectError`].
pub fn store_status(config: &Config) -> Result<StoreReport, InspectError> {
    on_runtime(async {
        let stores = open(config, &(Arc::new(SystemClock) as SharedClock)).await?;
        let inspect = stores.inspect();
        let mut partitions = Vec::new();
        for partition in inspect.partitions().all() {
            partitions.push(inspect.partition(partition).await?);
        }
        Ok(StoreReport { back_end: inspect.back_end().await?, partitions })
    })
}

/// One thread, as a core of the gateway has it.
fn on_runtime<T>(work: impl Future<Output = Result<T, InspectError>>) -> Result<T, InspectError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, work)
}

/// The store, which is not made here and has to answer.
async fn open(config: &Config, clock: &SharedClock) -> Result<Stores, InspectError> {
    if let Backend::Embedded { path } = &config.store.backend
        && !embedded::is_initialised(path)
    {
        return Err(InspectError::Absent(path.display().to_string()));
    }
    let opened = load::open_store(config, clock).await;
    let stores = opened.map_err(|misfit| InspectError::Misfit(misfit.to_string()))?;
    answering(&*stores.store()).await?;
    Ok(stores)
}

async fn answering(store: &dyn Store) -> Result<(), StoreFault> {
    let patience = Instant::now() + PATIENCE;
    loop {
        match store.probe().await {
            Err(StoreFault::Unreachable(_) | StoreFault::Deadline) if Instant::now() < patience => {
                sleep(ASK_AGAIN).await;
            }
            answer => return answer,
        }
    }
}

async fn read_subject(
    stores: &Stores,
    subject: Subject,
    now: Timestamp,
) -> Result<SubjectReport, InspectError> {
    let (store, reader) = (stores.store(), stores.reader());
    let view = reader.read(subject.key()).await?;
    let ended = reader.tombstones(subject.key()).await?;
    let load = Load { subject: &subject, request: None, grant: None, idempotency: None };
    let state = store.load(load).await?.state;
    let mut grants: Vec<Held> = state
        .grants
        .into_values()
        .map(|grant| {
            let does_not_count = why_not(&view, grant.id, now);
            Held { grant, does_not_count }
        })
        .collect();
    grants.sort_by_key(|held| std::cmp::Reverse((held.grant.granted_at, held.grant.id)));
    Ok(SubjectReport {
        partition: state.partition.0,
        version: state.version,
        suspended: view.is_suspended(),
        grants,
        ended,
        pending: state.requests.into_values().collect(),
        subject,
    })
}

/// Why the gateway does not count a grant now, as its own read shows it.
fn why_not(view: &LiveView, id: GrantId, now: Timestamp) -> Option<String> {
    if view.is_suspended() {
        return Some("its subject is suspended".to_owned());
    }
    match view.grants().find(|grant| grant.id == id) {
        Some(grant) => why_not_live(&grant, &view.markers, now),
        None => Some("it is not among the live grants".to_owned()),
    }
}

fn why_not_live(grant: &LiveGrant<'_>, markers: &Markers, now: Timestamp) -> Option<String> {
    if let Some(kill) = markers.kill(grant.generation, grant.tool, grant.template) {
        return Some(format!("killed by {}: {}", kill.by.name, kill.reason));
    }
    if now >= grant.expires_at {
        return Some("expired, and not marked as ended yet".to_owned());
    }
    if !grant.confirmed {
        return Some("not confirmed yet".to_owned());
    }
    let starts_later = grant.not_before.is_some_and(|start| now < start);
    starts_later.then(|| "it has not begun".to_owned())
}

#[cfg(test)]
mod tests;
