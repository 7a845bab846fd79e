//! When a commit counts as kept.

use std::sync::Arc;

use super::commits::write_on;
use super::world::{self, OPTIONS, backend_on};
use crate::config::Acknowledge;
use crate::domain::ids::Partition;
use crate::store::backend::{Backend, Outcome};
use crate::store::contract::PARTITIONS;
use crate::store::contract::markers::everything;
use crate::store::ledger::Ledger;
use crate::store::redis::backend::RedisBackend;
use crate::store::redis::servers::{Program, Server};
use crate::store::redis::{OpenError, open};
use crate::store::{Durability, Store};

const P: Partition = Partition(3);

fn durability(outcome: Outcome) -> Durability {
    match outcome {
        Outcome::Done { durability, .. } => durability,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn fsync_is_confirmed_by_a_server_that_waits_or_always_syncs() {
    let append = ["--appendonly", "yes", "--appendfsync"];
    for (program, policy) in [(Program::Valkey, "everysec"), (Program::Redis, "always")] {
        let server = Server::start(program, &[&append[..], &[policy]].concat());
        let mut config = world::config_of(&server);
        config.acknowledge = Acknowledge::Fsync;
        let backend = backend_on(config, OPTIONS).await;
        assert!(backend.can_lose_commits());
        let write = write_on(&backend, false).await;
        let outcome = backend.commit(write).await.expect("committed");
        assert_eq!(durability(outcome), Durability::Confirmed, "{program:?}");
        assert_eq!(backend.settle(P).await, Ok(Durability::Confirmed));
    }
}

#[tokio::test]
async fn a_server_that_would_always_sync_a_file_that_it_does_not_write_confirms_nothing() {
    let server = Server::start(Program::Redis, &["--appendonly", "no", "--appendfsync", "always"]);
    let mut config = world::config_of(&server);
    config.acknowledge = Acknowledge::Fsync;
    let shared = world::shared(config, PARTITIONS, OPTIONS);
    let backend = Arc::new(RedisBackend::new(shared.clone()));
    assert!(matches!(open::open(&shared, &backend).await, Err(OpenError::Misfit(_))));
}

#[tokio::test]
async fn replicated_needs_as_many_replicas_as_configured_also_for_a_retry() {
    let server = Server::redis();
    let port = server.port.to_string();
    let mut replica = Server::start(Program::Redis, &["--replicaof", "127.0.0.1", &port]);
    let mut config = world::config_of(&server);
    config.acknowledge = Acknowledge::Replicated;
    config.replicas = 1;
    config.timeout = std::time::Duration::from_secs(2);
    let backend = backend_on(config.clone(), OPTIONS).await;
    let write = write_on(&backend, false).await;
    let kept = async { while backend.settle(P).await != Ok(Durability::Confirmed) {} };
    tokio::time::timeout(std::time::Duration::from_secs(20), kept).await.expect("it replicates");
    let outcome = backend.commit(write.clone()).await.expect("committed");
    assert_eq!(durability(outcome), Durability::Confirmed);

    replica.kill();
    let lost = write_on(&backend, true).await;
    for _ in 0..2 {
        // The second time it is answered from its stored answer, and waited for all the same.
        let outcome = backend.commit(lost.clone()).await.expect("it binds");
        assert_eq!(durability(outcome), Durability::Unconfirmed);
    }
    let checks = backend.shared.checks.clone();
    let ledger = Ledger::new(backend.clone(), checks, backend.shared.clock.clone());
    for _ in 0..2 {
        // So is a kill, and one that was carried out before.
        let killed = ledger.kill(P, everything()).await;
        assert_eq!(killed, Ok(Durability::Unconfirmed));
    }
    // A connection that wrote nothing would be told at once that all of it is replicated.
    let backend = backend_on(config, OPTIONS).await;
    let again = backend.commit(write).await.expect("stored");
    assert_eq!(durability(again), Durability::Unconfirmed, "nobody can say so any more");
}
