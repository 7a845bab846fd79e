use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    date_time_ymd,
};

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

use super::validity::Validity;
use super::*;
use crate::config::CertificateConfig;

/// 2026-11-22T07:30:00Z
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_795_332_600_000);

/// Who vouches for servers and clients; everything is in a folder that goes with it.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
    pub certificate: rcgen::Certificate,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name.push(DnType::CommonName, "tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("signed");
        let folder = tempfile::tempdir().expect("a folder");
        let authority = Self { folder, issuer: Issuer::new(params, key), certificate };
        authority.file("ca.pem", &authority.certificate.pem());
        authority
    }

    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    }

    /// A client that believes it.
    pub fn trusting(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(aws_lc_rs::default_provider().into());
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        Arc::new(builder.with_root_certificates(roots).with_no_client_auth()).into()
    }

    pub fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// Writes `<name>.pem` and `<name>.key`, for these hosts, years from and to.
    pub fn between(&self, name: &str, hosts: &[&str], from: i32, to: i32) -> CertificateConfig {
        let hosts: Vec<String> = hosts.iter().map(|&host| host.to_owned()).collect();
        let mut params = CertificateParams::new(hosts).expect("names");
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.not_before = date_time_ymd(from, 1, 1);
        params.not_after = date_time_ymd(to, 1, 1);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("signed");
        CertificateConfig {
            certificate: self.file(&format!("{name}.pem"), &certificate.pem()),
            key: self.file(&format!("{name}.key"), &key.serialize_pem()),
            hosts: Vec::new(),
        }
    }

    pub fn signed(&self, name: &str, hosts: &[&str]) -> CertificateConfig {
        self.between(name, hosts, 2020, 2040)
    }
}

fn tls(certificates: Vec<CertificateConfig>) -> TlsConfig {
    TlsConfig { certificates, client_ca: None }
}

fn open(config: &TlsConfig) -> Result<ServerTls, Vec<String>> {
    ServerTls::open("tls".to_owned(), config, true, NOW)
}

#[test]
fn every_problem_of_every_file_is_told_at_once() {
    let authority = Authority::new();
    let good = authority.signed("good", &["a.test"]);
    let key_of_other =
        CertificateConfig { key: authority.signed("b", &["b.test"]).key, ..good.clone() };
    let expired = authority.between("expired", &["a.test"], 2020, 2026);
    let future = authority.between("future", &["a.test"], 2027, 2030);
    let elsewhere = CertificateConfig { hosts: vec!["c.test".into()], ..good.clone() };
    let nothing = authority.file("nothing.pem", "nothing");
    let none =
        CertificateConfig { certificate: nothing.clone(), key: nothing.clone(), hosts: Vec::new() };
    let gone = CertificateConfig { certificate: PathBuf::from("/nowhere.pem"), ..good.clone() };
    let all = vec![good, key_of_other, expired, future, elsewhere, none, gone];
    let config = TlsConfig { certificates: all, client_ca: Some(nothing) };
    let told = open(&config).expect_err("none of them fits");
    let expected = [
        ("tls.certificates[1].key", "the key of another certificate"),
        ("tls.certificates[2].certificate", "it expired at 2026-01-01T00:00:00"),
        ("tls.certificates[3].certificate", "it is not valid before 2027-01-01T00:00:00"),
        ("tls.certificates[4].certificate", "c.test does not stand in it"),
        ("tls.certificates[5].certificate", "no PEM with a certificate"),
        ("tls.certificates[5].key", "no PEM with a private key"),
        ("tls.certificates[6].certificate", "cannot be read"),
        ("tls.client_ca", "no PEM with a certificate"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for ((place, why), told) in expected.iter().zip(&told) {
        assert!(told.starts_with(place) && told.contains(why), "{told}");
    }
}

#[test]
fn a_reload_takes_what_is_good_and_keeps_what_was_otherwise() {
    let authority = Authority::new();
    let pair = authority.signed("server", &["a.test"]);
    let opened = open(&tls(vec![pair.clone()])).expect("it fits");
    let first = opened.current.load_full();
    std::fs::write(&pair.key, "half a k").expect("written");
    let told = opened.reload(NOW).expect_err("no key");
    assert!(told[0].starts_with("tls.key") && !told[0].contains("half"), "{told:?}");
    assert!(Arc::ptr_eq(&first, &opened.current.load_full()));
    authority.signed("server", &["b.test"]);
    opened.reload(NOW).expect("a new pair");
    assert!(!Arc::ptr_eq(&first, &opened.current.load_full()));
    let late = NOW.plus(Duration::from_secs(20 * 365 * 86_400));
    assert!(opened.reload(late).expect_err("2046")[0].contains("it expired"));
}

#[test]
fn both_forms_of_time_in_a_certificate_are_read() {
    let authority = Authority::new();
    // Up to 2049 two digits of the year stand there, from 2050 on four.
    let pair = authority.between("times", &["a.test"], 1999, 2051);
    let pem = std::fs::read(pair.certificate).expect("written");
    let der = CertificateDer::from_pem_slice(&pem).expect("PEM");
    let validity = Validity::of(&der).expect("read");
    assert_eq!(crate::iso8601::time(validity.not_before), "1999-01-01T00:00:00.000Z");
    assert_eq!(crate::iso8601::time(validity.not_after), "2051-01-01T00:00:00.000Z");
    for cut in 0..der.len() {
        // Whatever is cut off: an answer, never a panic, and never other times.
        assert!(Validity::of(&der[..cut]).is_none_or(|cut| cut == validity));
    }
}

#[test]
fn a_name_gets_the_certificate_that_is_bound_to_it_and_an_unknown_name_none() {
    let authority = Authority::new();
    let bound = CertificateConfig {
        hosts: vec!["a.test".into()],
        ..authority.signed("bound", &["a.test", "c.test"])
    };
    let wild = authority.signed("wild", &["*.b.test", "a.test"]);
    let provider = aws_lc_rs::default_provider();
    let of = |config: &TlsConfig| names("tls", config, &provider, NOW).expect("they fit");
    let both = of(&tls(vec![wild.clone(), bound.clone()]));
    let at = |name: Option<&str>| {
        let found = both.chosen(name)?;
        both.0.iter().position(|named| Arc::ptr_eq(&named.key, found))
    };
    assert_eq!(at(Some("a.test")), Some(1), "bound goes before named");
    assert_eq!(at(Some("A.Test")), Some(1));
    assert_eq!(at(Some("x.b.test")), Some(0));
    assert_eq!(at(Some("c.test")), None, "what is bound stands for its hosts alone");
    assert_eq!(at(Some("b.test")), None);
    assert_eq!(at(None), Some(0));
    assert!(of(&tls(vec![bound])).chosen(None).is_none());
}
