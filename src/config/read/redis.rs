//! `store.redis`: which servers, who Tidegate is there, and when a decision counts as kept.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{
    Acknowledge, Backend, RedisAddress, RedisConfig, RedisLogin, RedisNodes, RedisTls,
};

use super::redis_url::{self, RedisUrl};
use super::{files, word};

const SHAPE: &str = "`{ url: \"redis://127.0.0.1:6379\" }`";
const WAYS: &str = "exactly one of url, cluster and sentinel";

/// What the addresses say together.
struct Named {
    nodes: RedisNodes,
    encrypted: bool,
    login: RedisLogin,
    database: Option<u16>,
}

/// Whether another node may become the primary.
const fn has_fail_over(nodes: &RedisNodes) -> bool {
    match nodes {
        RedisNodes::Standalone(_) => false,
        RedisNodes::Sentinel { .. } | RedisNodes::Cluster(_) => true,
    }
}

pub fn redis(at: &At<'_>, strict: bool) -> Option<Backend> {
    let map = at.map(SHAPE)?;
    let named = nodes(&map);
    let beside = login(&map);
    let tls = map.maybe("tls", |at| tls(at, strict));
    let database = map.maybe("database", database);
    let usual = Duration::from_millis(250);
    let range = Duration::from_millis(10)..=Duration::from_secs(5);
    let timeout = map.or("timeout", usual, |at| at.duration(&range));
    let acknowledge = map.or("acknowledge", Acknowledge::Memory, acknowledge);
    let said_how_many = map.has("replicas");
    let replicas = map.or("replicas", 0, |at| u16::try_from(at.count(&(0..=16))?).ok());
    let range = Duration::from_secs(1)..=Duration::from_secs(60);
    let max_replica_lag =
        map.or("max_replica_lag", Duration::from_secs(5), |at| at.duration(&range));
    map.finish();
    let (named, tls) = (named?, tls?);
    let config = RedisConfig {
        database: one_database(&map, &named, database?)?,
        login: one_login(&map, &named, beside?)?,
        tls: tls.or_else(|| named.encrypted.then(RedisTls::default)),
        refuse_lost_replicas: !said_how_many && has_fail_over(&named.nodes),
        nodes: named.nodes,
        timeout: timeout?,
        acknowledge: acknowledge?,
        replicas: replicas?,
        max_replica_lag: max_replica_lag?,
    };
    if config.acknowledge == Acknowledge::Replicated && config.replicas == 0 {
        return refuse(
            &map,
            "acknowledge",
            "replicated without replicas",
            "replicas: 1 or more beside it",
        );
    }
    protected(&map, &config, strict)?;
    Some(Backend::Redis(Box::new(config)))
}

fn refuse<T>(map: &Map<'_>, key: &str, found: &str, expected: &str) -> Option<T> {
    map.context.problem(&map.below(key), Some(map.line_of(key)), found, expected);
    None
}

fn nodes(map: &Map<'_>) -> Option<Named> {
    let ways = [
        map.get("url").map(|at| standalone(&at)),
        map.get("cluster").map(|at| cluster(&at)),
        map.get("sentinel").map(|at| sentinel(&at)),
    ];
    let mut named = ways.into_iter().flatten();
    match (named.next(), named.next()) {
        (Some(named), None) => named,
        (None, _) => map.refuse("no servers", WAYS),
        (Some(_), Some(_)) => map.refuse("more than one way to find the servers", WAYS),
    }
}

fn standalone(at: &At<'_>) -> Option<Named> {
    let RedisUrl { encrypted, address, login, database } = url(at, 6379)?;
    Some(Named { nodes: RedisNodes::Standalone(address), encrypted, login, database })
}

fn cluster(at: &At<'_>) -> Option<Named> {
    let (nodes, encrypted) = plain_urls(at, 6379)?;
    let (login, database) = (RedisLogin::default(), None);
    Some(Named { nodes: RedisNodes::Cluster(nodes), encrypted, login, database })
}

fn sentinel(at: &At<'_>) -> Option<Named> {
    let map = at.map("`{ master: NAME, nodes: [\"redis://HOST:26379\"] }`")?;
    let master = map.need("master", "the name that the Sentinels know the primary by", word);
    let expected = "at least one address of a Sentinel";
    let nodes = map.need("nodes", expected, |at| plain_urls(at, 26379));
    let login = login(&map);
    map.finish();
    let (nodes, encrypted) = nodes?;
    let nodes = RedisNodes::Sentinel { master: master?, nodes, login: login? };
    Some(Named { nodes, encrypted, login: RedisLogin::default(), database: None })
}

