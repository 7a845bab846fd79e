//! Opening: what fits, what does not, and what does not answer yet.

use std::sync::Arc;
use std::time::Duration;

use super::super::{OpenError, Options, Redis};
use super::world::{self, OPTIONS};
use crate::clock::ManualClock;
use crate::config::{Acknowledge, Environment, RedisConfig, SealKey};
use crate::domain::ids::PartitionCount;
use crate::store::contract::fixtures::{START, alice, of_request, partition, request};
use crate::store::contract::{PARTITIONS, key};
use crate::store::redis::servers::{Program, Server};
use crate::store::{Committed, Load, Store, StoreFault, keys};

const PRODUCTION: Options = Options { environment: Environment::Production, ..OPTIONS };

async fn open_with(
    config: RedisConfig,
    keys: &[SealKey],
    partitions: PartitionCount,
    options: Options,
) -> Result<Redis, OpenError> {
    Redis::open(config, keys, partitions, ManualClock::at(START), options).await
}

async fn open(config: RedisConfig, options: Options) -> Result<Redis, OpenError> {
    open_with(config, &[key("k1", 1)], PARTITIONS, options).await
}

fn misfit(opened: Result<Redis, OpenError>) -> String {
    opened.err().expect("it does not fit").to_string()
}

async fn write(redis: &Redis) -> Result<Committed, StoreFault> {
    let (store, subject) = (redis.store(), alice());
    let load = Load { subject: &subject, request: None, grant: None, idempotency: None };
    let loaded = store.load(load).await?;
    let transition = of_request(&request(&subject, START));
    store.commit(crate::store::contract::fixtures::commit_on(&loaded, transition, START)).await
}

#[tokio::test]
async fn gateways_that_start_at_once_share_one_store() {
    let server = Server::redis();
    let config = || world::config_of(&server);
    let opened = tokio::join!(
        open(config(), OPTIONS),
        open(config(), OPTIONS),
        open(config(), OPTIONS),
        open(config(), OPTIONS)
    );
    for redis in [opened.0, opened.1, opened.2, opened.3] {
        let redis = redis.expect("it opens");
        let written = write(&redis).await;
        assert!(matches!(written, Ok(Committed::Done { .. })), "{written:?}");
    }
}

#[tokio::test]
async fn an_interrupted_start_is_finished_and_resets_nothing() {
    let server = Server::redis();
    drop(open(world::config_of(&server), OPTIONS).await.expect("it is made"));
    let place = partition(&alice());
    let first = server.ask(&["GET", keys::head(place).as_str()]);
    server.ask(&["DEL", "tg:meta", "tg:{p63}:head", "tg:{p63}:markers", "tg:{p63}:events"]);
    let redis = open(world::config_of(&server), OPTIONS).await.expect("it is finished");
    assert_eq!(server.ask(&["GET", keys::head(place).as_str()]), first);
    assert_eq!(server.ask(&["EXISTS", "tg:meta", "tg:{p63}:head"]), ":2\r\n");
    assert!(write(&redis).await.is_ok());

    // Once it was written to, a store that lost its meta is never made anew.
    server.ask(&["DEL", "tg:meta"]);
    let why = misfit(open(world::config_of(&server), OPTIONS).await);
    assert!(why.contains("does not say how it was initialised"), "{why}");
    assert_eq!(server.ask(&["EXISTS", "tg:meta"]), ":0\r\n");
}

#[tokio::test]
async fn a_store_that_does_not_fit_is_not_opened() {
    let server = Server::redis();
    drop(open(world::config_of(&server), OPTIONS).await.expect("it is made"));
    let config = || world::config_of(&server);
    let other = open_with(config(), &[key("k1", 2)], PARTITIONS, OPTIONS).await;
    assert!(misfit(other).contains("sealed with another key"));
    let eight = PartitionCount::new(8).expect("a count");
    let other = misfit(open_with(config(), &[key("k1", 1)], eight, OPTIONS).await);
    assert!(other.contains("64 partitions; expected 8"), "{other}");
    let mut wrong = config();
    wrong.login.password = Some("guess".into());
    let wrong = misfit(open(wrong, OPTIONS).await);
    assert!(wrong.contains("does not let us in") && !wrong.contains("guess"), "{wrong}");
    let mut fsync = config();
    fsync.acknowledge = Acknowledge::Fsync;
    assert!(misfit(open(fsync, OPTIONS).await).contains("WAITAOF"));
    let replica = Server::redis();
    replica.ask(&["REPLICAOF", "127.0.0.1", &server.port.to_string()]);
    let replica = misfit(open(world::config_of(&replica), OPTIONS).await);
    assert!(replica.contains("is a replica; expected a primary"), "{replica}");
}

#[tokio::test]
async fn a_production_refuses_what_may_lose_grants_and_development_is_warned() {
    let server = Server::start(Program::Redis, &["--maxmemory-policy", "allkeys-lru"]);
    let why = misfit(open(world::config_of(&server), PRODUCTION).await);
    assert!(why.contains("allkeys-lru") && why.contains("appendonly yes"), "{why}");
    assert!(open(world::config_of(&server), OPTIONS).await.is_ok());
    let good = Server::redis();
    assert!(open(world::config_of(&good), PRODUCTION).await.is_ok());
}

#[tokio::test]
async fn a_server_that_comes_later_is_used_once_it_fits() {
    let mut server = Server::redis();
    let config = world::config_of(&server);
    server.kill();
    let redis = open(config, OPTIONS).await.expect("it waits");
    assert!(matches!(write(&redis).await, Err(StoreFault::Unreachable(_))));
    server.restart();
    let store: Arc<dyn Store> = redis.store();
    let answers = async {
        while store.probe().await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), answers).await.expect("it opens");
    assert!(write(&redis).await.is_ok());
}
