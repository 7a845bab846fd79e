//! Processes of the real PDP, asked over Unix sockets of their own.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value as Json, json};
use tempfile::TempDir;

pub struct Pdp {
    child: Child,
    folder: TempDir,
    stream: Option<UnixStream>,
}

/// Long: other work may have the machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// Where the program is, fetched when it was never used before.
pub fn binary() -> PathBuf {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/install-cerbos");
    let output = Command::new(script).output().expect("scripts/install-cerbos");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// Everything that `cerbos compile` says against a directory; `None` when it has nothing to say.
pub fn compile(binary: &Path, policies: &Path) -> Option<String> {
    let mut command = Command::new(binary);
    command.args(["compile", "--skip-tests", "--no-color", "-o", "json"]).arg(policies);
    let output = command.env("CERBOS_NO_TELEMETRY", "1").output().expect("cerbos compile");
    let said = [output.stdout, output.stderr].concat();
    (!output.status.success()).then(|| String::from_utf8_lossy(&said).into_owned())
}

impl Pdp {
    /// Starts a process; `listening` waits until it answers.
    pub fn start(binary: &Path, policies: &Path, engine: &Json) -> Self {
        let folder = tempfile::Builder::new().prefix("pdp").tempdir().expect("a folder");
        let socket = |name: &str| format!("unix:{}", folder.path().join(name).display());
        let config = json!({
            "server": {
                "httpListenAddr": socket("h"), "grpcListenAddr": socket("g"),
                "metricsEnabled": false, "apiExplorerEnabled": false,
            },
            "engine": engine,
            "schema": {"enforcement": "reject"},
            "storage": {"driver": "disk", "disk": {"directory": policies, "watchForChanges": false}},
            "audit": {"enabled": false},
            "telemetry": {"disabled": true},
        });
        let path = folder.path().join("config.yaml");
        fs::write(&path, config.to_string()).expect("a configuration");
        let log = File::create(folder.path().join("log")).expect("a log");
        let child = Command::new(binary)
            .args(["server", "--log-level=error", "--config"])
            .arg(path)
            .env("CERBOS_NO_TELEMETRY", "1")
            .env("GOMAXPROCS", "1")
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn()
            .expect("a PDP");
        Self { child, folder, stream: None }
    }

    /// # Errors
    /// It ended: what it said.
    pub fn listening(&mut self) -> Result<(), String> {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            if self.child.try_wait().expect("a child").is_some() {
                return Err(fs::read_to_string(self.folder.path().join("log")).expect("a log"));
            }
            if self.exchange("GET", "/_cerbos/health", "").is_some_and(|(status, _)| status == 200)
            {
                return Ok(());
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        Err("it does not listen".to_owned())
    }

    /// Status and body.
    pub fn check(&mut self, request: &str) -> (u16, Json) {
        for _ in 0..3 {
            if let Some((status, body)) = self.exchange("POST", "/api/check/resources", request) {
                return (status, serde_json::from_slice(&body).unwrap_or_default());
            }
        }
        panic!("the PDP does not answer");
    }

    fn exchange(&mut self, method: &str, path: &str, body: &str) -> Option<(u16, Vec<u8>)> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => UnixStream::connect(self.folder.path().join("h")).ok()?,
        };
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: pdp\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let answer = read(&mut stream)?;
        self.stream = Some(stream);
        Some(answer)
    }
}

impl Drop for Pdp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(stream: &mut UnixStream) -> Option<(u16, Vec<u8>)> {
    let mut got = Vec::new();
    let end = fill(stream, &mut got, |got| find(got, b"\r\n\r\n"))?;
    let head = String::from_utf8_lossy(&got[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let start = end + 4;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    if let Some(length) = length {
        let length: usize = length.trim().parse().ok()?;
        fill(stream, &mut got, |got| (got.len() >= start + length).then_some(0))?;
        return Some((status, got.split_off(start)));
    }
    let mut body = Vec::new();
    let mut at = start;
    loop {
        let line = fill(stream, &mut got, |got| find(&got[at..], b"\r\n"))?;
        let size = std::str::from_utf8(&got[at..at + line]).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        at += line + 2;
        fill(stream, &mut got, |got| (got.len() >= at + size + 2).then_some(0))?;
        body.extend_from_slice(&got[at..at + size]);
        at += size + 2;
        if size == 0 {
            return Some((status, body));
        }
    }
}

fn fill(
    stream: &mut UnixStream,
    got: &mut Vec<u8>,
    is_enough: impl Fn(&[u8]) -> Option<usize>,
) -> Option<usize> {
    loop {
        if let Some(at) = is_enough(got) {
            return Some(at);
        }
        let mut part = [0; 16384];
        match stream.read(&mut part).ok()? {
            0 => return None,
            length => got.extend_from_slice(&part[..length]),
        }
    }
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
