//! A store on a real server that a test may also tamper with.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use redis::{Value, cmd};

use crate::clock::ManualClock;
use crate::config::{Acknowledge, Environment, RedisAddress, RedisConfig, RedisLogin, RedisNodes};
use crate::domain::ids::{Partition, PartitionCount, hex};
use crate::store::backend::Backend;
use crate::store::contract::fixtures::START;
use crate::store::contract::{PARTITIONS, World, key};
use crate::store::keys::{self, Key};
use crate::store::record::parse_head;
use crate::store::redis::backend::RedisBackend;
use crate::store::redis::hot::HotSource;
use crate::store::redis::pool::Ask;
use crate::store::redis::servers::Server;
use crate::store::redis::{Options, Shared, open};

/// Sweeping is the server's own time; tests live at another.
const NEVER_SWEPT: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The servers of a topology, and how to reach them.
pub trait Servers: Send + Sync + Sized + 'static {
    fn start() -> Self;
    fn config(&self) -> RedisConfig;
}

impl Servers for Server {
    fn start() -> Self {
        Self::redis()
    }

    fn config(&self) -> RedisConfig {
        config_of(self)
    }
}

pub type StandaloneWorld = RedisWorld<Server>;

/// A store on servers of its own.
pub struct RedisWorld<S> {
    servers: Arc<S>,
    clock: Arc<ManualClock>,
    backend: Arc<RedisBackend>,
}

pub fn config_of(server: &Server) -> RedisConfig {
    RedisConfig {
        nodes: RedisNodes::Standalone(address_of(server)),
        tls: None,
        login: RedisLogin::default(),
        database: 0,
        timeout: Duration::from_secs(5),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(10),
    }
}

pub fn address_of(server: &Server) -> RedisAddress {
    RedisAddress { host: "127.0.0.1".into(), port: server.port }
}

/// The clock of a test is its own, so it is never compared.
pub const OPTIONS: Options =
    Options { environment: Environment::Development, clock_skew: Duration::MAX };

pub fn shared(config: RedisConfig, partitions: PartitionCount, options: Options) -> Arc<Shared> {
    let clock = ManualClock::at(START);
    Arc::new(Shared::new(config, &[key("k1", 1)], partitions, clock, options).expect("usable keys"))
}

/// Of a store that was opened, and initialised if it was empty.
pub async fn backend_on(config: RedisConfig, options: Options) -> Arc<RedisBackend> {
    let shared = shared(config, PARTITIONS, options);
    let backend = Arc::new(RedisBackend::sweeping_after(shared.clone(), NEVER_SWEPT));
    open::open(&shared, &backend).await.expect("it fits");
    let mut moved = backend.moved();
    backend.listen();
    // Everything counts as moved once it listens.
    let last = PARTITIONS.all().last();
    while moved.recv().await.ok() != last {}
    backend
}

impl<S: Servers> RedisWorld<S> {
    async fn on(servers: Arc<S>) -> Self {
        let backend = backend_on(servers.config(), OPTIONS).await;
        Self { servers, clock: ManualClock::at(START), backend }
    }

    async fn ask(&self, key: &Key, command: redis::Cmd) -> Value {
        self.backend.raw(key, command).await
    }

    /// A store that goes back in time loses the end of its log as well.
    async fn cut_log(&self, head_key: &Key, head: &[u8]) {
        let Some(head) = parse_head(head) else { return };
        let all = PARTITIONS.all();
        let mut found = all.filter(|partition| keys::head(*partition) == *head_key);
        let Some(partition) = found.next() else { return };
        let log = keys::events(partition);
        let entries = self.backend.log(partition, 0, 10_000).await.expect("it reads");
        if entries.last().is_none_or(|last| last.seq <= head.seq) {
            return;
        }
        // Written anew: a server remembers how far the entries went that were deleted one by one.
        self.delete(&log).await;
        for entry in entries.iter().filter(|entry| entry.seq <= head.seq) {
            let mut add = cmd("XADD");
            add.arg(log.as_bytes()).arg(format!("{}-0", entry.seq));
            add.arg("c").arg(hex(&entry.commit.0));
            for (number, event) in entry.events.iter().enumerate() {
                add.arg(format!("e{number}")).arg(&event[..]);
            }
            assert!(matches!(self.ask(&log, add).await, Value::BulkString(_)), "cut");
        }
    }
}

impl<S: Servers> World for RedisWorld<S> {
    type Backend = Arc<RedisBackend>;
    type Source = HotSource;

    async fn fresh() -> Self {
        Self::on(Arc::new(S::start())).await
    }

    async fn reopened(self) -> Self {
        let Self { servers, clock, .. } = self;
        Self { clock, ..Self::on(servers).await }
    }

    fn clock(&self) -> Arc<ManualClock> {
        self.clock.clone()
    }

    fn backend(&self) -> Arc<RedisBackend> {
        self.backend.clone()
    }

    fn source(&self) -> HotSource {
        HotSource::new(self.backend.shared.clone())
    }

    async fn get(&self, key: &Key) -> Option<Bytes> {
        let mut get = cmd("GET");
        get.arg(key.as_bytes());
        match self.ask(key, get).await {
            Value::Nil => None,
            Value::BulkString(bytes) => Some(bytes.into()),
            other => panic!("{key}: {other:?}"),
        }
    }

    async fn put(&self, key: &Key, value: Bytes) {
        let mut set = cmd("SET");
        set.arg(key.as_bytes()).arg(&value[..]);
        assert_eq!(self.ask(key, set).await, Value::Okay);
        self.cut_log(key, &value).await;
    }

    async fn delete(&self, key: &Key) {
        let mut delete = cmd("DEL");
        delete.arg(key.as_bytes());
        self.ask(key, delete).await;
    }
}

impl RedisBackend {
    /// Whatever a test wants of the node that holds `key`.
    pub async fn raw(&self, key: &Key, command: redis::Cmd) -> Value {
        if *key == keys::meta() {
            return self.ask_somewhere(&command).await.expect("it answers");
        }
        let text = key.as_str();
        let number = text.split(['p', '}']).nth(1).and_then(|number| number.parse().ok());
        let partition = Partition(number.expect("a key of a partition"));
        let address = self.shared.routes.table().address_of(partition).cloned().expect("known");
        let ask = Ask::Commands(std::slice::from_ref(&command));
        let (lease, mut replies) = self.reads().ask_at(&address, ask).await.expect("it answers");
        lease.give_back();
        replies.remove(0)
    }
}
