//! The real PDP: its own CPU time is what counts, so the load generator cannot be the bottleneck.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::LocalSet;

use super::grpc::{Client, framed};
use super::policies::{PRINCIPAL, RESOURCE};
use super::{machine, protobuf, table};

const CONCURRENCIES: [usize; 4] = [1, 8, 32, 64];
/// Connections are shared by this many calls at once.
const CALLS_PER_CONNECTION: usize = 16;

/// A PDP that listens in one way.
pub struct Pdp {
    way: Way,
    child: Child,
    folder: TempDir,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Tcp,
    Unix,
}

impl Way {
    const ALL: [Self; 2] = [Self::Tcp, Self::Unix];

    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "TCP",
            Self::Unix => "Unix socket",
        }
    }
}

/// One way to ask, in one round.
pub struct Cell {
    way: Way,
    concurrency: usize,
    /// Checks per second of its CPU time, and of the clock.
    per_core: f64,
    per_second: f64,
}

#[derive(Default)]
pub struct Cells(Vec<Cell>);

impl Pdp {
    /// One for each way.
    pub fn start_all(binary: &str, policies: &Path) -> Vec<Self> {
        Way::ALL.into_iter().map(|way| Self::start(binary, policies, way)).collect()
    }

    fn start(binary: &str, policies: &Path, way: Way) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = free.local_addr().expect("its address").port();
        drop(free);
        let config = folder.path().join("cerbos.yaml");
        fs::write(&config, configuration(folder.path(), port, policies, way))
            .expect("it is written");
        let child = Command::new(binary)
            .args(["server", "--log-level=error", "--config"])
            .arg(&config)
            .env("CERBOS_NO_TELEMETRY", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the PDP starts");
        let pdp = Self { way, child, folder, port };
        let deadline = Instant::now() + Duration::from_secs(60);
        while !pdp.accepts() {
            assert!(Instant::now() < deadline, "the PDP accepts within a minute");
            std::thread::yield_now();
        }
        pdp
    }

    fn accepts(&self) -> bool {
        match self.way {
            Way::Tcp => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            Way::Unix => UnixStream::connect(self.socket()).is_ok(),
        }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("grpc.sock")
    }

    /// One round: every concurrency for this many seconds.
    pub fn measure(&self, seconds: u64) -> Vec<Cell> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let mut cells = Vec::new();
        for concurrency in CONCURRENCIES {
            let run = self.cell(concurrency, Duration::from_secs(seconds));
            let (per_core, per_second) = LocalSet::new().block_on(&runtime, run);
            cells.push(Cell { way: self.way, concurrency, per_core, per_second });
        }
        cells
    }

    async fn cell(&self, concurrency: usize, length: Duration) -> (f64, f64) {
        let read = |text| serde_json::from_str(text).expect("attributes");
        let request = protobuf::check_resources(&["edit"], &read(PRINCIPAL), &read(RESOURCE));
        let request = framed(&request);
        let mut clients = Vec::new();
        for _ in 0..concurrency.div_ceil(CALLS_PER_CONNECTION) {
            clients.push(match self.way {
                Way::Tcp => Client::tcp(self.port).await,
                Way::Unix => Client::unix(&self.socket()).await,
            });
        }
        self.load(&clients, concurrency, &request, length / 4).await;
        let process = self.child.id().to_string();
        let (start, cpu) = (Instant::now(), machine::cpu(&process));
        let count = self.load(&clients, concurrency, &request, length).await as f64;
        (count / (machine::cpu(&process) - cpu), count / start.elapsed().as_secs_f64())
    }

    /// A closed loop; returns the number of answers, each of which allowed.
    async fn load(
        &self,
        clients: &[Client],
        concurrency: usize,
        request: &Bytes,
        length: Duration,
    ) -> usize {
        let until = Instant::now() + length;
        let allowed = protobuf::allowed("edit");
        let tasks = clients.iter().cycle().take(concurrency).map(|client| {
            let (client, request, allowed) = (client.clone(), request.clone(), allowed.clone());
            tokio::task::spawn_local(async move {
                let mut count = 0;
                while Instant::now() < until {
                    let answer = client.call(&request).await;
                    let is_allowed = answer.windows(allowed.len()).any(|it| it == allowed);
                    assert!(is_allowed, "the PDP allows as well");
                    count += 1;
                }
                count
            })
        });
        let tasks: Vec<_> = tasks.collect();
        let mut count = 0;
        for task in tasks {
            count += task.await.expect("every answer is right");
        }
        count
    }
}

impl Drop for Pdp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn configuration(folder: &Path, port: u16, policies: &Path, way: Way) -> String {
    let (folder, policies) = (folder.display(), policies.display());
    let listen = match way {
        Way::Tcp => format!("127.0.0.1:{port}"),
        Way::Unix => format!("unix:{folder}/grpc.sock"),
    };
    format!(
        "server:
  httpListenAddr: 'unix:{folder}/http.sock'
  grpcListenAddr: '{listen}'
  adminAPI: {{ enabled: false }}
  apiExplorerEnabled: false
  metricsEnabled: false
  logRequestPayloads: false
engine: {{ strictEvaluation: true }}
schema: {{ enforcement: reject }}
storage: {{ driver: disk, disk: {{ directory: '{policies}', watchForChanges: false }} }}
audit: {{ enabled: false }}
telemetry: {{ disabled: true }}
"
    )
}

impl Cells {
    pub fn add(&mut self, cell: Cell) {
        self.0.push(cell);
    }

    pub fn best_per_core(&self) -> f64 {
        table::most(&self.0.iter().map(|it| it.per_core).collect::<Vec<_>>())
    }

    pub fn print(&self) {
        if self.0.is_empty() {
            return;
        }
        println!(
            "\n| PDP over gRPC | calls at once | checks / s of CPU | checks / s of the clock |"
        );
        println!("|---|---|---|---|");
        for way in Way::ALL {
            for concurrency in CONCURRENCIES {
                let of = |what: fn(&Cell) -> f64| {
                    let cells = self.0.iter();
                    let cells = cells.filter(|it| it.way == way && it.concurrency == concurrency);
                    let values: Vec<f64> = cells.map(what).collect();
                    format!("{:.0} ({:.0})", table::median(&values), table::most(&values))
                };
                let (core, clock) = (of(|it| it.per_core), of(|it| it.per_second));
                println!("| {} | {concurrency} | {core} | {clock} |", way.name());
            }
        }
    }
}
