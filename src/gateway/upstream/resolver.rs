//! Who is asked what a name resolves to.
//!
//! The hosts file goes first, as it does for the rest of the machine. What does not stand in it is
//! asked of the DNS, which tells for how long an answer holds (RFC 1035, section 3.2.1). What the
//! DNS does not know the system may know by other means (`nsswitch.conf`), so it is asked last.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::op::Query;
use hickory_resolver::proto::rr::{Name, RecordType};
use hickory_resolver::{Hosts, TokioResolver, system_conf};

/// Bounds of what a TTL may say: a name is asked for once a second at most, and moves within five
/// minutes whatever a zone says.
const LEAST: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(300);

/// How long an answer of the system holds, which tells no TTL.
const UNTOLD: Duration = Duration::from_secs(5);

/// For one question to one server, before it is put again.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks for names.
#[derive(Clone, Debug, Default)]
pub struct Resolver {
    /// Empty: those of `/etc/resolv.conf`.
    servers: Arc<[SocketAddr]>,
}

/// What a name resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// At least one.
    pub addresses: BTreeSet<IpAddr>,
    pub holds: Duration,
}

impl Resolver {
    #[must_use]
    pub const fn new(servers: Arc<[SocketAddr]>) -> Self {
        Self { servers }
    }

    /// # Errors
    /// Nobody knows an address.
    pub async fn ask(&self, name: &str) -> io::Result<Answer> {
        let (resolver, asked) = (self.clone(), name.to_owned());
        // The files are read each time, so that what changes in them counts.
        let dns = tokio::task::spawn_blocking(move || resolver.dns_for(&asked)).await;
        let Some(dns) = dns.ok().flatten() else { return system(name).await };
        match in_dns(&dns, name).await {
            Err(_untold) if self.servers.is_empty() => system(name).await,
            told => told,
        }
    }

    /// `None`: the name is not one for the DNS.
    fn dns_for(&self, name: &str) -> Option<TokioResolver> {
        let name = Name::from_utf8(name).ok()?;
        if name.is_localhost() || is_in_hosts_file(&name) {
            return None;
        }
        let found = system_conf::read_system_conf();
        let (config, mut options) = if self.servers.is_empty() {
            found.ok()?
        } else {
            let (config, options) = found.unwrap_or_default();
            (self.instead_of(&config), options)
        };
        options.timeout = options.timeout.min(PATIENCE);
        // What an answer is worth later is for the one to say who asked.
        options.cache_size = 0;
        let mut builder =
            TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
        *builder.options_mut() = options;
        builder.build().ok()
    }

    fn instead_of(&self, system: &ResolverConfig) -> ResolverConfig {
        let servers = self.servers.iter().map(|server| {
            let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
            for connection in &mut connections {
                connection.port = server.port();
            }
            NameServerConfig::new(server.ip(), true, connections)
        });
        let (domain, search) = (system.domain().cloned(), system.search().to_vec());
        ResolverConfig::from_parts(domain, search, servers.collect())
    }
}

fn is_in_hosts_file(name: &Name) -> bool {
    let Ok(hosts) = Hosts::from_system() else { return false };
    let kinds = [RecordType::A, RecordType::AAAA];
    kinds.iter().any(|kind| hosts.lookup_static_host(&Query::query(name.clone(), *kind)).is_some())
}

async fn in_dns(dns: &TokioResolver, name: &str) -> io::Result<Answer> {
    let found = dns.lookup_ip(name).await.map_err(io::Error::other)?;
    // Of all records on the way: an alias may move before the address behind it does.
    let ttl = found.as_lookup().answers().iter().map(|record| record.ttl).min();
    answer(found.iter(), holds(ttl.unwrap_or(0)))
}

fn holds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into()).clamp(LEAST, MOST)
}

async fn system(name: &str) -> io::Result<Answer> {
    // Only names are wanted, but the system wants a port, too.
    let found = tokio::net::lookup_host((name, 0)).await?;
    answer(found.map(|address| address.ip()), UNTOLD)
}

fn answer(found: impl Iterator<Item = IpAddr>, holds: Duration) -> io::Result<Answer> {
    let addresses: BTreeSet<IpAddr> = found.collect();
    if addresses.is_empty() {
        return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
    }
    Ok(Answer { addresses, holds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_is_bounded_on_both_sides() {
        let held = [0, 1, 30, 300, 301, u32::MAX].map(|ttl| holds(ttl).as_secs());
        assert_eq!(held, [1, 1, 30, 300, 300, 300]);
    }

    #[tokio::test]
    async fn the_hosts_file_goes_before_the_dns() {
        let nowhere = Resolver::new([SocketAddr::from(([127, 0, 0, 1], 9))].into());
        let local = nowhere.ask("localhost").await.expect("resolved");
        assert_eq!(local.holds, UNTOLD);
        assert!(local.addresses.iter().all(IpAddr::is_loopback), "{local:?}");
        assert!(nowhere.ask("name.test").await.is_err(), "those servers alone");
    }
}
