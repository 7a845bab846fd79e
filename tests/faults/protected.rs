//! A server with TLS on both sides and a user that may do nothing but what is documented.

use serde_json::json;

use super::outages::{everything_is_refused, submit};
use super::servers::tls::{Authority, TlsServer};
use super::servers::{Program, Server};
use super::world::{RedisWorld, instead_of_url};

#[test]
fn everything_works_with_tls_and_a_user_of_the_least_rights_and_nothing_without() {
    let authority = Authority::new();
    let TlsServer { server, port } = TlsServer::start(Program::Redis, &authority, true);
    server.ask(&["CONFIG", "SET", "appendonly", "yes"]);
    server.give_least_rights(&[]);
    server.ask(&["ACL", "SETUSER", "default", "off"]);
    let (certificate, key) = authority.pair("gateway", &["gateway"]);
    let ca = authority.ca();
    let url = format!("url: \"rediss://localhost:{port}\"");
    let login = "username: tidegate, password: PASSWORD";
    let pair = format!("certificate: {}, key: {}", certificate.display(), key.display());
    let trusting = format!("ca: {}", ca.display());

    let mut world = RedisWorld::without_gateways(server);
    world.join(instead_of_url(&format!("{url}, {login}, tls: {{ {trusting}, {pair} }}")));
    world.is_ready(0);
    let (kept, ended) = (world.grant("alice"), world.grant("rita"));
    assert_eq!((world.status(0, "alice"), world.status(0, "rita")), (200, 200));
    world.revoked(0, &ended);
    assert_eq!(world.visit(0, "rita").problem(), "grant-revoked");
    assert_eq!(world.status(0, "alice"), 200);
    let listed = world.api(0, "bob").get("/grants?status=active").json();
    assert!(listed.to_string().contains(&kept), "{listed}");
    let kill = json!({ "tool": "warehouse", "reason": "drill" });
    assert_eq!(world.api(0, "carol").post("/revocations", &kill).status, 200);
    assert_eq!(world.status(0, "alice"), 403);
    assert_eq!(submit(&world, 0, "eve").status, 201);
    assert_eq!(world.store_errors(0), 0, "something was not permitted");
    assert!(!world.logs().contains("PASSWORD"));

    // The server is nobody's that the gateway knows, or the gateway nobody that the server knows.
    let stranger = Authority::new();
    let strange = format!("ca: {}", stranger.ca().display());
    for (tls, what) in [
        (pair.clone(), "the authorities of the web"),
        (trusting, "no certificate"),
        (format!("{strange}, {pair}"), "another authority"),
    ] {
        let mut other = RedisWorld::without_gateways(Server::start(Program::Redis, &[]));
        other.join(instead_of_url(&format!("{url}, {login}, tls: {{ {tls} }}")));
        assert!(other.reasons(0).contains("\"store\""), "{what}: {}", other.reasons(0));
        everything_is_refused(&other);
    }
}
