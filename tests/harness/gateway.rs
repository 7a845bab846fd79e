//! The real binary as a child process, started on free ports and stopped by its process id.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::eventually;
use super::tokens::{AUDIENCE, ISSUER, Issuer};
use super::upstream::Upstream;

/// The binary under test: the one that `TIDEGATE_BIN` names, or the one of this build.
pub fn binary() -> PathBuf {
    let named = std::env::var_os("TIDEGATE_BIN");
    named.map_or_else(|| env!("CARGO_BIN_EXE_tidegate").into(), PathBuf::from)
}

pub struct Gateway {
    child: Option<Child>,
    folder: PathBuf,
    pub proxy: SocketAddr,
    pub api: SocketAddr,
    pub admin: SocketAddr,
}

impl Gateway {
    /// Starts `tidegate serve` and waits for its line that names the bound addresses.
    pub fn start(folder: &Path) -> Self {
        Self::logging(folder, "info")
    }

    /// With `filter` for its log.
    pub fn logging(folder: &Path, filter: &str) -> Self {
        Self::limited(folder, filter, "true")
    }

    /// Under a limit that the shell sets first (`ulimit -n 64`).
    pub fn limited(folder: &Path, filter: &str, limit: &str) -> Self {
        let log = File::options().create(true).append(true).open(folder.join("log"));
        let mut child = Command::new("sh")
            .args(["-c", &format!("{limit}; exec \"$0\" \"$@\"")])
            .arg(binary())
            .args(["serve", "--config"])
            .arg(folder.join("tidegate.yaml"))
            .env("RUST_LOG", filter)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.expect("a log file"))
            .spawn()
            .expect("a process");
        let mut lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        let ready = lines.by_ref().map_while(Result::ok).find(|line| line.starts_with("ready "));
        let Some(ready) = ready else {
            let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
            panic!("the gateway did not start:\n{log}");
        };
        // Whoever reads must go on reading, or the gateway would block on a full pipe.
        std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let address = |name: &str| {
            let prefix = format!("{name}=");
            let word = ready.split(' ').find_map(|word| word.strip_prefix(&prefix));
            word.and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{ready}"))
        };
        let (proxy, api, admin) = (address("proxy"), address("api"), address("admin"));
        Self { child: Some(child), folder: folder.to_path_buf(), proxy, api, admin }
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    /// SIGTERM, then waits for the end. Does nothing when it is stopped already.
    pub fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        signal(child.id(), "TERM");
        let ended = eventually("the gateway to end", Duration::from_secs(40), || {
            child.try_wait().expect("a child")
        });
        assert!(ended.success(), "{ended}\n{}", self.log());
    }

    /// SIGKILL: nothing is flushed, nothing is closed in order.
    pub fn kill(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        child.kill().expect("a child");
        child.wait().expect("its end");
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.kill();
    }
}

pub fn signal(pid: u32, name: &str) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("kill").success());
}

/// The configuration of most tests: one tool with a rule of every access mode.
pub fn configuration(upstream: &Upstream) -> String {
    format!(
        r#"
environment: development
deployment: test
listeners:
  proxy: [{{ address: 127.0.0.1:0 }}]
  api: {{ address: 127.0.0.1:0 }}
  admin: {{ address: 127.0.0.1:0 }}
store:
  embedded: {{ path: ./store }}
  seal_keys: [{{ id: k1, file: ./seal.key }}]
issuers:
  - issuer: {ISSUER}
    jwks_file: ./jwks.json
    audiences: [{AUDIENCE}]
    algorithms: [ES256]
tools:
  - name: warehouse
    hosts: [warehouse.localhost]
    path_prefix: /warehouse/
    upstreams: ["http://{upstream}"]
    rules:
      - {{ methods: [GET], path: "/healthz", access: public }}
      - {{ methods: [GET], path: "/me", access: authenticated }}
      - {{ methods: [GET], path: "/policy", access: policy, action: read }}
      - {{ methods: [GET, HEAD], path: "/**", action: read }}
      - {{ methods: [POST], path: "/write", action: write }}
policy: {{ directory: {policies} }}
catalog: {{ directory: ./catalog }}
limits: {{ drain_timeout: 2s }}
audit: {{ sinks: [{{ file: {{ path: ./audit.jsonl }} }}] }}
"#,
        upstream = upstream.address,
        policies = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies").display(),
    )
}

const CATALOG: &str = r#"
templates:
  - name: reader
    enabled: true
    title: Look into the warehouse
    accesses: ["warehouse:viewer"]
    durations: [PT1H, PT8H]
    requesters: { groups: [engineering] }
    require_justification: true
    steps: [{ approvers: { groups: [leads] } }]
  - name: operator
    enabled: true
    title: Operate the warehouse
    accesses: ["warehouse:operator"]
    durations: [PT30M]
    steps: [{ approvers: { groups: [leads] }, required: 2 }, { approvers: { groups: [security] } }]
"#;

/// Everything that the configuration names, in `folder`.
pub fn write_files(folder: &Path, issuer: &Issuer, config: &str) {
    let write = |name: &str, text: &[u8]| fs::write(folder.join(name), text).expect("written");
    fs::create_dir_all(folder.join("catalog")).expect("a folder");
    write("tidegate.yaml", config.as_bytes());
    write("jwks.json", issuer.jwks().to_string().as_bytes());
    write("catalog/catalog.yaml", CATALOG.as_bytes());
    write("seal.key", &[7; 32]);
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(folder.join("seal.key"), private).expect("permissions");
}
