//! Takes templates into use that were made over the API, by this process or another one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::execute::failed;
use super::wake::Wake;
use super::{Api, SharedApi};
use crate::domain::made::{self, Content, MadeTemplates};
use crate::domain::template::Catalog;
use crate::store::StoreFault;
use crate::telemetry::events::approvals::StoreFailed;

/// Commits say when there is something to take; words can be lost.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Runs until `stop` turns true (or its sender is gone).
pub async fn run(api: SharedApi, stop: watch::Receiver<bool>) {
    let home = made::subject().key().partition(api.store.partitions());
    let mut wake = Wake::new(&api.store, LOOK_AGAIN, stop);
    while let Some(moved) = wake.next().await {
        if moved.contains(&home) {
            // Logged; the next look comes, and what is in use stays meanwhile.
            let _told = refresh(&api).await;
        }
    }
}

/// The catalog in use, where `name` in it is confirmed: it stands in a file, or what was made over the
/// API was just read.
///
/// # Errors
/// The store's: nothing is asked for, or approved, under a version that may be over.
pub async fn confirmed(api: &Api, name: &str) -> Result<Arc<Catalog>, StoreFault> {
    let in_use = api.catalog.load_full();
    let is_of_file = in_use.templates.get(name).is_some_and(|template| template.made.is_none());
    if is_of_file && !in_use.is_partial {
        return Ok(in_use);
    }
    refresh(api).await?;
    Ok(api.catalog.load_full())
}

/// Reads what is not known yet.
///
/// # Errors
/// The store's; what is in use stays.
pub async fn refresh(api: &Api) -> Result<(), StoreFault> {
    let _alone = api.shelf_reads.lock().await;
    let read = api.store.templates(api.shelf.known()).await;
    let made = read.inspect_err(|fault| {
        let _logged = failed(api, fault.clone(), "templates");
    })?;
    if let Some(made) = made {
        tell_unreadable(api, &made);
        api.shelf.put_made(made);
    }
    Ok(())
}

fn tell_unreadable(api: &Api, made: &MadeTemplates) {
    for (name, made) in &made.templates {
        match made.content {
            Content::Unreadable(why) => {
                let fault = StoreFault::InvalidRecord { key: format!("template:{name}"), why };
                StoreFailed { metrics: &api.metrics, fault: &fault, during: "templates" }.emit();
            }
            Content::There(_) | Content::Deleted => (),
        }
    }
}
