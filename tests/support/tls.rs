//! Certificates made for one test, and servers that show them.

use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
};

use super::{Program, Server, free_port};

/// Who vouches for servers and clients; everything is in a folder that goes with it.
pub struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        std::fs::write(folder.path().join("ca.pem"), certificate.pem()).expect("written");
        Self { folder, issuer: Issuer::new(params, key) }
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A chain and its key, for a server under `names` or a client.
    pub fn pair(&self, name: &str, names: &[&str]) -> (PathBuf, PathBuf) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        let chain = self.file(&format!("{name}.pem"), &certificate.pem());
        (chain, self.file(&format!("{name}-key.pem"), &key.serialize_pem()))
    }

    /// What a server is started with so that it speaks TLS on `port`, too.
    pub fn arguments(&self, names: &[&str], port: u16, ask_clients: bool) -> Vec<String> {
        let (chain, key) = self.pair(&format!("server-{port}"), names);
        let file = |path: PathBuf| path.to_string_lossy().into_owned();
        let ask = if ask_clients { "yes" } else { "no" };
        [
            ("--tls-port", port.to_string()),
            ("--tls-cert-file", file(chain)),
            ("--tls-key-file", file(key)),
            ("--tls-ca-cert-file", file(self.ca())),
            ("--tls-auth-clients", ask.to_owned()),
        ]
        .into_iter()
        .flat_map(|(name, value)| [name.to_owned(), value])
        .collect()
    }
}

/// A server that speaks TLS on `port`; `server.port` stays in the clear, for the test itself.
pub struct TlsServer {
    pub server: Server,
    pub port: u16,
}

impl TlsServer {
    /// Known as `localhost` and `127.0.0.1`.
    pub fn start(program: Program, authority: &Authority, ask_clients: bool) -> Self {
        Self::start_as(program, authority, &["localhost", "127.0.0.1"], ask_clients)
    }

    pub fn start_as(
        program: Program,
        authority: &Authority,
        names: &[&str],
        ask_clients: bool,
    ) -> Self {
        let port = free_port();
        let arguments = authority.arguments(names, port, ask_clients);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        Self { server: Server::start(program, &arguments), port }
    }
}
