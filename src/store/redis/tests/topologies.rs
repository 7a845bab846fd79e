//! The same store on a Cluster with TLS, and on Valkey; on both with the login that the operations page
//! gives it and no other right.

use super::world::{RedisWorld, Servers, address_of, config_of};
use crate::config::{RedisAddress, RedisConfig, RedisLogin, RedisNodes, RedisTls};
use crate::store::redis::servers::cluster::Cluster;
use crate::store::redis::servers::tls::Authority;
use crate::store::redis::servers::{Program, Server};

pub type ClusterWorld = RedisWorld<TlsCluster>;
pub type ValkeyWorld = RedisWorld<Valkey>;

pub struct TlsCluster {
    cluster: Cluster,
    authority: Authority,
}

impl Servers for TlsCluster {
    fn start() -> Self {
        let authority = Authority::new();
        let cluster = Cluster::start_tls(&authority, &["--appendonly", "yes"]);
        for node in &cluster.nodes {
            node.give_least_rights(&["+cluster|slots"]);
        }
        Self { cluster, authority }
    }

    fn config(&self) -> RedisConfig {
        let here = |&port| RedisAddress { host: "127.0.0.1".into(), port };
        RedisConfig {
            nodes: RedisNodes::Cluster(self.cluster.tls_ports.iter().map(here).collect()),
            tls: Some(RedisTls { ca: Some(self.authority.ca()), client: None }),
            login: login(),
            ..config_of(&self.cluster.nodes[0])
        }
    }
}

pub struct Valkey(Server);

impl Servers for Valkey {
    fn start() -> Self {
        let server = Server::start(Program::Valkey, &["--appendonly", "yes"]);
        server.give_least_rights(&["+waitaof"]);
        Self(server)
    }

    fn config(&self) -> RedisConfig {
        let nodes = RedisNodes::Standalone(address_of(&self.0));
        RedisConfig { nodes, login: login(), ..config_of(&self.0) }
    }
}

fn login() -> RedisLogin {
    RedisLogin { username: Some("tidegate".into()), password: Some("PASSWORD".into()) }
}
