//! Opening: a store that fits is used, an empty one is initialised, and one that does not answer is
//! waited for.
//!
//! `tg:meta` is written last: while it is missing nothing is served, so whatever partitions are
//! there are as an interrupted start left them, or the store has lost it and is not touched. Each
//! partition is made by a script that leaves alone what is there, so that two gateways may start at
//! once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use redis::{Value, cmd};

use super::backend::RedisBackend;
use super::link::{Trouble, bytes_of, only, strange};
use super::pool::Ask;
use super::publish::jittered;
use super::startup::{self, Obstacle};
use super::{OpenError, Shared, answers, script};
use crate::config::{RedisAddress, RedisNodes};
use crate::domain::ids::{Partition, hex};
use crate::store::StoreFault;
use crate::store::keys::{self, Key};
use crate::store::record::{
    FORMAT, Genesis, GenesisPartition, MarkersRecord, Meta, genesis, open_json, parse_head,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(1500);
/// How often a store is looked at again that somebody else initialises meanwhile.
const TRIES: usize = 3;

/// Tries once; a server that does not answer is tried on in the background.
///
/// # Errors
/// A server that answers and does not fit.
pub async fn open(shared: &Arc<Shared>, backend: &Arc<RedisBackend>) -> Result<(), OpenError> {
    shared.routes.start(&shared.connector);
    // Without a table yet the first try says so, and the next ones wait for it.
    let _ = shared.routes.first(shared.connector.deadline).await;
    match prepare(shared, backend).await {
        Ok(()) => {
            shared.gate.open();
            Ok(())
        }
        Err(misfit @ Obstacle::Misfit(_)) => Err(misfit.into()),
        Err(Obstacle::NotYet(why)) => {
            tracing::warn!(%why, "the store cannot be reached; nothing is answered until it can");
            shared.gate.stay_closed(&why);
            tokio::spawn(keep_trying(Arc::downgrade(shared), Arc::downgrade(backend)));
            Ok(())
        }
    }
}

/// Ends when the store fits, or nobody uses it any more.
async fn keep_trying(shared: Weak<Shared>, backend: Weak<RedisBackend>) {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
        let (Some(shared), Some(backend)) = (shared.upgrade(), backend.upgrade()) else { return };
        match prepare(&shared, &backend).await {
            Ok(()) => {
                tracing::info!("the store answers");
                return shared.gate.open();
            }
            Err(Obstacle::NotYet(why)) => shared.gate.stay_closed(&why),
            Err(Obstacle::Misfit(why)) => {
                tracing::error!(%why, "the store does not fit; nothing is answered");
                shared.gate.stay_closed(&why);
            }
        }
    }
}

async fn prepare(shared: &Arc<Shared>, backend: &Arc<RedisBackend>) -> Result<(), Obstacle> {
    let nodes = shared.routes.table().nodes.clone();
    if nodes.is_empty() {
        shared.routes.went_stale();
        return Err(Obstacle::NotYet("no primary is known yet".into()));
    }
    for address in &nodes {
        startup::look(shared, address).await?;
    }
    let opening = Opening { shared, backend, nodes };
    for _ in 0..TRIES {
        if let Some(meta) = opening.meta().await? {
            return opening.check(&meta);
        }
        match opening.initialise().await? {
            Initialised::Done => (),
            // Somebody who was faster may have finished and written already; then there is a meta.
            Initialised::InUse(why) => {
                if opening.meta().await?.is_none() {
                    return Err(Obstacle::Misfit(why));
                }
            }
        }
    }
    Err(Obstacle::NotYet("tg:meta does not stay where it was written".into()))
}

struct Opening<'a> {
    shared: &'a Shared,
    backend: &'a RedisBackend,
    nodes: Vec<RedisAddress>,
}

enum Initialised {
    Done,
    /// There is more than an interrupted start leaves behind.
    InUse(String),
}

