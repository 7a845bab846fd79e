//! The admin listener inside TLS, and the token that it wants.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::harness::{World, eventually};

/// For reloads: looked at once a second, on a busy machine.
const SOON: Duration = Duration::from_secs(20);

/// A certificate that vouches for itself, and its key.
fn certificate(folder: &Path) {
    let key = rcgen::KeyPair::generate().expect("a key");
    let made = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let made = made.self_signed(&key).expect("signed");
    fs::write(folder.join("admin.pem"), made.pem()).expect("written");
    fs::write(folder.join("admin.key"), key.serialize_pem()).expect("written");
}

/// What is answered inside TLS, as text.
fn ask(admin: SocketAddr, ca: &Path, path: &str, token: &str) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).expect("PEM")).expect("a root");
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let socket = TcpStream::connect(admin).expect("it listens");
    socket.set_read_timeout(Some(Duration::from_secs(10))).expect("an option");
    let mut stream = StreamOwned::new(connection, socket);
    let head = format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    write!(stream, "{head}authorization: Bearer {token}\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn the_admin_listener_speaks_tls_and_wants_the_token_that_its_file_has_now() {
    let folder = tempfile::tempdir().expect("a folder");
    certificate(folder.path());
    let file = |name: &str| folder.path().join(name);
    let (first, second) = ("first-".repeat(6), "second-".repeat(6));
    fs::write(file("token"), format!("{first}\n")).expect("written");
    let world = World::with(|config| {
        let (chain, key, token) = (file("admin.pem"), file("admin.key"), file("token"));
        let admin = format!(
            "admin: {{ address: 127.0.0.1:0, tls: {{ certificate: {}, key: {} }}, token: {{ file: {} }} }}",
            chain.display(),
            key.display(),
            token.display()
        );
        config.replace("admin: { address: 127.0.0.1:0 }", &admin)
    });
    let ask = |path: &str, token: &str| ask(world.gateway.admin, &file("admin.pem"), path, token);
    assert!(ask("/livez", &first).starts_with("HTTP/1.1 200"));
    assert!(ask("/livez", &second).starts_with("HTTP/1.1 401"));
    let mut plain = TcpStream::connect(world.gateway.admin).expect("it listens");
    write!(plain, "GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("it reads");
    let mut answer = Vec::new();
    let _broken_off = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "nothing without TLS");

    fs::write(file("token"), &second).expect("written");
    eventually("the new token to count", SOON, || {
        ask("/livez", &second).starts_with("HTTP/1.1 200").then_some(())
    });
    assert!(ask("/livez", &first).starts_with("HTTP/1.1 401"), "the old one is over");

    fs::write(file("token"), "short").expect("written");
    eventually("the bad file to be told", SOON, || {
        ask("/metrics", &second).contains("tidegate_config_last_reload_successful 0").then_some(())
    });
    assert!(world.gateway.log().contains("listeners.admin.token.file"), "what is wrong");
    assert!(!world.gateway.log().contains("second-"), "and no secret");
}
