//! What a server has to be so that it does not lose grants: asked of every node, at start.

use std::net::IpAddr;

use redis::{Value, cmd};

use super::link::{Fsync, Link, Trouble, bytes_of, only, strange};
use super::reply::Refusal;
use super::{OpenError, Shared};
use crate::config::{Acknowledge, Environment, RedisAddress};

/// `SET ... PXAT` and its like.
const OLDEST: (u32, u32) = (6, 2);

/// What stands in the way of using a server.
#[derive(Debug)]
pub enum Obstacle {
    /// It answers, and does not fit.
    Misfit(String),
    /// It does not answer, or not yet.
    NotYet(String),
}

impl From<Obstacle> for OpenError {
    fn from(obstacle: Obstacle) -> Self {
        match obstacle {
            Obstacle::Misfit(why) | Obstacle::NotYet(why) => Self::Misfit(why),
        }
    }
}

impl Obstacle {
    /// What it means that asking `address` failed.
    #[must_use]
    pub fn of(shared: &Shared, address: &RedisAddress, trouble: Trouble) -> Self {
        let at = shown(address);
        match trouble {
            Trouble::Login => Self::Misfit(format!(
                "{at} does not let us in; expected it to accept the configured name and password: check store.redis and the server's ACL"
            )),
            Trouble::Database(said) => Self::Misfit(format!(
                "{at} refuses database {} ({said}); expected one that it has: correct store.redis.database, or raise the server's databases",
                shared.connector.database
            )),
            Trouble::NotPrimary if shared.routes_are_fixed() => Self::Misfit(format!(
                "{at} is a replica; expected a primary: name the primary, or use Sentinel"
            )),
            Trouble::Refused(Refusal::NoPerm, said) => Self::Misfit(format!(
                "{at} does not permit what the store needs ({said}): see docs/operations.md for the ACL"
            )),
            trouble => Self::NotYet(format!("{at}: {}", super::StoreFault::from(trouble))),
        }
    }
}

/// A node as people write it.
#[must_use]
pub fn shown(address: &RedisAddress) -> String {
    format!("{}:{}", address.host, address.port)
}

/// Looks at one node. What a production refuses, a development is warned of.
pub async fn look(shared: &Shared, address: &RedisAddress) -> Result<(), Obstacle> {
    let looked = async {
        let mut link = Link::connect(shared, address).await?;
        let info = Info::of(&mut link, shared).await?;
        Ok((link.fsync, info))
    };
    let looked = looked.await.map_err(|trouble| Obstacle::of(shared, address, trouble));
    let (fsync, info) = looked?;
    if shared.config.acknowledge == Acknowledge::Fsync && matches!(fsync, Fsync::Unknown) {
        return Err(Obstacle::Misfit(format!(
            "{} cannot say what is on its disk (no WAITAOF, and CONFIG GET does not say appendonly yes and appendfsync always); expected either for acknowledge: fsync",
            shown(address)
        )));
    }
    if let Info::Told(about) = &info
        && about.version().is_none_or(|version| version < OLDEST)
    {
        return Err(Obstacle::Misfit(format!(
            "{} is version {}; expected 6.2 or newer",
            shown(address),
            about.field("redis_version").unwrap_or("unknown")
        )));
    }
    let mut risks = exposed(shared, address);
    risks.extend(info.risks());
    refuse_or_warn(shared, address, &risks)
}

fn refuse_or_warn(
    shared: &Shared,
    address: &RedisAddress,
    risks: &[String],
) -> Result<(), Obstacle> {
    match shared.options.environment {
        Environment::Production if !risks.is_empty() => Err(Obstacle::Misfit(format!(
            "{} may lose or give away grants: {}",
            shown(address),
            risks.join("; ")
        ))),
        Environment::Production | Environment::Development => {
            for risk in risks {
                tracing::warn!(server = %shown(address), %risk, "refused in production");
            }
            Ok(())
        }
    }
}

/// What everybody on the way could read or say.
fn exposed(shared: &Shared, address: &RedisAddress) -> Vec<String> {
    if is_loopback(&address.host) {
        return Vec::new();
    }
    let mut risks = Vec::new();
    if shared.config.login.password.is_none() {
        risks.push("it is not on this machine and no password is configured".to_owned());
    }
    if shared.config.tls.is_none() {
        risks.push("it is not on this machine and TLS is not configured".to_owned());
    }
    risks
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The server about itself (redis.io, `INFO`).
enum Info {
    Told(About),
    /// Our name may not ask.
    NotPermitted,
}

struct About(String);

impl Info {
    async fn of(link: &mut Link, shared: &Shared) -> Result<Self, Trouble> {
        let mut text = String::new();
        for section in ["server", "memory", "persistence"] {
            let mut info = cmd("INFO");
            info.arg(section);
            let reply = only(link.exchange(&[info], shared.connector.deadline).await?);
            match reply {
                Ok(Value::VerbatimString { text: part, .. }) => text.push_str(&part),
                Ok(part) => {
                    let part = bytes_of(&part).ok_or_else(|| strange("INFO"))?;
                    text.push_str(&String::from_utf8_lossy(part));
                }
                Err(Trouble::Refused(Refusal::NoPerm, _)) => return Ok(Self::NotPermitted),
                Err(trouble) => return Err(trouble),
            }
            text.push('\n');
        }
        Ok(Self::Told(About(text)))
    }

    fn risks(&self) -> Vec<String> {
        let Self::Told(about) = self else {
            let unknown = "INFO is not permitted, so version, eviction and append-only file could not be checked: permit it";
            return vec![unknown.to_owned()];
        };
        let mut risks = Vec::new();
        match about.field("maxmemory_policy") {
            Some("noeviction") => (),
            policy => risks.push(format!(
                "maxmemory-policy is {}, which evicts grants and revocations; expected noeviction",
                policy.unwrap_or("unknown")
            )),
        }
        if about.field("aof_enabled") != Some("1") {
            risks.push("there is no append-only file; expected appendonly yes".to_owned());
        }
        risks
    }
}

impl About {
    fn field<'a>(&'a self, name: &str) -> Option<&'a str> {
        let value = |line: &'a str| line.trim_end().strip_prefix(name)?.strip_prefix(':');
        self.0.lines().find_map(value)
    }

    fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.field("redis_version")?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }
}
