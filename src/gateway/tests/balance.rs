//! Which backend gets a request, and which is left alone.

use std::time::Duration;

use crate::config::{Balance, EjectionConfig, HashKey, ToolConfig, Upstream};

use super::harness::{Harness, get, limits, with};
use super::pool::until;
use super::tool::{Answer, Tool};

fn at(tool: &Tool) -> Upstream {
    Upstream::Http { host: "127.0.0.1".into(), port: tool.address.port() }
}

/// A port that nobody listens on.
fn nobody() -> Upstream {
    Upstream::Http { host: "127.0.0.1".into(), port: 9 }
}

async fn behind(upstreams: Vec<Upstream>, change: impl Fn(&mut ToolConfig)) -> Harness {
    Harness::with(limits(), |tool| {
        tool.upstreams.clone_from(&upstreams);
        change(tool);
    })
    .await
}

fn counts<const N: usize>(tools: [&Tool; N]) -> [usize; N] {
    tools.map(|tool| tool.seen().len())
}

#[tokio::test]
async fn backends_take_turns() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    let gateway = behind(vec![at(&one), at(&two)], |tool| {
        tool.upstream.balance = Balance::RoundRobin;
    })
    .await;
    for _ in 0..10 {
        assert_eq!(gateway.get("/healthz").await.status, 200);
    }
    assert_eq!(counts([&one, &two]), [5, 5]);
}

#[tokio::test]
async fn the_less_loaded_backend_is_asked() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    for tool in [&one, &two] {
        tool.answers(|seen| match seen.target() {
            "/healthz?half" => Answer::text("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nha"),
            _ => Answer::ok(),
        });
    }
    let gateway = behind(vec![at(&one), at(&two)], |_| ()).await;
    let mut open = gateway.client().await;
    open.send(get("/healthz?half").as_bytes()).await;
    until(|| one.seen().len() + two.seen().len() == 1).await;
    let (busy, free) = if one.seen().is_empty() { (&two, &one) } else { (&one, &two) };
    for _ in 0..10 {
        assert_eq!(gateway.get("/healthz").await.text(), "ok");
    }
    assert_eq!(counts([busy, free]), [1, 10]);
    drop(open);
}

#[tokio::test]
async fn the_same_value_goes_to_the_same_backend() {
    let tools = [Tool::start().await, Tool::start().await, Tool::start().await];
    let [one, two, three] = &tools;
    for (key, requests) in [
        (
            HashKey::Header("x-session".parse().expect("a name")),
            ["a", "b"].map(|it| with("GET", "/healthz", &format!("X-Session: {it}\r\n"))),
        ),
        (
            HashKey::Cookie("session".into()),
            ["a", "b"].map(|it| with("GET", "/healthz", &format!("Cookie: x=y; session={it}\r\n"))),
        ),
        (HashKey::Path, ["/policy/a", "/policy/b"].map(get)),
        (HashKey::Subject, ["/me", "/me?again"].map(get)),
    ] {
        let gateway = behind(vec![at(one), at(two), at(three)], |tool| {
            tool.upstream.balance = Balance::ConsistentHash(key.clone());
        })
        .await;
        for request in requests {
            let before = counts([one, two, three]);
            for _ in 0..6 {
                assert_eq!(gateway.call(&request).await.status, 200);
            }
            let after = counts([one, two, three]);
            let by = [0, 1, 2].map(|it| after[it] - before[it]);
            assert!(by.contains(&6), "{key:?}: {by:?}");
        }
    }
}

#[tokio::test]
async fn a_request_without_the_value_goes_to_any_backend() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    let gateway = behind(vec![at(&one), at(&two)], |tool| {
        tool.upstream.balance = Balance::ConsistentHash(HashKey::Subject);
    })
    .await;
    let mut asked = 0;
    while counts([&one, &two]).contains(&0) {
        assert_eq!(gateway.get("/healthz").await.status, 200, "nobody, so no subject");
        asked += 1;
        assert!(asked < 100);
    }
}

fn after(failures: u32) -> EjectionConfig {
    let (base, most) = (Duration::from_secs(60), Duration::from_secs(300));
    EjectionConfig { failures, base, most }
}

#[tokio::test]
async fn a_backend_that_keeps_failing_is_left_alone_but_never_more_than_half_of_them() {
    let (bad, good) = (Tool::start().await, Tool::start().await);
    let unwell = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
    bad.answers(move |_| Answer::text(unwell));
    let gateway = behind(vec![at(&bad), at(&good)], |tool| {
        tool.upstream.balance = Balance::RoundRobin;
        tool.upstream.ejection = Some(after(2));
    })
    .await;
    for _ in 0..20 {
        gateway.get("/healthz").await;
    }
    assert_eq!(counts([&bad, &good]), [2, 18]);
    // The other one fails as well: it is the last, so it stays.
    good.answers(move |_| Answer::text(unwell));
    for _ in 0..10 {
        assert_eq!(gateway.get("/healthz").await.status, 503, "the tool's own words");
    }
    assert_eq!(counts([&bad, &good]), [2, 28]);
}

#[tokio::test]
async fn errors_of_the_request_and_good_answers_in_between_do_not_count() {
    let (one, two) = (Tool::start().await, Tool::start().await);
    for tool in [&one, &two] {
        tool.answers(|seen| match seen.target() {
            "/healthz?bad" => Answer::text("HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"),
            "/healthz?own" => {
                Answer::text("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n")
            }
            _ => Answer::ok(),
        });
    }
    let gateway = behind(vec![at(&one), at(&two)], |tool| {
        tool.upstream.balance = Balance::RoundRobin;
        tool.upstream.ejection = Some(after(2));
    })
    .await;
    for path in ["?bad", "?bad", "?good", "?good", "?bad", "?bad", "?own", "?own", "?own", "?own"] {
        gateway.get(&format!("/healthz{path}")).await;
    }
    assert_eq!(counts([&one, &two]), [5, 5]);
}

#[tokio::test]
async fn a_backend_is_asked_again_after_its_time() {
    let (bad, good) = (Tool::start().await, Tool::start().await);
    bad.answers(|_| Answer::text("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"));
    let gateway = behind(vec![at(&bad), at(&good)], |tool| {
        let base = Duration::from_millis(100);
        tool.upstream.ejection = Some(EjectionConfig { failures: 1, base, most: base });
        tool.upstream.balance = Balance::RoundRobin;
    })
    .await;
    while bad.seen().len() < 3 {
        gateway.get("/healthz").await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(good.seen().len() > bad.seen().len());
}

#[tokio::test]
async fn what_cannot_be_connected_to_is_passed_over_within_the_budget() {
    let tool = Tool::start().await;
    let post = "POST /any HTTP/1.1\r\nHost: down.localhost\r\nContent-Length: 0\r\n\r\n";
    for (budget, statuses) in [(100, [200, 200]), (0, [502, 200])] {
        let gateway = behind(vec![nobody(), at(&tool)], |tool| {
            tool.upstream.balance = Balance::RoundRobin;
            tool.upstream.ejection = None;
            tool.upstream.retry_budget = budget;
        })
        .await;
        // Nothing was sent, so the method does not matter.
        let got = [gateway.call(post).await.status, gateway.call(post).await.status];
        assert_eq!(got, statuses, "{budget}");
    }
}
