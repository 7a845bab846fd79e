//! nginx, Apache, lighttpd, gunicorn and Node.js: each on a free loopback port, in a folder of its
//! own, stopped by process id.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use crate::harness::eventually;
use crate::harness::gateway::signal;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Nginx,
    Apache,
    Lighttpd,
    Gunicorn,
    Node,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Nginx, Self::Apache, Self::Lighttpd, Self::Gunicorn, Self::Node];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache2",
            Self::Lighttpd => "lighttpd",
            Self::Gunicorn => "gunicorn",
            Self::Node => "node",
        }
    }

    pub const fn host(self) -> &'static str {
        match self {
            Self::Nginx => "nginx.localhost",
            Self::Apache => "apache2.localhost",
            Self::Lighttpd => "lighttpd.localhost",
            Self::Gunicorn => "gunicorn.localhost",
            Self::Node => "node.localhost",
        }
    }
}

/// The folder that `scripts/install-parsers` prints.
fn installed() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/install-parsers");
        let output = Command::new(script).output().expect("scripts/install-parsers runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
    })
}

/// A running server that logs every request.
pub struct Parser {
    pub kind: Kind,
    port: u16,
    folder: tempfile::TempDir,
    child: Option<Child>,
}

impl Parser {
    /// Until a port was found that nobody else took meanwhile.
    pub fn start(kind: Kind) -> Self {
        for _ in 0..20 {
            let folder = tempfile::tempdir().expect("a folder");
            let mut parser = Self { kind, port: free_port(), folder, child: None };
            if parser.try_launch() {
                return parser;
            }
        }
        panic!("{} does not start", kind.name());
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Ends it in order; gives what it logged.
    pub fn stop(&mut self) -> String {
        if let Some(mut child) = self.child.take() {
            signal(child.id(), "TERM");
            eventually("the server to end", Duration::from_secs(20), || {
                child.try_wait().expect("a child")
            });
        }
        fs::read_to_string(self.folder.path().join("requests")).unwrap_or_default()
    }

    fn try_launch(&mut self) -> bool {
        let folder = self.folder.path();
        fs::create_dir_all(folder.join("www")).expect("a folder");
        let mut child = command(self.kind, folder, self.port)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(folder.join("errors")).expect("a file"))
            .spawn()
            .expect("a process");
        let address = self.address();
        let runs = eventually("the server to listen", Duration::from_secs(30), || {
            if child.try_wait().expect("a child").is_some() {
                return Some(false);
            }
            TcpStream::connect(address).is_ok().then_some(true)
        });
        if !runs {
            eprintln!("{}", fs::read_to_string(folder.join("errors")).unwrap_or_default());
        }
        self.child = Some(child).filter(|_| runs);
        runs
    }
}

impl Drop for Parser {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").port()
}

fn command(kind: Kind, folder: &Path, port: u16) -> Command {
    let (bin, lib) = (installed().join("bin").join(kind.name()), installed().join("lib"));
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/gateway/parsers");
    let config = folder.join("config");
    let write = |text: String| fs::write(&config, text).expect("written");
    let mut command = Command::new(bin);
    match kind {
        Kind::Nginx => {
            write(nginx(folder, port));
            command.arg("-p").arg(folder).arg("-c").arg(&config);
        }
        Kind::Apache => {
            write(apache(folder, &lib.join("apache2"), port));
            command.args(["-D", "FOREGROUND", "-f"]).arg(&config);
        }
        Kind::Lighttpd => {
            write(lighttpd(folder, port));
            command.arg("-D").arg("-f").arg(&config).arg("-m").arg(lib.join("lighttpd"));
        }
        Kind::Gunicorn => {
            command.args(["--bind", &format!("127.0.0.1:{port}"), "--keep-alive", "60"]);
            command.args(["--worker-class", "gthread", "--threads", "64"]);
            command.arg("--chdir").arg(here).arg("app:app");
            command.env("REQUEST_LOG", folder.join("requests"));
            command.env("PYTHONDONTWRITEBYTECODE", "1");
        }
        Kind::Node => {
            command = Command::new("node");
            command.arg(here.join("server.js")).arg(port.to_string()).arg(folder.join("requests"));
        }
    }
    command
}

fn nginx(folder: &Path, port: u16) -> String {
    format!(
        r"daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 1024; }}
http {{
  log_format fields '$request_method	$request_uri	$uri	$http_host	$http_tidegate_subject	$http_tidegate_grants	$http_traceparent	$http_x_request_id	$status';
  access_log {folder}/requests fields;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  keepalive_requests 1000000;
  keepalive_timeout 60s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 ok; }} }}
}}
",
        folder = folder.display(),
    )
}

fn apache(folder: &Path, modules: &Path, port: u16) -> String {
    format!(
        r#"ServerRoot "{folder}"
ServerName localhost
Listen 127.0.0.1:{port}
PidFile "{folder}/pid"
DefaultRuntimeDir "{folder}"
User nobody
Group nogroup
LoadModule mpm_event_module "{modules}/mod_mpm_event.so"
LoadModule authz_core_module "{modules}/mod_authz_core.so"
ErrorLog "{folder}/error.log"
LogFormat "%m\t%r\t%U\t%{{host}}i\t%{{tidegate-subject}}i\t%{{tidegate-grants}}i\t%{{traceparent}}i\t%{{x-request-id}}i\t%>s" fields
CustomLog "{folder}/requests" fields
DocumentRoot "{folder}/www"
KeepAlive On
KeepAliveTimeout 60
MaxKeepAliveRequests 0
"#,
        folder = folder.display(),
        modules = modules.display(),
    )
}

fn lighttpd(folder: &Path, port: u16) -> String {
    format!(
        r#"server.modules = ( "mod_accesslog" )
server.bind = "127.0.0.1"
server.port = {port}
server.document-root = "{folder}/www"
server.errorlog = "{folder}/error.log"
server.max-keep-alive-requests = 1000000
server.max-keep-alive-idle = 60
accesslog.filename = "{folder}/requests"
accesslog.format = "%m\t%r\t%U\t%{{host}}i\t%{{tidegate-subject}}i\t%{{tidegate-grants}}i\t%{{traceparent}}i\t%{{x-request-id}}i\t%s"
"#,
        folder = folder.display(),
    )
}
