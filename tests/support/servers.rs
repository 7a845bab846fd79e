//! Real servers for tests, shared by the crate's own tests and the ones from outside: each on a free
//! loopback port, in a folder of its own, stopped by process id when it is dropped.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

#[path = "cluster.rs"]
pub mod cluster;
#[path = "replicas.rs"]
pub mod replicas;
#[path = "rights.rs"]
mod rights;
#[path = "tls.rs"]
pub mod tls;

/// The folder that `scripts/install-servers` prints.
pub fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install-servers");
        let output = Command::new(script).output().expect("scripts/install-servers runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    Redis,
    Valkey,
    Sentinel,
}

impl Program {
    pub fn path(self) -> PathBuf {
        let name = match self {
            Self::Redis => "redis-server",
            Self::Valkey => "valkey-server",
            Self::Sentinel => "redis-sentinel",
        };
        folder().join("bin").join(name)
    }
}

/// A running server. `restart` starts another process on the same port and folder.
pub struct Server {
    program: Program,
    pub port: u16,
    pub folder: tempfile::TempDir,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    child: Option<Child>,
}

impl Server {
    /// A primary that keeps what it acknowledged: append-only file, no eviction.
    pub fn redis() -> Self {
        Self::start(Program::Redis, &["--appendonly", "yes", "--appendfsync", "everysec"])
    }

    pub fn start(program: Program, arguments: &[&str]) -> Self {
        Self::start_with(program, arguments, &[])
    }

    /// Until a port was found that nobody else took meanwhile.
    pub fn start_with(program: Program, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        for _ in 0..20 {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let mut server = Self {
                program,
                port: free_port(),
                folder: tempfile::tempdir().expect("a folder"),
                arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
                environment: environment.iter().map(owned).collect(),
                child: None,
            };
            if server.try_launch() {
                return server;
            }
        }
        panic!("{program:?} does not start with {arguments:?}");
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// SIGKILL, by process id.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again after [`Server::kill`], with the same files.
    pub fn restart(&mut self) {
        self.kill();
        assert!(self.try_launch(), "{:?} does not start again", self.program);
    }

    /// SIGSTOP or SIGCONT or any other, by name.
    pub fn signal(&self, signal: &str) {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args([&format!("-{signal}"), &pid]).status();
        assert!(sent.expect("kill runs").success(), "{signal} to {pid}");
    }

    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// One command over a connection of its own; the raw reply.
    pub fn ask(&self, command: &[&str]) -> String {
        try_ask(self.address(), command).unwrap_or_else(|fault| panic!("{command:?}: {fault}"))
    }

    fn try_launch(&mut self) -> bool {
        let log = self.folder.path().join("log");
        let mut command = Command::new(self.program.path());
        if self.program == Program::Sentinel {
            // A Sentinel rewrites its configuration file, so it has to have one.
            let file = self.folder.path().join("sentinel.conf");
            if !file.exists() {
                std::fs::write(&file, "").expect("written");
            }
            command.arg(file);
        }
        command
            .args(["--port", &self.port.to_string(), "--bind", "127.0.0.1"])
            .args(["--dir", &self.folder.path().to_string_lossy()])
            .args(["--logfile", &log.to_string_lossy(), "--daemonize", "no"]);
        if self.program != Program::Sentinel {
            command.args(["--save", "", "--enable-debug-command", "local"]);
        }
        command.args(&self.arguments).envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        self.child = Some(command.spawn().expect("the server starts"));
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(20) {
            if self.child.as_mut().is_some_and(|child| !matches!(child.try_wait(), Ok(None))) {
                self.child = None;
                return false;
            }
            // Any answer will do: it may ask for a password or still be loading.
            if try_ask(self.address(), &["PING"]).is_ok() {
                return true;
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.kill();
        false
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Panics when it does not come about in 20 seconds.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < Duration::from_secs(20), "waited in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

/// A port that was free just now, and the one 10,000 above, which a Cluster node takes as well. Both
/// are below those that the system gives to outgoing connections.
pub fn free_port() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    loop {
        let random = RandomState::new().build_hasher().finish();
        let port = 10_000 + u16::try_from(random % 12_000).expect("small");
        if is_free(port) && is_free(port + 10_000) {
            return port;
        }
    }
}

/// One command over a connection of its own, the raw bytes of one reply (as text).
pub fn try_ask(address: SocketAddr, command: &[&str]) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut bytes = format!("*{}\r\n", command.len()).into_bytes();
    for part in command {
        write!(bytes, "${}\r\n{part}\r\n", part.len())?;
    }
    stream.write_all(&bytes)?;
    let mut reply = Vec::new();
    let mut chunk = [0; 8192];
    while !complete(&reply) {
        match stream.read(&mut chunk)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            read => reply.extend_from_slice(&chunk[..read]),
        }
    }
    Ok(String::from_utf8_lossy(&reply).into_owned())
}

fn complete(reply: &[u8]) -> bool {
    end_of_value(reply, 0).is_some()
}

/// Where the value that begins at `at` ends, when it is all there.
fn end_of_value(bytes: &[u8], at: usize) -> Option<usize> {
    let line_end = bytes.get(at..)?.windows(2).position(|pair| pair == b"\r\n")? + at;
    let after = line_end + 2;
    let number = || std::str::from_utf8(&bytes[at + 1..line_end]).ok()?.parse::<i64>().ok();
    match bytes[at] {
        b'$' => match number()? {
            length @ 0.. => {
                let end = after + usize::try_from(length).ok()? + 2;
                (bytes.len() >= end).then_some(end)
            }
            _ => Some(after),
        },
        b'*' => (0..number()?.max(0)).try_fold(after, |at, _| end_of_value(bytes, at)),
        _ => Some(after),
    }
}