impl Opening<'_> {
    async fn meta(&self) -> Result<Option<Bytes>, Obstacle> {
        let mut get = cmd("GET");
        get.arg(keys::meta().as_bytes());
        match self.backend.ask_somewhere(&get).await {
            Ok(Value::Nil) => Ok(None),
            Ok(Value::BulkString(bytes)) => Ok(Some(bytes.into())),
            Ok(_) => Err(self.failed(strange("GET"))),
            Err(Trouble::Refused(super::reply::Refusal::WrongType, _)) => {
                Err(Obstacle::Misfit(self.damaged("tg:meta is no value")))
            }
            Err(trouble) => Err(self.failed(trouble)),
        }
    }

    fn check(&self, meta: &Bytes) -> Result<(), Obstacle> {
        let opened = self.shared.checks.sealer.open(&keys::meta(), meta);
        let opened = opened.map_err(|why| {
            Obstacle::Misfit(format!(
                "the store was sealed with another key ({why}); expected one of store.seal_keys: configure the key it was made with, or another database"
            ))
        })?;
        let meta: Meta = serde_json::from_slice(&opened.content)
            .map_err(|_| Obstacle::Misfit(self.damaged("tg:meta is in no known form")))?;
        if meta.format != FORMAT {
            return Err(Obstacle::Misfit(format!(
                "the store has format {}; this version knows {FORMAT}: use the version that made it, or a newer one",
                meta.format
            )));
        }
        let (found, configured) = (meta.partitions.get(), self.shared.checks.partitions.get());
        if found != configured {
            return Err(Obstacle::Misfit(format!(
                "the store has {found} partitions; expected {configured}: the number is fixed when a store is made"
            )));
        }
        Ok(())
    }

    async fn initialise(&self) -> Result<Initialised, Obstacle> {
        if let Some(key) = self.foreign_record().await? {
            let why = format!("it has records ({key}) but does not say how it was initialised");
            return Ok(Initialised::InUse(self.damaged(&why)));
        }
        let made = genesis(&self.shared.checks.sealer, self.shared.checks.partitions);
        let Genesis { meta: (_, meta), partitions } =
            made.map_err(|fault| Obstacle::NotYet(fault.to_string()))?;
        for part in &partitions {
            if let Some(why) = self.make(part).await? {
                return Ok(Initialised::InUse(self.damaged(&why)));
            }
        }
        let mut set = cmd("SET");
        set.arg(keys::meta().as_bytes()).arg(&meta[..]).arg("NX");
        self.backend.ask_somewhere(&set).await.map_err(|trouble| self.failed(trouble))?;
        Ok(Initialised::Done)
    }

    /// Makes one partition, or finds it as another start made it; else why not.
    async fn make(&self, part: &GenesisPartition) -> Result<Option<String>, Obstacle> {
        let (head, markers) = (&part.head_value, &part.markers_value);
        let log = keys::events(part.partition);
        let names = [head.0.as_bytes(), markers.0.as_bytes(), log.as_bytes()];
        let mut call = script::GENESIS.call(&names);
        call.arg(&head.1[..]).arg(&markers.1[..]);
        call.arg(part.head.seq).arg(hex(&part.head.id.0));
        let address = self.address_of(part.partition)?;
        let asked = self.backend.reads().ask_at(&address, Ask::Script(&script::GENESIS, &call));
        let said = asked.await.and_then(|(lease, replies)| {
            lease.give_back();
            answers::said(only(replies)?)
        });
        let said = said.map_err(|trouble| Obstacle::of(self.shared, &address, trouble))?;
        match (said.word.as_str(), said.rest.as_slice()) {
            ("done", _) => Ok(None),
            ("there", [head, markers]) => Ok(self.is_not_new(part, head, markers)),
            _ => Ok(Some(format!("partition {} is incomplete", part.partition))),
        }
    }

    /// Why this is not what an interrupted start of a store with these keys leaves behind.
    fn is_not_new(&self, part: &GenesisPartition, head: &[u8], markers: &Bytes) -> Option<String> {
        let partition = part.partition;
        let is_first = parse_head(head)
            .is_some_and(|head| (head.epoch, head.seq) == (part.head.epoch, part.head.seq));
        if !is_first {
            return Some(format!("partition {partition} was written to"));
        }
        let sealer = &self.shared.checks.sealer;
        let key = keys::markers(partition);
        match open_json::<MarkersRecord>(sealer, &key, markers) {
            Ok((0, _)) => None,
            Ok(_) => Some(format!("partition {partition} was written to")),
            Err(StoreFault::InvalidRecord { why, .. }) => {
                Some(format!("partition {partition} was sealed with another key: {why}"))
            }
            Err(fault) => Some(fault.to_string()),
        }
    }

    /// The name of a record that no interrupted start leaves behind.
    async fn foreign_record(&self) -> Result<Option<String>, Obstacle> {
        let partitions = self.shared.checks.partitions;
        let of = |partition: Partition| {
            [keys::head(partition), keys::markers(partition), keys::events(partition)]
        };
        let known: Vec<Key> = partitions.all().flat_map(of).collect();
        for address in &self.nodes {
            let mut cursor = b"0".to_vec();
            loop {
                let found = self.scan(address, &cursor).await;
                let (next, keys) =
                    found.map_err(|trouble| Obstacle::of(self.shared, address, trouble))?;
                let is_foreign = |key: &&Vec<u8>| {
                    !known.iter().any(|known| known.as_bytes() == key.as_slice())
                        && key.as_slice() != keys::meta().as_bytes()
                };
                if let Some(key) = keys.iter().find(is_foreign) {
                    return Ok(Some(String::from_utf8_lossy(key).into_owned()));
                }
                if next == b"0" {
                    break;
                }
                cursor = next;
            }
        }
        Ok(None)
    }

    async fn scan(
        &self,
        address: &RedisAddress,
        cursor: &[u8],
    ) -> Result<(Vec<u8>, Vec<Vec<u8>>), Trouble> {
        let mut scan = cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg("tg:*").arg("COUNT").arg(1000);
        let ask = Ask::Commands(std::slice::from_ref(&scan));
        let (lease, replies) = self.backend.reads().ask_at(address, ask).await?;
        lease.give_back();
        let Value::Array(parts) = only(replies)? else { return Err(strange("SCAN")) };
        let [cursor, Value::Array(keys)] = parts.as_slice() else { return Err(strange("SCAN")) };
        let cursor = bytes_of(cursor).ok_or_else(|| strange("SCAN"))?.to_vec();
        let keys = keys.iter().filter_map(bytes_of).map(<[u8]>::to_vec).collect();
        Ok((cursor, keys))
    }

    fn address_of(&self, partition: Partition) -> Result<RedisAddress, Obstacle> {
        let table = self.shared.routes.table();
        let nobody = || Obstacle::NotYet(format!("no node is known to hold {partition}"));
        table.address_of(partition).cloned().ok_or_else(nobody)
    }

    fn failed(&self, trouble: Trouble) -> Obstacle {
        let nowhere = RedisAddress { host: "store".into(), port: 0 };
        Obstacle::of(self.shared, self.nodes.first().unwrap_or(&nowhere), trouble)
    }

    fn damaged(&self, why: &str) -> String {
        let at = self.nodes.iter().map(startup::shown).collect::<Vec<_>>().join(", ");
        let database = self.shared.config.database;
        format!(
            "the store at {at} (database {database}) is not one that can be used: {why}; restore it from a copy, or name an empty database"
        )
    }
}

impl Shared {
    /// There is one node, and no other could be found.
    #[must_use]
    pub const fn routes_are_fixed(&self) -> bool {
        matches!(self.config.nodes, RedisNodes::Standalone(_))
    }
}
