//! What every node says of itself, for `tidegate store status`. Nothing is decided by it.

use std::collections::BTreeMap;

use redis::cmd;

use super::backend::RedisBackend;
use super::link::{Trouble, bytes_of, only, strange};
use super::pool::Ask;
use crate::config::RedisAddress;
use crate::store::StoreFault;
use crate::store::inspect::BackendStatus;

type Lines = Vec<(String, String)>;

/// Asks each node that holds partitions. One that does not answer, or does not let us ask, has that
/// as its only line.
///
/// # Errors
/// No node is known.
pub async fn status(backend: &RedisBackend) -> Result<BackendStatus, StoreFault> {
    let nodes = backend.shared.routes.table().nodes.clone();
    if nodes.is_empty() {
        return Err(StoreFault::Unreachable("no node is known".into()));
    }
    let mut lines = vec![("back end".to_owned(), "redis".to_owned())];
    for address in &nodes {
        let node = format!("{}:{}", address.host, address.port);
        match ask(backend, address).await {
            Ok(said) => {
                lines.extend(
                    said.into_iter().map(|(name, value)| (format!("{node} {name}"), value)),
                );
            }
            Err(trouble) => lines.push((node, StoreFault::from(trouble).to_string())),
        }
    }
    Ok(BackendStatus { lines })
}

async fn ask(backend: &RedisBackend, address: &RedisAddress) -> Result<Lines, Trouble> {
    let info = [cmd("INFO")];
    let (lease, replies) = backend.reads().ask_at(address, Ask::Commands(&info)).await?;
    let skew = lease.link.skew;
    lease.give_back();
    let reply = only(replies)?;
    let text = bytes_of(&reply).and_then(|bytes| std::str::from_utf8(bytes).ok());
    let mut lines = lines_of(&Info::parse(text.ok_or_else(|| strange("INFO"))?));
    lines.push(("clocks apart".to_owned(), format!("{} ms", skew.as_millis())));
    Ok(lines)
}

/// `name:value` lines under `# Section` heads (redis.io, "INFO").
struct Info<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Info<'a> {
    fn parse(text: &'a str) -> Self {
        let pairs = text.lines().filter(|line| !line.starts_with('#'));
        Self(pairs.filter_map(|line| line.trim_end().split_once(':')).collect())
    }

    /// `?` when the server does not say.
    fn of(&self, name: &str) -> &'a str {
        self.0.get(name).copied().unwrap_or("?")
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.0.get(name)?.parse().ok()
    }
}

fn lines_of(info: &Info<'_>) -> Lines {
    let line = |name: &str, value: String| (name.to_owned(), value);
    let aof = match info.of("aof_enabled") {
        "1" => format!("on, last write {}", info.of("aof_last_write_status")),
        "0" => "off".to_owned(),
        other => other.to_owned(),
    };
    let mut lines = vec![
        line("version", version(info)),
        line("role", info.of("role").to_owned()),
        line("memory", memory(info)),
        line("aof", aof),
        line("replicas", info.of("connected_slaves").to_owned()),
    ];
    let replicas = (0..).map_while(|number| info.0.get(format!("slave{number}").as_str()));
    lines.extend(replicas.map(|said| line("replica", replica(info, said))));
    lines
}

fn version(info: &Info<'_>) -> String {
    match info.0.get("valkey_version") {
        Some(version) => format!("valkey {version}"),
        None => format!("redis {}", info.of("redis_version")),
    }
}

/// A limit of 0 is none.
fn memory(info: &Info<'_>) -> String {
    let (used, policy) = (info.of("used_memory"), info.of("maxmemory_policy"));
    match info.of("maxmemory") {
        "0" => format!("{used} bytes used, no limit, {policy}"),
        most => format!("{used} of {most} bytes used, {policy}"),
    }
}

/// `ip=127.0.0.1,port=6380,state=online,offset=42,lag=0`.
fn replica(info: &Info<'_>, said: &str) -> String {
    let of = |name: &str| {
        let fields = said.split(',').filter_map(|field| field.split_once('='));
        fields.filter(|(field, _)| *field == name).map(|(_, value)| value).next().unwrap_or("?")
    };
    let behind = info.number("master_repl_offset").zip(of("offset").parse::<u64>().ok());
    let behind =
        behind.map_or_else(|| "?".to_owned(), |(all, its)| all.saturating_sub(its).to_string());
    let (ip, port, state, lag) = (of("ip"), of("port"), of("state"), of("lag"));
    format!("{ip}:{port} {state}, heard {lag} s ago, {behind} bytes behind")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRIMARY: &str = "# Server\r\nredis_version:7.0.15\r\n\r\n# Memory\r\nused_memory:1000\r\n\
        maxmemory:4000\r\nmaxmemory_policy:noeviction\r\n# Persistence\r\naof_enabled:1\r\n\
        aof_last_write_status:ok\r\n# Replication\r\nrole:master\r\nconnected_slaves:1\r\n\
        slave0:ip=10.0.0.2,port=6380,state=online,offset=90,lag=1\r\nmaster_repl_offset:100\r\n";

    fn told(text: &str) -> Vec<String> {
        let lines = lines_of(&Info::parse(text));
        lines.into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn a_primary_tells_its_memory_its_log_and_how_far_its_replicas_are_behind() {
        let expected = [
            "version: redis 7.0.15",
            "role: master",
            "memory: 1000 of 4000 bytes used, noeviction",
            "aof: on, last write ok",
            "replicas: 1",
            "replica: 10.0.0.2:6380 online, heard 1 s ago, 10 bytes behind",
        ];
        assert_eq!(told(PRIMARY), expected);
    }

    #[test]
    fn what_a_server_does_not_say_is_shown_as_unknown() {
        let told = told("valkey_version:9.1.0\r\nno colon\r\nslave0:garbage\r\nmaxmemory:0\r\n");
        assert_eq!(told[0], "version: valkey 9.1.0");
        assert_eq!(told[2], "memory: ? bytes used, no limit, ?");
        assert_eq!(told[5], "replica: ?:? ?, heard ? s ago, ? bytes behind");
    }
}
