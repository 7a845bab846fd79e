//! Opening: initialise an empty store, hold an old one against the configuration.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use redb::{Database, ReadableDatabase};

use crate::domain::ids::PartitionCount;
use crate::store::keys;
use crate::store::record::{FORMAT, Genesis, Meta, genesis};
use crate::store::seal::Sealer;

use super::OpenError;
use super::batch::{Batch, forever};
use super::state::State;
use super::tables::Snapshot;

pub const FILE: &str = "tidegate.redb";

/// What every request reads is in memory anyway; pages of history need no more than this (bytes).
const CACHE: usize = 64 << 20;

/// The database and everything that is kept of it in memory. The library panics on some pages that
/// contradict each other; that is a damaged store as well, and no reason to crash.
pub fn read(
    path: &Path,
    sealer: &Sealer,
    partitions: PartitionCount,
) -> Result<(Database, State), OpenError> {
    let read = || {
        let database = database(path)?;
        let snapshot = prepared(&database, path, sealer, partitions)?;
        let state = State::new(snapshot, partitions)?;
        Ok((database, state))
    };
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
        let why = "its pages contradict each other; restore it from a copy";
        Err(OpenError::Damaged { path: path.to_owned(), why })
    })
}

fn database(path: &Path) -> Result<Database, OpenError> {
    let created = Database::builder().set_cache_size(CACHE).create(path.join(FILE));
    created.map_err(|fault| OpenError::from(redb::Error::from(fault)))
}

/// The store as it stands, initialised and fitting the configuration.
fn prepared(
    database: &Database,
    path: &Path,
    sealer: &Sealer,
    partitions: PartitionCount,
) -> Result<Snapshot, OpenError> {
    make_tables(database)?;
    let snapshot = snapshot(database)?;
    if let Some(meta) = snapshot.get(&keys::meta())? {
        check(path, sealer, partitions, &meta)?;
        return Ok(snapshot);
    }
    if !snapshot.is_empty()? {
        let why = "it has records but does not say how it was initialised";
        return Err(OpenError::Damaged { path: path.to_owned(), why });
    }
    write_genesis(database, &genesis(sealer, partitions)?)?;
    self::snapshot(database)
}

fn snapshot(database: &Database) -> Result<Snapshot, OpenError> {
    let read = database.begin_read().map_err(redb::Error::from)?;
    Ok(Snapshot::of(&read)?)
}

/// A table that was never opened for writing cannot be opened for reading.
fn make_tables(database: &Database) -> Result<(), OpenError> {
    let write = database.begin_write().map_err(redb::Error::from)?;
    drop(Batch::open(&write)?);
    Ok(write.commit().map_err(redb::Error::from)?)
}

fn check(
    path: &Path,
    sealer: &Sealer,
    configured: PartitionCount,
    meta: &bytes::Bytes,
) -> Result<(), OpenError> {
    let wrong_key = |why| OpenError::SealKey { path: path.to_owned(), why };
    let opened = sealer.open(&keys::meta(), meta).map_err(wrong_key)?;
    let damaged = |_| OpenError::Damaged {
        path: path.to_owned(),
        why: "what it was initialised with is in no known form",
    };
    let meta: Meta = serde_json::from_slice(&opened.content).map_err(damaged)?;
    if meta.format != FORMAT {
        return Err(OpenError::Format { found: meta.format, known: FORMAT });
    }
    if meta.partitions != configured {
        let (found, configured) = (meta.partitions.get(), configured.get());
        return Err(OpenError::Partitions { found, configured });
    }
    Ok(())
}

fn write_genesis(database: &Database, genesis: &Genesis) -> Result<(), OpenError> {
    let write = database.begin_write().map_err(redb::Error::from)?;
    let mut batch = Batch::open(&write)?;
    for part in &genesis.partitions {
        for (key, value) in [&part.head_value, &part.markers_value] {
            batch.put(&forever(*key, value.clone()))?;
        }
        batch.append_first(part.partition.0, &part.head)?;
    }
    let (key, value) = &genesis.meta;
    batch.put(&forever(*key, value.clone()))?;
    drop(batch);
    Ok(write.commit().map_err(redb::Error::from)?)
}
