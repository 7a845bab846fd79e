//! One core of the gateway, its client and its tool on one thread, so that what a request costs can
//! be counted: a token that is remembered, a read of the embedded store, the embedded engine, the
//! headers, the decision record, the metrics. The tool and the client allocate nothing per request.
//!
//! Records are dropped when they are handed over; what writing them costs is another thread's, and is
//! counted over loopback (`scripts/budget`).

pub mod shape;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tidegate::app::{CoreIdentity, CorePolicy, Ready};
use tidegate::clock::{SharedClock, SystemClock};
use tidegate::config::{self, Config, SealKey};
use tidegate::domain::ids::PartitionCount;
use tidegate::domain::template::Catalog;
use tidegate::gateway::{Moves, Recent, Shared, Sockets, Uses, one_core};
use tidegate::identity::Remembered;
use tidegate::store::SharedStore;
use tidegate::store::embedded::Embedded;
use tidegate::telemetry::decision::{DecisionLog, DecisionLogFull, DecisionRecord, LeaseCut};
use tidegate::telemetry::ids::UserHashes;
use tidegate::telemetry::metrics::Metrics;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::LocalSet;

use super::tokens;
use shape::Shape;

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 5\r\n\r\nhello";

/// A core that serves, with a client of it on a connection of its own.
pub struct OneCore {
    runtime: Runtime,
    tasks: LocalSet,
    client: TcpStream,
    requests: Vec<Vec<u8>>,
    next: usize,
    _draining: watch::Sender<bool>,
}

/// What [`prepare`] and [`OneCore::start`] share of a folder.
pub fn open_store(folder: &Path) -> Embedded {
    let keys = [SealKey { id: "k1".into(), bytes: Arc::from([7; 32]) }];
    let clock = Arc::new(SystemClock);
    Embedded::open(&folder.join("store"), &keys, PartitionCount::DEFAULT, clock).expect("a store")
}

/// Puts everything into `folder` that the shape needs: policies, keys, tokens, the store.
pub fn prepare(folder: &Path, shape: &Shape) {
    shape.write_files(folder);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let store: SharedStore = open_store(folder).store();
    runtime.expect("a runtime").block_on(shape.fill(&store));
}

impl OneCore {
    pub fn start(folder: &Path, shape: &Shape) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let (runtime, tasks) = (runtime.expect("a runtime"), LocalSet::new());
        let (draining, drained) = watch::channel(false);
        let client = tasks.block_on(&runtime, async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let upstream = listener.local_addr().expect("its address");
            tokio::task::spawn_local(tool(listener));
            let address = gateway(folder, shape, upstream, drained);
            let client = TcpStream::connect(address).await.expect("a connection");
            client.set_nodelay(true).expect("it sets");
            client
        });
        let requests = shape.requests(folder);
        Self { runtime, tasks, client, requests, next: 0, _draining: draining }
    }

    /// So many requests one after the other, each allowed, or a panic.
    pub fn visit(&mut self, times: usize) {
        let Self { runtime, tasks, client, requests, next, .. } = self;
        tasks.block_on(runtime, async {
            for _ in 0..times {
                let request = requests.get(*next % requests.len()).expect("a request");
                *next += 1;
                ask(client, request).await;
            }
        });
    }

    /// How many different requests there are.
    pub fn kinds(&self) -> usize {
        self.requests.len()
    }
}

fn gateway(
    folder: &Path,
    shape: &Shape,
    upstream: SocketAddr,
    draining: watch::Receiver<bool>,
) -> SocketAddr {
    let clock: SharedClock = Arc::new(SystemClock);
    let metrics = Metrics::unregistered();
    let config = configuration(folder, shape, upstream);
    let ready = Ready::load(&config, &clock, &metrics).expect("it is good");
    let store = open_store(folder);
    let moved = store.store();
    let shared = Shared {
        routes: ready.routes,
        catalog: Arc::new(ArcSwap::from_pointee(Catalog::default())),
        roles: ready.roles,
        limits: config.limits,
        connections: 100,
        public_url: "http://api.test".into(),
        instance: "count".into(),
        clock,
        decisions: Arc::new(Taken),
        moves: Moves::new(move || moved.moved()),
        recent: Recent::new("count".into(), 1),
        uses: Arc::new(Uses::new(1)),
        metrics,
        users: Arc::new(UserHashes::new().expect("random bytes")),
    };
    let identity = CoreIdentity::new(ready.authenticator, Remembered::default());
    let ports = (identity, CorePolicy(ready.policy), store.reader(), ready.providers);
    let sockets = Sockets::bind(&[SocketAddr::from(([127, 0, 0, 1], 0))], 1).expect("a port");
    let address = *sockets.addresses().first().expect("an address");
    tokio::task::spawn_local(one_core(sockets, Arc::new(shared), draining, ports));
    address
}

fn configuration(folder: &Path, shape: &Shape, upstream: SocketAddr) -> Config {
    let text = format!(
        r#"
environment: development
deployment: count
store:
  embedded: {{ path: ./store }}
  seal_keys: [{{ id: k1, file: ./seal.key }}]
issuers:
  - issuer: {issuer}
    jwks_file: ./jwks.json
    audiences: [{audience}]
    algorithms: [ES256]
tools:
  - name: tool-0
    hosts: [tool-0.localhost]
    upstreams: ["http://{upstream}"]
    rules: [{{ methods: [GET], path: "/**", access: grant, action: read }}]
policy: {{ directory: ./policies }}
"#,
        issuer = tokens::ISSUER,
        audience = tokens::AUDIENCE,
    );
    let path = folder.join("tidegate.yaml");
    std::fs::write(&path, text).expect("written");
    let mut config = config::load(&path, &|_| None).expect("a good file").config;
    config.tools = shape.tools(config.tools.first().expect("a tool"));
    config
}

/// A decision log that takes every record, and drops it.
struct Taken;

impl DecisionLog for Taken {
    fn record(&self, _core: usize, record: &Arc<DecisionRecord>) -> Result<(), DecisionLogFull> {
        assert!(record.allowed, "{record:?}");
        assert!(!record.grants.is_empty(), "{record:?}");
        Ok(())
    }

    fn cut(&self, cut: Arc<LeaseCut>) {
        panic!("nothing is open for long: {cut:?}");
    }
}

async fn tool(listener: TcpListener) {
    loop {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("it sets");
        tokio::task::spawn_local(async move {
            let mut room = [0; 8192];
            while read_until(&mut stream, &mut room, b"\r\n\r\n").await.is_some() {
                stream.write_all(ANSWER).await.expect("it takes the answer");
            }
        });
    }
}

async fn ask(client: &mut TcpStream, request: &[u8]) {
    let mut room = [0; 8192];
    client.write_all(request).await.expect("it takes the request");
    let length = read_until(client, &mut room, b"hello").await.expect("an answer");
    let answer = &room[..length];
    let shown = || String::from_utf8_lossy(answer).into_owned();
    assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", shown());
}

/// How many bytes came, the last of them `end`; `None` at the end of the connection.
async fn read_until(stream: &mut TcpStream, room: &mut [u8], end: &[u8]) -> Option<usize> {
    let mut length = 0;
    loop {
        let rest = room.get_mut(length..).filter(|rest| !rest.is_empty());
        match stream.read(rest.expect("room")).await.expect("it reads") {
            0 => return None,
            more => length += more,
        }
        if room[..length].ends_with(end) {
            return Some(length);
        }
    }
}
