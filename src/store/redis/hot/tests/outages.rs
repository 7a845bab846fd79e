//! Servers that die, stop and come back.

use super::*;

const BACK: Duration = Duration::from_secs(2);

fn usual(port: u16) -> HotSource {
    source(RedisConfig { timeout: Duration::from_millis(250), ..config(port) })
}

#[test]
fn a_server_that_is_killed_refuses_at_once_and_serves_when_it_is_back() {
    let mut server = Server::redis();
    fill(&server, 1);
    on_core(async {
        let source = usual(server.port);
        until(&source, BACK, Result::is_ok).await;
        server.kill();
        until(&source, BACK, Result::is_err).await;
        for _ in 0..20 {
            let start = Instant::now();
            live(&source, 0).await.unwrap_err();
            assert!(start.elapsed() < Duration::from_millis(300), "{:?}", start.elapsed());
            sleep(Duration::from_millis(10)).await;
        }
        server.restart();
        until(&source, BACK, |answer| matches!(answer, Ok(raw) if is_of(raw, 0))).await;
    });
}

#[test]
fn a_connection_that_the_server_closes_is_replaced() {
    let server = Server::redis();
    fill(&server, 1);
    on_core(async {
        let source = usual(server.port);
        until(&source, BACK, Result::is_ok).await;
        for _ in 0..3 {
            server.ask(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            until(&source, BACK, Result::is_ok).await;
        }
    });
}

#[test]
fn a_server_that_stands_still_is_refused_in_time_and_serves_when_it_goes_on() {
    let server = Server::redis();
    fill(&server, 1);
    on_core(async {
        let source = usual(server.port);
        until(&source, BACK, Result::is_ok).await;
        server.signal("STOP");
        let stopped = Instant::now();
        let mut refused_at_once = false;
        while stopped.elapsed() < Duration::from_millis(2500) {
            let start = Instant::now();
            let answer = live(&source, 0).await;
            assert!(answer.is_err());
            let took = start.elapsed();
            assert!(took < Duration::from_millis(350), "{took:?} {answer:?}");
            refused_at_once |= took < Duration::from_millis(100);
            sleep(Duration::from_millis(20)).await;
        }
        // After a second the connection is known to be dead.
        assert!(refused_at_once);
        server.signal("CONT");
        until(&source, BACK, |answer| matches!(answer, Ok(raw) if is_of(raw, 0))).await;
    });
}

#[test]
fn nobody_at_the_address_is_refused_at_once() {
    let port = super::super::super::servers::free_port();
    on_core(async {
        let source = usual(port);
        live(&source, 0).await.unwrap_err();
        let start = Instant::now();
        let answer = live(&source, 0).await;
        assert!(says(&answer, "no connection"), "{answer:?}");
        assert!(start.elapsed() < Duration::from_millis(100));
    });
}

#[test]
fn a_server_that_is_loading_is_refused_as_such_and_serves_afterwards() {
    let mut server = Server::start(
        super::super::super::servers::Program::Redis,
        &["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"],
    );
    fill(&server, 500);
    server.ask(&["SAVE"]);
    on_core(async {
        server.restart();
        let source = usual(server.port);
        let mut loading = false;
        until(&source, Duration::from_secs(10), |answer| {
            loading |= says(answer, "LOADING");
            answer.is_ok()
        })
        .await;
        assert!(loading);
    });
}
