//! The real binary over loopback: a token of the identity provider, a grant that was asked for and
//! approved at the API, one connection, one request after the other.

use super::harness::World;
use super::servers::{Program, Server};

/// `public`, `embedded` or `redis`: which route, and on which store it is enforced.
pub fn visit(what: &str, times: usize) {
    let redis = (what == "redis").then(|| Server::start(Program::Redis, &["--appendonly", "no"]));
    let world = World::with(|config| match &redis {
        Some(server) => {
            // Under callgrind everything takes fifty times as long.
            let url = format!("redis://127.0.0.1:{}", server.port);
            let redis = format!("redis: {{ url: \"{url}\", timeout: 5s }}");
            config.replace("embedded: { path: ./store }", &redis)
        }
        None => config,
    });
    world.grant("alice");
    let (token, mut client) = (world.token("alice"), world.proxy());
    let (target, token) = match what {
        "public" => ("/healthz", None),
        "embedded" | "redis" => ("/orders/7", Some(token)),
        other => panic!("public, embedded or redis, not {other}"),
    };
    for _ in 0..times {
        let answer = client.get("warehouse.localhost", target, token.as_deref());
        assert_eq!(answer.status, 200, "{answer:?}");
    }
}
