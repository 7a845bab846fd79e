//! Primaries with replicas.

use super::{Program, Server, wait_until};

impl Server {
    /// Of the same kind, following `self`; returns when it has everything.
    pub fn replica(&self, arguments: &[&str]) -> Self {
        self.ask(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]);
        let port = self.port.to_string();
        let mut all = vec!["--replicaof", "127.0.0.1", &port];
        all.extend(arguments);
        let replica = Self::start(self.program, &all);
        replica.wait_for_link();
        replica
    }

    pub fn wait_for_link(&self) {
        wait_until("the replica follows", || {
            self.ask(&["INFO", "replication"]).contains("master_link_status:up")
        });
    }

    pub fn is_primary(&self) -> bool {
        super::try_ask(self.address(), &["ROLE"]).is_ok_and(|role| role.contains("master"))
    }
}

/// A primary, a replica and three Sentinels that watch them as `tidegate` and act fast.
pub struct Sentinels {
    /// The primary first, at the beginning.
    pub servers: Vec<Server>,
    pub sentinels: Vec<Server>,
}

impl Sentinels {
    pub const MASTER: &str = "tidegate";

    pub fn start() -> Self {
        let primary = Server::start(Program::Redis, &["--repl-diskless-sync-delay", "0"]);
        let replica = primary.replica(&[]);
        let sentinels: Vec<Server> =
            (0..3).map(|_| Server::start(Program::Sentinel, &[])).collect();
        let port = primary.port.to_string();
        for sentinel in &sentinels {
            sentinel.ask(&["SENTINEL", "MONITOR", Self::MASTER, "127.0.0.1", &port, "2"]);
            for (option, value) in [
                ("down-after-milliseconds", "500"),
                ("failover-timeout", "3000"),
                ("parallel-syncs", "1"),
            ] {
                sentinel.ask(&["SENTINEL", "SET", Self::MASTER, option, value]);
            }
        }
        let found = Self { servers: vec![primary, replica], sentinels };
        found.settle();
        found
    }

    /// Until the Sentinels know each other, and a primary with one replica that is up.
    pub fn settle(&self) {
        wait_until("the Sentinels know each other and the replica", || self.is_settled());
    }

    /// Whether this is where all Sentinels say that the primary is.
    pub fn all_name(&self, port: u16) -> bool {
        let question = ["SENTINEL", "GET-MASTER-ADDR-BY-NAME", Self::MASTER];
        let port = format!("\r\n{port}\r\n");
        self.sentinels.iter().all(|sentinel| sentinel.ask(&question).contains(&port))
    }

    /// Whether all Sentinels know this replica and that it is in order.
    pub fn all_know(&self, port: u16) -> bool {
        let name = format!("127.0.0.1:{port}\r\n");
        let in_order = |told: String| {
            let (_, about) = told.split_once(&name)?;
            let (_, flags) = about.split_once("\r\nflags\r\n")?;
            Some(flags.lines().nth(1)? == "slave" && about.contains("\r\nok\r\n"))
        };
        self.sentinels.iter().all(|sentinel| {
            in_order(sentinel.ask(&["SENTINEL", "REPLICAS", Self::MASTER])).unwrap_or(false)
        })
    }

    fn is_settled(&self) -> bool {
        self.sentinels.iter().all(|sentinel| {
            let known = sentinel.ask(&["INFO", "sentinel"]);
            known.contains("status=ok") && known.contains("slaves=1,sentinels=3")
        })
    }

    /// The one of `servers` that is primary now.
    pub fn primary(&mut self) -> &mut Server {
        self.servers.iter_mut().find(|server| server.is_primary()).expect("a primary")
    }
}