fn url(at: &At<'_>, default_port: u16) -> Option<RedisUrl> {
    let found = at.quiet_text().and_then(|text| Ok(redis_url::parse(&text, default_port)?));
    found.map_or_else(|found| at.refuse_as(found, redis_url::EXPECTED), Some)
}

/// A list of addresses that are addresses alone, and whether they are with TLS.
fn plain_urls(at: &At<'_>, default_port: u16) -> Option<(Vec<RedisAddress>, bool)> {
    let urls = at.filled("a list of at least one address", |at| {
        let url = url(at, default_port)?;
        if url.login != RedisLogin::default() {
            let expected = "addresses without a login; username and password are keys";
            return at.refuse_as("an address with a login (not shown)", expected);
        }
        match url.database {
            Some(_) => at.refuse_as("an address with a database", "addresses without a path"),
            None => Some(url),
        }
    })?;
    let encrypted = urls.iter().filter(|url| url.encrypted).count();
    if encrypted != 0 && encrypted != urls.len() {
        return at.refuse_as("redis:// beside rediss://", "all with TLS or all without");
    }
    let addresses: Vec<RedisAddress> = urls.into_iter().map(|url| url.address).collect();
    super::distinct(at, "address", &addresses).then_some((addresses, encrypted != 0))
}

fn database(at: &At<'_>) -> Option<u16> {
    u16::try_from(at.count(&(0..=u64::from(u16::MAX)))?).ok()
}

fn acknowledge(at: &At<'_>) -> Option<Acknowledge> {
    at.one_of(&[
        ("memory", Acknowledge::Memory),
        ("fsync", Acknowledge::Fsync),
        ("replicated", Acknowledge::Replicated),
    ])
}

fn login(map: &Map<'_>) -> Option<RedisLogin> {
    let username = map.maybe("username", word);
    let password = map.maybe("password", secret);
    let (username, password) = (username?, password?);
    if username.is_some() && password.is_none() {
        return refuse(map, "username", "a username without a password", "a password beside it");
    }
    Some(RedisLogin { username, password })
}

/// A text that no message shows.
fn secret(at: &At<'_>) -> Option<Arc<str>> {
    at.quiet_text().map_or_else(
        |found| at.refuse_as(found, "a password, for example from the environment: \"${NAME}\""),
        |text| Some(text.into()),
    )
}

fn one_login(map: &Map<'_>, named: &Named, beside: RedisLogin) -> Option<RedisLogin> {
    let nobody = RedisLogin::default();
    match (named.login == nobody, beside == nobody) {
        (false, false) => {
            let key = if beside.password.is_some() { "password" } else { "username" };
            refuse(map, key, "a login beside the one in the url (not shown)", "one of them")
        }
        (false, true) => Some(named.login.clone()),
        (true, _) => Some(beside),
    }
}

fn one_database(map: &Map<'_>, named: &Named, beside: Option<u16>) -> Option<u16> {
    match (&named.nodes, named.database, beside) {
        (RedisNodes::Cluster(_), _, Some(_)) => {
            refuse(map, "database", "a database of a Cluster", "it to be removed: there is one")
        }
        (_, Some(_), Some(_)) => {
            refuse(map, "database", "a database beside the one in the url", "one of them")
        }
        (_, within, beside) => Some(within.or(beside).unwrap_or(0)),
    }
}

fn tls(at: &At<'_>, strict: bool) -> Option<RedisTls> {
    let map = at.map("a mapping with ca, certificate, key (all may be left out)")?;
    let ca = map.maybe("ca", files::readable);
    let certificate = map.maybe("certificate", files::readable);
    let key = map.maybe("key", |at| files::private(at, strict));
    map.finish();
    let client = files::pair(&map, certificate?, key?);
    Some(RedisTls { ca: ca?, client: client? })
}

/// Whoever is between us and the server must not read or change what goes by, and whoever reaches
/// the server must not be able to use it.
fn protected(map: &Map<'_>, config: &RedisConfig, strict: bool) -> Option<()> {
    let hosts = match &config.nodes {
        RedisNodes::Standalone(address) => std::slice::from_ref(address),
        RedisNodes::Sentinel { nodes, .. } | RedisNodes::Cluster(nodes) => nodes.as_slice(),
    };
    let is_here = |address: &RedisAddress| {
        &*address.host == "localhost"
            || address.host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    };
    if hosts.iter().all(is_here) {
        return Some(());
    }
    let has_login = config.login.password.is_some();
    let (found, expected) = match (config.tls.is_some(), has_login) {
        (false, _) => ("a server off loopback without TLS", "rediss:// or `tls`"),
        (true, false) => ("a server off loopback without a login", "a password"),
        (true, true) => return Some(()),
    };
    if strict {
        return map.refuse(found, expected);
    }
    map.context.warn(&map.path, &format!("found {found}, production expects {expected}"));
    Some(())
}
