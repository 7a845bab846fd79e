//! A real Cerbos PDP for a test, on free loopback ports, stopped by process id when it is dropped.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Where its gRPC API listens.
#[derive(Clone, Debug)]
pub enum Listens {
    Tcp(u16),
    /// With this chain and key.
    Tls(u16, PathBuf, PathBuf),
    Unix(PathBuf),
}

pub struct Pdp {
    pub listens: Listens,
    http: u16,
    policies: PathBuf,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Pdp {
    /// Serves the policies below `policies`, strictly.
    pub fn start(policies: &Path) -> Self {
        Self::listening(policies, Listens::Tcp(free_port()))
    }

    pub fn listening(policies: &Path, listens: Listens) -> Self {
        let mut pdp = Self {
            listens,
            http: free_port(),
            policies: policies.to_path_buf(),
            folder: tempfile::tempdir().expect("a folder"),
            child: None,
        };
        pdp.launch();
        pdp
    }

    /// The value of `policy.cerbos.address`.
    pub fn address(&self) -> String {
        match &self.listens {
            Listens::Tcp(port) => format!("http://127.0.0.1:{port}"),
            Listens::Tls(port, ..) => format!("https://localhost:{port}"),
            Listens::Unix(path) => format!("unix:{}", path.display()),
        }
    }

    /// SIGKILL, by process id.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Again after [`Pdp::kill`], where it was.
    pub fn launch(&mut self) {
        if let Listens::Unix(path) = &self.listens {
            let _ = fs::remove_file(path);
        }
        let file = self.folder.path().join("cerbos.yaml");
        fs::write(&file, self.configuration()).expect("written");
        let log = fs::File::create(self.folder.path().join("log")).expect("a log");
        let child = Command::new(binary())
            .args(["server", "--config"])
            .arg(file)
            .env("CERBOS_NO_TELEMETRY", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.child = Some(child.expect("cerbos starts"));
        let start = Instant::now();
        while !self.serves() {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(start.elapsed() < Duration::from_secs(30), "the PDP does not serve:\n{log}");
            std::thread::park_timeout(Duration::from_millis(10));
        }
    }

    /// SIGSTOP or SIGCONT, by name.
    pub fn signal(&self, name: &str) {
        let pid = self.child.as_ref().expect("it runs").id().to_string();
        let sent = Command::new("kill").args(["-s", name, &pid]).status();
        assert!(sent.expect("kill runs").success());
    }

    fn serves(&self) -> bool {
        let here = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listens = match &self.listens {
            Listens::Tcp(port) | Listens::Tls(port, ..) => TcpStream::connect(here(*port)).is_ok(),
            Listens::Unix(path) => UnixStream::connect(path).is_ok(),
        };
        listens && self.healthy(here(self.http)).is_some_and(|answer| answer.contains("SERVING"))
    }

    /// With TLS only that it listens is asked.
    fn healthy(&self, http: SocketAddr) -> Option<String> {
        if matches!(self.listens, Listens::Tls(..)) {
            return TcpStream::connect(http).is_ok().then(|| "SERVING".to_owned());
        }
        let mut stream = TcpStream::connect(http).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let head = "GET /_cerbos/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        stream.write_all(head.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    fn configuration(&self) -> String {
        let (grpc, tls) = match &self.listens {
            Listens::Tcp(port) => (format!("127.0.0.1:{port}"), String::new()),
            Listens::Tls(port, chain, key) => (
                format!("127.0.0.1:{port}"),
                format!("  tls: {{ cert: {}, key: {} }}\n", chain.display(), key.display()),
            ),
            Listens::Unix(path) => (format!("unix:{}", path.display()), String::new()),
        };
        format!(
            r#"
server:
  httpListenAddr: "127.0.0.1:{http}"
  grpcListenAddr: "{grpc}"
  adminAPI: {{ enabled: false }}
{tls}engine: {{ strictEvaluation: true }}
schema: {{ enforcement: reject }}
storage: {{ driver: disk, disk: {{ directory: "{policies}", watchForChanges: false }} }}
audit: {{ enabled: false }}
telemetry: {{ disabled: true }}
"#,
            http = self.http,
            policies = self.policies.display(),
        )
    }
}

impl Drop for Pdp {
    fn drop(&mut self) {
        self.kill();
    }
}

fn binary() -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install-cerbos");
    let output = Command::new(script).output().expect("scripts/install-cerbos runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    listener.local_addr().expect("an address").port()
}
