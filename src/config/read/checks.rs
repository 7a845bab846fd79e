//! Checks that look at more than one section.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::config::map::Map;
use crate::config::{ApiConfig, IssuerConfig, Listeners, ToolConfig};

/// No two listeners on one port of one address; `0.0.0.0` and `[::]` take every address.
pub fn listeners(map: &Map<'_>, listeners: Option<&Listeners>) {
    let Some(found) = listeners else { return };
    let named = (0..).zip(&found.proxy);
    let named = named.map(|(i, it): (usize, _)| (format!("proxy[{i}]"), &it.address));
    let rest = [("api".to_owned(), &found.api), ("admin".to_owned(), &found.admin)];
    let all: Vec<(String, &SocketAddr)> = named.chain(rest).collect();
    for (index, (name, address)) in all.iter().enumerate() {
        let earlier = all.iter().take(index).find(|(_, other)| clash(address, other));
        if let Some((other, _)) = earlier {
            let path = map.below(&format!("listeners.{name}"));
            let found = format!("{address}, which clashes with listeners.{other}");
            map.context.problem(
                &path,
                Some(map.line_of("listeners")),
                found,
                "an address of its own",
            );
        }
    }
}

fn clash(one: &SocketAddr, two: &SocketAddr) -> bool {
    let same_ip = one.ip() == two.ip() || one.ip().is_unspecified() || two.ip().is_unspecified();
    one.port() == two.port() && one.port() != 0 && same_ip
}

/// A request must have one tool. A host or a prefix stands for one tool alone, except that several
/// tools may share a host under different prefixes, or a prefix under different hosts.
pub fn routes(map: &Map<'_>, tools: Option<&[ToolConfig]>) {
    let tools = tools.unwrap_or_default();
    for (index, tool) in tools.iter().enumerate() {
        for other in tools.iter().take(index) {
            if let Some(route) = shared(tool, other) {
                let path = format!("tools[{index}]");
                let found = format!("{route}, which the tool {} already has", other.name);
                map.context.problem(&path, Some(map.line_of("tools")), found, "a route of its own");
            }
        }
    }
}

fn shared(one: &ToolConfig, two: &ToolConfig) -> Option<String> {
    if one.path_prefix != two.path_prefix {
        return None;
    }
    let prefix = one.path_prefix.as_deref();
    if one.hosts.is_empty() && two.hosts.is_empty() {
        return prefix.map(|prefix| format!("the path prefix {prefix}"));
    }
    let host = one.hosts.iter().find(|host| two.hosts.contains(host))?;
    Some(match prefix {
        Some(prefix) => format!("the host {host} with the path prefix {prefix}"),
        None => format!("the host {host}"),
    })
}

/// A tool that is handed its callers' tokens could use them at the API.
pub fn audiences(
    map: &Map<'_>,
    strict: bool,
    api: Option<&ApiConfig>,
    issuers: Option<&[IssuerConfig]>,
    tools: Option<&[ToolConfig]>,
) {
    let forwards = tools.unwrap_or_default().iter().find(|tool| tool.forward_credential);
    let (Some(api), Some(tool), true) = (api, forwards, strict) else { return };
    let issuers = issuers.unwrap_or_default();
    let is_shared = |a: &&Arc<str>| issuers.iter().any(|issuer| issuer.audiences.contains(a));
    if let Some(audience) = api.audiences.iter().find(is_shared) {
        map.context.problem(
            "api.audiences",
            Some(map.line_of("api")),
            format!(
                "{audience:?}, which the tools accept too, and {} forwards credentials",
                tool.name
            ),
            "audiences that no issuer lists for the tools",
        );
    }
}
