//! The real policy decision point, behind a Unix socket.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use super::{root, text, write};
use crate::harness::eventually;

/// Its binary, fetched once.
pub fn binary() -> PathBuf {
    let output = Command::new(root().join("scripts/install-cerbos")).output().expect("a script");
    assert!(output.status.success(), "{}", text(&output.stderr));
    PathBuf::from(text(&output.stdout).trim())
}

pub fn compile(arguments: &[&str], policies: &Path) -> std::process::Output {
    let mut command = Command::new(binary());
    command.args(["compile", "--strict-evaluation"]).args(arguments).arg(policies);
    command.env("CERBOS_NO_TELEMETRY", "1").output().expect("a process")
}

pub struct Pdp {
    folder: tempfile::TempDir,
    child: Child,
}

impl Pdp {
    pub fn start(policies: &Path) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (at, policies) = (folder.path().display(), policies.display());
        let config = format!(
            "server: {{ httpListenAddr: 'unix:{at}/http', grpcListenAddr: 'unix:{at}/grpc' }}\n\
             engine: {{ strictEvaluation: true, globals: {{ environment: test }} }}\n\
             schema: {{ enforcement: reject }}\n\
             storage: {{ driver: disk, disk: {{ directory: '{policies}' }} }}\n\
             telemetry: {{ disabled: true }}\n"
        );
        write(folder.path(), "cerbos.yaml", &config);
        let child = Command::new(binary())
            .arg("server")
            .arg("--config")
            .arg(folder.path().join("cerbos.yaml"))
            .env("CERBOS_NO_TELEMETRY", "1")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a process");
        let pdp = Self { folder, child };
        let socket = pdp.folder.path().join("http");
        let open = || UnixStream::connect(&socket).ok();
        eventually("the policy decision point", Duration::from_secs(30), open);
        pdp
    }

    /// Its answer to a `CheckResources` request, also where that is a refusal.
    pub fn check(&self, body: &[u8]) -> Value {
        let mut stream = UnixStream::connect(self.folder.path().join("http")).expect("a socket");
        let head = format!(
            "POST /api/check/resources HTTP/1.0\r\nHost: pdp\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body).expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
        serde_json::from_str(body).unwrap_or_else(|_| panic!("no JSON: {answer}"))
    }
}

impl Drop for Pdp {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
