use std::time::Duration;

use super::super::connect::Connector;
use super::super::servers::cluster::Cluster;
use super::super::servers::replicas::Sentinels;
use super::super::servers::tls::Authority;
use super::super::servers::{Program, Server};
use super::{Routes, cluster};
use crate::config::{Acknowledge, RedisAddress, RedisConfig, RedisLogin, RedisNodes, RedisTls};
use crate::domain::ids::{Partition, PartitionCount};

const SOON: Duration = Duration::from_secs(10);

fn here(port: u16) -> RedisAddress {
    RedisAddress { host: "127.0.0.1".into(), port }
}

fn config(nodes: RedisNodes) -> RedisConfig {
    RedisConfig {
        nodes,
        tls: None,
        login: RedisLogin::default(),
        database: 0,
        timeout: Duration::from_millis(250),
        acknowledge: Acknowledge::Memory,
        replicas: 0,
        refuse_lost_replicas: false,
        max_replica_lag: Duration::from_secs(5),
    }
}

/// Routes whose search has begun.
fn routes(config: &RedisConfig) -> Routes {
    let routes = Routes::new(&config.nodes, PartitionCount::DEFAULT);
    routes.start(&Connector::new(config).expect("usable"));
    routes
}

async fn found(config: &RedisConfig) -> Routes {
    let routes = routes(config);
    routes.first(SOON).await.expect("found");
    routes
}

