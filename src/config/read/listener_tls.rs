//! `listeners.proxy[].tls`: certificates, and which clients are let in.

use std::sync::Arc;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{CertificateConfig, TlsConfig};

use super::{files, tools};

const SHAPE: &str = "a mapping with certificate and key, or with certificates";
const WAYS: &str = "either certificate and key, or certificates";

/// The files are only looked for here; what stands in them is read where they are used.
pub fn tls(at: &At<'_>, strict: bool) -> Option<TlsConfig> {
    let map = at.map(SHAPE)?;
    let client_ca = map.maybe("client_ca", files::readable);
    // Both are known keys, also where they may not stand.
    let alone = [map.get("certificate"), map.get("key")].iter().any(Option::is_some);
    let certificates = match (alone, map.get("certificates")) {
        (true, None) => pair(&map, strict).map(|pair| vec![pair]),
        (false, Some(at)) => certificates(&at, strict),
        (true, Some(_)) => map.refuse("certificate or key beside certificates", WAYS),
        (false, None) => map.refuse("no certificate", WAYS),
    };
    map.finish();
    Some(TlsConfig { certificates: certificates?, client_ca: client_ca? })
}

fn certificates(at: &At<'_>, strict: bool) -> Option<Vec<CertificateConfig>> {
    let found = at.filled("a list of at least one `{ certificate, key, hosts }`", |at| {
        let map = at.map("`{ certificate: FILE, key: FILE, hosts: [HOST] }`")?;
        let hosts = map.or("hosts", Vec::new(), tools::hosts);
        let pair = pair(&map, strict);
        map.finish();
        Some(CertificateConfig { hosts: hosts?, ..pair? })
    })?;
    let hosts: Vec<&Arc<str>> = found.iter().flat_map(|pair| &pair.hosts).collect();
    let earlier = |(index, host)| hosts.iter().take(index).any(|other| other == host);
    match hosts.iter().enumerate().find(|entry| earlier(*entry)) {
        Some((_, host)) => at.refuse_as(format!("the host {host} twice"), "each host once"),
        None => Some(found),
    }
}

fn pair(map: &Map<'_>, strict: bool) -> Option<CertificateConfig> {
    let expected = "a PEM file with the certificate and those that lead to a root";
    let certificate = map.need("certificate", expected, files::readable);
    let key = map.need("key", "a PEM file with its private key", |at| files::private(at, strict));
    Some(CertificateConfig { certificate: certificate?, key: key?, hosts: Vec::new() })
}
