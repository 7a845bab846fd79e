//! Whether what was written is kept at the configured level (docs/store.md, "Acknowledgement").

use std::time::Duration;

use redis::{Value, cmd};

use super::Shared;
use super::calls;
use super::link::{Fsync, Link, Trouble, only, strange};
use super::script;
use crate::config::Acknowledge;
use crate::domain::ids::Partition;
use crate::store::Durability;

/// A server that syncs every second may need more than one to say that it did.
const LONGEST_SYNC: Duration = Duration::from_secs(3);

/// How many links commits need: each is held until its commit is acknowledged.
#[must_use]
pub const fn links(level: Acknowledge) -> usize {
    match level {
        Acknowledge::Memory => 8,
        Acknowledge::Fsync | Acknowledge::Replicated => 32,
    }
}

/// To be asked on the link that wrote; waiting counts the writes of its own connection.
pub async fn is_kept(shared: &Shared, link: &mut Link) -> Durability {
    let kept = match shared.config.acknowledge {
        Acknowledge::Memory => Ok(true),
        Acknowledge::Fsync => is_synced(shared, link).await,
        Acknowledge::Replicated => is_replicated(shared, link).await,
    };
    match kept {
        Ok(true) => Durability::Confirmed,
        Ok(false) => Durability::Unconfirmed,
        Err(trouble) => {
            tracing::warn!(?trouble, "it is not known whether a commit is kept");
            Durability::Unconfirmed
        }
    }
}

/// The same for everything that was written by anybody before: a write of its own comes first.
pub async fn is_everything_kept(
    shared: &Shared,
    link: &mut Link,
    partition: Partition,
) -> Durability {
    if shared.config.acknowledge == Acknowledge::Memory {
        return Durability::Confirmed;
    }
    let call = calls::settle(partition, shared.clock.now());
    match link.run(&script::SETTLE, &call, shared.config.timeout).await {
        Ok(_) => is_kept(shared, link).await,
        Err(trouble) => {
            tracing::warn!(?trouble, "nothing could be written to be waited for");
            Durability::Unconfirmed
        }
    }
}

async fn is_synced(shared: &Shared, link: &mut Link) -> Result<bool, Trouble> {
    match link.fsync {
        Fsync::Always => return Ok(true),
        Fsync::NotAsked | Fsync::Unknown => return Ok(false),
        Fsync::Waits => (),
    }
    let limit = LONGEST_SYNC.max(shared.config.timeout);
    let mut wait = cmd("WAITAOF");
    wait.arg(1).arg(0).arg(millis(limit));
    match only(link.exchange(&[wait], limit + shared.config.timeout).await?)? {
        Value::Array(counts) => match counts.as_slice() {
            [Value::Int(local), Value::Int(_)] => Ok(*local >= 1),
            _ => Err(strange("WAITAOF")),
        },
        _ => Err(strange("WAITAOF")),
    }
}

async fn is_replicated(shared: &Shared, link: &mut Link) -> Result<bool, Trouble> {
    // No replica at all is never what this level means.
    let wanted = shared.config.replicas.max(1);
    let limit = shared.config.timeout;
    let mut wait = cmd("WAIT");
    wait.arg(wanted).arg(millis(limit));
    match only(link.exchange(&[wait], limit + shared.config.timeout).await?)? {
        Value::Int(count) => Ok(count >= i64::from(wanted)),
        _ => Err(strange("WAIT")),
    }
}

/// Never 0, which would wait for ever.
fn millis(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX).max(1)
}