/// Waits until the routes say so, telling them all the time that they are stale.
async fn until(routes: &Routes, what: &str, holds: impl Fn(&Routes) -> bool) {
    let waiting = async {
        while !holds(routes) {
            routes.went_stale();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, waiting).await.unwrap_or_else(|_late| panic!("in vain: {what}"));
}

fn port_of(routes: &Routes, partition: u16) -> Option<u16> {
    routes.table().address_of(Partition(partition)).map(|address| address.port)
}

fn watching(sentinels: &[Server]) -> RedisNodes {
    RedisNodes::Sentinel {
        master: Sentinels::MASTER.into(),
        nodes: sentinels.iter().map(|sentinel| here(sentinel.port)).collect(),
        login: RedisLogin::default(),
    }
}

#[tokio::test]
async fn a_fail_over_by_sentinel_is_followed_and_the_old_primary_is_not_gone_back_to() {
    let mut world = Sentinels::start();
    let routes = found(&config(watching(&world.sentinels))).await;
    let old = world.servers[0].port;
    let new = world.servers[1].port;
    assert_eq!(port_of(&routes, 63), Some(old));
    assert_eq!(routes.table().nodes, [here(old)]);
    let mut versions = routes.versions();
    versions.mark_unchanged();
    world.servers[0].kill();
    until(&routes, "the new primary", |routes| port_of(routes, 0) == Some(new)).await;
    assert!(versions.has_changed().expect("there"));
    // It comes back as a primary, until the Sentinels have told it otherwise.
    world.servers[0].restart();
    let looks = || connections(&world.sentinels[0]);
    let before = looks();
    until(&routes, "more looks", |routes| {
        let is_new = port_of(routes, 0) == Some(new);
        // On a machine that stood still the Sentinels may have failed over again. They name the other
        // one as soon as it is promoted.
        let logs: Vec<String> = world.sentinels.iter().map(Server::log).collect();
        let promoted: usize = logs.iter().map(|log| log.matches("+promoted-slave").count()).sum();
        let switched = logs.iter().any(|log| log.matches("+switch-master").count() > 1);
        let again = promoted > 1 || switched;
        assert!(again || is_new, "gone back without a fail-over");
        again || looks() > before + 60
    })
    .await;
}

/// How many connections a server has taken, this one among them.
fn connections(server: &Server) -> u64 {
    let told = server.ask(&["INFO", "stats"]);
    let line = told.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.expect("a number").parse().expect("a number")
}

#[tokio::test]
async fn a_replica_that_a_sentinel_names_is_not_believed_and_dead_sentinels_are_passed_over() {
    let primary = Server::redis();
    let replica = primary.replica(&[]);
    let sentinel = Server::start(Program::Sentinel, &[]);
    let port = replica.port.to_string();
    sentinel.ask(&["SENTINEL", "MONITOR", Sentinels::MASTER, "127.0.0.1", &port, "1"]);
    let mut gone = Server::start(Program::Sentinel, &[]);
    gone.kill();
    let sentinels = [gone, sentinel];
    let routes = routes(&config(watching(&sentinels)));
    let fault = routes.first(Duration::from_millis(1500)).await.expect_err("no primary");
    assert!(routes.table().nodes.is_empty());
    let told = fault.to_string();
    assert!(told.contains(&format!("127.0.0.1:{port}: no primary")), "{port} {told}");
    replica.ask(&["REPLICAOF", "NO", "ONE"]);
    routes.first(SOON).await.expect("it is one now");
    assert_eq!(port_of(&routes, 5), Some(replica.port));
}

#[tokio::test]
async fn a_login_at_the_sentinels_is_not_the_one_at_the_server() {
    let primary = Server::start(Program::Redis, &["--requirepass", "server-secret"]);
    let sentinel = Server::start(Program::Sentinel, &[]);
    let port = primary.port.to_string();
    sentinel.ask(&["SENTINEL", "MONITOR", Sentinels::MASTER, "127.0.0.1", &port, "1"]);
    sentinel.ask(&["CONFIG", "SET", "requirepass", "x"]);
    let user = ["ACL", "SETUSER", "watcher", "on", ">watch-secret", "-@all"];
    let may = ["+sentinel|master", "+sentinel|get-master-addr-by-name"];
    let made = sentinel.ask(&[&user[..], &may[..]].concat());
    assert!(made.starts_with('+'), "{made}");
    sentinel.ask(&["ACL", "SETUSER", "default", "off"]);
    let login = |name: Option<&str>, password: &str| RedisLogin {
        username: name.map(Into::into),
        password: Some(password.into()),
    };
    let mut config = config(RedisNodes::Sentinel {
        master: Sentinels::MASTER.into(),
        nodes: vec![here(sentinel.port)],
        login: login(Some("watcher"), "watch-secret"),
    });
    let wrong = routes(&config);
    let fault = wrong.first(Duration::from_millis(500)).await.expect_err("no login");
    assert!(fault.to_string().contains("answered NOAUTH"), "{fault}");
    config.login = login(None, "server-secret");
    assert_eq!(port_of(&found(&config).await, 0), Some(primary.port));
}

fn members(world: &Cluster) -> RedisNodes {
    RedisNodes::Cluster(world.nodes.iter().map(|node| here(node.port)).collect())
}

fn expect_own_slots(routes: &Routes, world: &Cluster, ports: &[u16]) {
    for number in 0..PartitionCount::DEFAULT.get() {
        let slot = cluster::slot_of(Partition(number));
        let key = format!("tg:{{p{number:02}}}:head");
        let told = world.nodes[0].ask(&["CLUSTER", "KEYSLOT", &key]);
        assert_eq!(told, format!(":{slot}\r\n"));
        assert_eq!(port_of(routes, number), Some(ports[world.holder(slot)]), "slot {slot}");
    }
}

#[tokio::test]
async fn every_partition_is_with_the_node_of_its_slot_and_a_moved_slot_is_followed() {
    let world = Cluster::start(Program::Redis, &[]);
    // One known node is enough.
    let routes = found(&config(RedisNodes::Cluster(vec![here(world.nodes[1].port)]))).await;
    let ports: Vec<u16> = world.nodes.iter().map(|node| node.port).collect();
    assert_eq!(routes.table().nodes.len(), 3);
    expect_own_slots(&routes, &world, &ports);
    let slot = cluster::slot_of(Partition(7));
    let from = world.holder(slot);
    world.nodes[from].ask(&["SET", "tg:{p07}:head", "1 2 3"]);
    let to = (from + 1) % 3;
    world.move_slot(slot, to);
    assert!(world.nodes[to].ask(&["GET", "tg:{p07}:head"]).contains("1 2 3"));
    until(&routes, "the slot at its new place", |routes| port_of(routes, 7) == Some(ports[to]))
        .await;
    expect_own_slots(&routes, &world, &ports);
}

#[tokio::test]
async fn nodes_that_hang_or_are_gone_hold_nothing_up_and_the_last_table_is_kept() {
    let mut world = Cluster::start(Program::Redis, &[]);
    world.nodes[0].signal("STOP");
    world.nodes[1].kill();
    let known = config(members(&world));
    let routes = found(&known).await;
    let table = (**routes.table()).clone();
    world.nodes[2].kill();
    until(&routes, "a look in vain", |routes| routes.fault().to_string().contains("127.0.0.1"))
        .await;
    assert_eq!(**routes.table(), table);
    world.nodes[0].signal("CONT");
}

#[tokio::test]
async fn the_nodes_of_a_cluster_with_tls_are_found_at_their_tls_ports() {
    let authority = Authority::new();
    let world = Cluster::start_tls(&authority, &[]);
    let mut config = config(RedisNodes::Cluster(vec![here(world.tls_ports[0])]));
    config.tls = Some(RedisTls { ca: Some(authority.ca()), client: None });
    expect_own_slots(&found(&config).await, &world, &world.tls_ports);
}

#[tokio::test]
async fn a_server_that_is_no_cluster_is_no_route() {
    let server = Server::redis();
    let routes = routes(&config(RedisNodes::Cluster(vec![here(server.port)])));
    let fault = routes.first(Duration::from_millis(500)).await.expect_err("none");
    assert!(fault.to_string().contains(&server.port.to_string()), "{fault}");
}

#[tokio::test]
async fn looking_ends_with_the_routes_and_is_bounded_while_they_are_there() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let routes = routes(&config(RedisNodes::Cluster(vec![here(port)])));
    // Each look is refused at once, and everybody cries all the time.
    let mut looks = 0;
    let crying = async {
        loop {
            routes.went_stale();
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let counting = async {
        loop {
            drop(listener.accept().await);
            looks += 1;
        }
    };
    let both = async { tokio::join!(crying, counting) };
    assert!(tokio::time::timeout(Duration::from_secs(1), both).await.is_err());
    assert!((2..=15).contains(&looks), "{looks} looks in a second");
    let known = std::sync::Arc::downgrade(&routes.known);
    drop(routes);
    while known.strong_count() > 0 {
        tokio::task::yield_now().await;
    }
}
