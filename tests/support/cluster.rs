//! A Cluster of three primaries.

use super::tls::Authority;
use super::{Program, Server, free_port, wait_until};

pub struct Cluster {
    pub nodes: Vec<Server>,
    /// Where a node speaks TLS, in the order of `nodes`; empty without TLS.
    pub tls_ports: Vec<u16>,
}

impl Cluster {
    pub fn start(program: Program, arguments: &[&str]) -> Self {
        let nodes = (0..3).map(|_| node(program, arguments)).collect();
        Self::meet(Self { nodes, tls_ports: Vec::new() })
    }

    /// The nodes speak TLS among themselves, too.
    pub fn start_tls(authority: &Authority, arguments: &[&str]) -> Self {
        let (mut nodes, mut tls_ports) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let port = free_port();
            let mut all = authority.arguments(&["localhost", "127.0.0.1"], port, false);
            let more = ["--tls-cluster", "yes", "--tls-replication", "yes"];
            all.extend(more.iter().chain(arguments).map(|&argument| argument.to_owned()));
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            nodes.push(node(Program::Redis, &all));
            tls_ports.push(port);
        }
        Self::meet(Self { nodes, tls_ports })
    }

    fn meet(self) -> Self {
        let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
        for (index, (node, (first, last))) in self.nodes.iter().zip(slots).enumerate() {
            node.ask(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]);
            node.ask(&["CLUSTER", "ADDSLOTSRANGE", first, last]);
        }
        for (index, node) in self.nodes.iter().enumerate().skip(1) {
            let port = self.tls_ports.get(index).copied().unwrap_or(node.port);
            // The bus is 10,000 above the port that the Cluster knows a node by.
            let bus = (port + 10_000).to_string();
            let met = self.nodes[0].ask(&["CLUSTER", "MEET", "127.0.0.1", &port.to_string(), &bus]);
            assert!(met.starts_with("+OK"), "{met}");
        }
        wait_until("the Cluster is whole", || self.nodes.iter().all(is_whole));
        self
    }

    pub fn id(&self, node: usize) -> String {
        let reply = self.nodes[node].ask(&["CLUSTER", "MYID"]);
        reply.lines().nth(1).expect("an id").to_owned()
    }

    /// The node that `slot` is on, as node 0 has it.
    pub fn holder(&self, slot: u16) -> usize {
        let of = |node: &Server| {
            let reply = node.ask(&["CLUSTER", "COUNTKEYSINSLOT", &slot.to_string()]);
            assert!(reply.starts_with(':'), "{reply}");
            let known = node.ask(&["CLUSTER", "NODES"]);
            let own =
                known.lines().find(|line| line.contains("myself")).expect("itself").to_owned();
            own.split(' ').skip(8).any(|range| match range.split_once('-') {
                Some((first, last)) => {
                    (first.parse().unwrap_or(1)..=last.parse().unwrap_or(0)).contains(&slot)
                }
                None => range.parse() == Ok(slot),
            })
        };
        self.nodes.iter().position(of).expect("somebody holds it")
    }

    /// Moves a slot with all its keys, and tells every node.
    pub fn move_slot(&self, slot: u16, to: usize) {
        let from = self.holder(slot);
        let (slot, source, target) = (slot.to_string(), self.id(from), self.id(to));
        let ok = |node: usize, command: &[&str]| {
            let reply = self.nodes[node].ask(command);
            assert!(reply.starts_with('+'), "{command:?}: {reply}");
        };
        ok(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source]);
        ok(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target]);
        loop {
            let reply = self.nodes[from].ask(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]);
            let keys: Vec<&str> = reply.lines().skip(2).step_by(2).collect();
            if keys.is_empty() {
                break;
            }
            let port = self.tls_ports.get(to).copied().unwrap_or(self.nodes[to].port).to_string();
            let mut command = vec!["MIGRATE", "127.0.0.1", &port, "", "0", "5000", "KEYS"];
            command.extend(keys);
            ok(from, &command);
        }
        ok(to, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        ok(from, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        for node in 0..self.nodes.len() {
            ok(node, &["CLUSTER", "SETSLOT", &slot, "NODE", &target]);
        }
    }
}

fn node(program: Program, arguments: &[&str]) -> Server {
    let mut all = vec!["--cluster-enabled", "yes", "--cluster-node-timeout", "1000"];
    all.extend(arguments);
    Server::start(program, &all)
}

fn is_whole(node: &Server) -> bool {
    let info = node.ask(&["CLUSTER", "INFO"]);
    info.contains("cluster_state:ok")
        && info.contains("cluster_known_nodes:3")
        && info.contains("cluster_slots_ok:16384")
}
