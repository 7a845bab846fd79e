//! Keys over the network, from a server that misbehaves (T04, T13).

use super::super::keys::remote::{Around, COOL_DOWN};
use super::server::{Answer, KeyServer, response};
use super::*;
use crate::http_client::HttpClient;
use crate::telemetry::metrics::{FetchLabels, IssuerLabel, KeyLabels};

fn keys(minters: &[&Minter]) -> Answer {
    Answer::Paths(vec![("/jwks.json", jwks(minters).to_string())])
}

struct Network {
    server: KeyServer,
    desk: Desk,
    metrics: Metrics,
}

impl Network {
    async fn start(answer: Answer) -> Self {
        Self::with(answer, Duration::from_secs(5)).await
    }

    async fn with(answer: Answer, deadline: Duration) -> Self {
        let server = KeyServer::start(answer).await;
        let uri = format!("{}/jwks.json", server.url).parse().unwrap();
        let mut desk = Desk::new();
        let metrics = Metrics::unregistered();
        let around = Around {
            client: HttpClient::new(),
            clock: Arc::clone(&desk.clock) as _,
            metrics: metrics.clone(),
            environment: Environment::Production,
            deadline,
        };
        let issuer = issuer(ISSUER, KeySource::JwksUrl(uri));
        desk.authenticator =
            Authenticator::around(vec![issuer], vec!["api".into()], &around).ok().unwrap();
        Self { server, desk, metrics }
    }

    fn ready(&self) -> Result<(), String> {
        use crate::clock::Clock;
        self.desk.authenticator.ready(self.desk.clock.now())
    }
}

fn unavailable() -> IdentityRefused {
    IdentityRefused::KeysUnavailable { issuer: ISSUER.into() }
}

#[tokio::test]
async fn keys_are_fetched_when_the_first_token_comes_and_then_kept() {
    let net = Network::start(keys(&[ec()])).await;
    assert!(net.ready().is_err());
    for exp in 1..20 {
        let token = ec().mint(&with("exp", Some(json!(NOW + exp)))).unwrap();
        assert_eq!(net.desk.refusal(&token).await, None);
    }
    assert_eq!((net.server.hits(), net.ready()), (1, Ok(())));
    let (fetches, keys) = (&net.metrics.jwks_fetches, &net.metrics.jwks_keys);
    let issuer = || ISSUER.into();
    let ok = FetchLabels { issuer: issuer(), outcome: "ok" };
    assert_eq!(fetches.get_or_create(&ok).get(), 1);
    let usable = KeyLabels { issuer: issuer(), state: "usable" };
    assert_eq!(keys.get_or_create(&usable).get(), 1);
    let label = IssuerLabel { issuer: ISSUER.into() };
    let refreshed = net.metrics.jwks_refreshed.get_or_create(&label).get();
    assert!((refreshed - 1_795_339_800.0).abs() < 0.01);
}

#[tokio::test]
async fn the_background_refresh_makes_an_issuer_ready_before_anybody_comes() {
    let net = Network::start(keys(&[ec()])).await;
    let refresh = tokio::spawn(Arc::clone(&net.desk.authenticator).refresh());
    while net.ready().is_err() {
        tokio::task::yield_now().await;
    }
    refresh.abort();
    assert_eq!(net.server.hits(), 1);
}

#[tokio::test]
async fn t13_a_server_that_misbehaves_gives_503_and_never_an_identity() {
    let html = response("200 OK", "text/html", &jwks(&[ec()]).to_string());
    let page = response("200 OK", "application/json", "<html></html>");
    let elsewhere = "HTTP/1.1 302 Found\r\nlocation: /other.json\r\ncontent-length: 0\r\n\r\n";
    let error = response("500 Oops", "application/json", &jwks(&[ec()]).to_string());
    let token = ec().mint(&claims()).unwrap();
    for answer in [
        Answer::Bytes(html),
        Answer::Bytes(page),
        Answer::Bytes(elsewhere.into()),
        Answer::Bytes(error),
        Answer::Bytes(b"nonsense\r\n\r\n".to_vec()),
        Answer::Bytes(vec![b'x'; 10 * 1024 * 1024]),
        Answer::Endless,
        Answer::Gone,
    ] {
        let net = Network::start(answer).await;
        assert_eq!(net.desk.show(&token).await.unwrap_err(), unavailable());
        assert_eq!(net.server.hits(), 1, "neither repeated nor redirected");
        assert!(net.ready().is_err());
    }
}

#[tokio::test]
async fn t13_a_slow_server_is_given_up_and_its_failure_starts_the_cool_down() {
    let net = Network::with(Answer::Silence, Duration::from_millis(100)).await;
    let token = ec().mint(&claims()).unwrap();
    for _ in 0..50 {
        assert_eq!(net.desk.show(&token).await.unwrap_err(), unavailable());
    }
    assert_eq!(net.server.hits(), 1);
    net.server.now_answers(keys(&[ec()]));
    net.desk.clock.advance(COOL_DOWN);
    assert_eq!(net.desk.refusal(&token).await, None);
}

#[tokio::test]
async fn t13_keys_of_a_server_that_is_gone_stand_for_a_bounded_time() {
    let net = Network::start(keys(&[ec()])).await;
    let token = ec().mint(&with("exp", Some(json!(NOW + 200_000)))).unwrap();
    assert_eq!(net.desk.refusal(&token).await, None);
    net.server.now_answers(Answer::Gone);
    net.desk.clock.advance(
        issuer(ISSUER, KeySource::Discovery).max_stale.saturating_sub(Duration::from_millis(1)),
    );
    assert_eq!(net.desk.refusal(&token).await, None);
    assert_eq!(net.ready(), Ok(()));
    net.desk.clock.advance(Duration::from_millis(1));
    assert_eq!(net.desk.show(&token).await.unwrap_err(), unavailable(), "remembered or not");
    assert!(net.ready().is_err());
}

#[tokio::test]
async fn t13_a_rotated_key_is_learned_at_once_and_the_old_one_refused_from_then_on() {
    let (old, new) = (Minter::es256("old").unwrap(), Minter::es256("new").unwrap());
    let net = Network::start(keys(&[&old])).await;
    let (before, after) = (old.mint(&claims()).unwrap(), new.mint(&claims()).unwrap());
    assert_eq!(net.desk.refusal(&before).await, None);
    net.server.now_answers(keys(&[&new]));
    assert_eq!(net.desk.refusal(&after).await, Some(TokenRefused::UnknownKey), "too soon to ask");
    net.desk.clock.advance(COOL_DOWN);
    assert_eq!(net.desk.refusal(&after).await, None);
    assert_eq!(net.desk.refusal(&before).await, Some(TokenRefused::UnknownKey));
    assert_eq!(net.server.hits(), 2);
}

#[tokio::test]
async fn t04_ten_thousand_unknown_key_ids_cause_one_fetch_per_cool_down() {
    let net = Network::start(keys(&[ec()])).await;
    assert_eq!(net.desk.refusal(&ec().mint(&claims()).unwrap()).await, None);
    for round in 1..=2_usize {
        net.desk.clock.advance(COOL_DOWN);
        let flood = (0..10_000 / 50).map(|batch| {
            let desk = &net.desk;
            async move {
                for n in 0..50 {
                    let head = json!({ "alg": "ES256", "kid": format!("{round}.{batch}.{n}") });
                    let good = ec().mint_raw(head.to_string(), claims().to_string()).unwrap();
                    assert_eq!(desk.refusal(&good).await, Some(TokenRefused::UnknownKey));
                }
            }
        });
        join_all(flood).await;
        assert_eq!(net.server.hits(), 1 + round);
    }
}

/// All at once on one task.
async fn join_all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut waiting: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        waiting.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if waiting.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn t04_one_unknown_key_id_again_and_again_is_asked_about_once_a_minute() {
    let net = Network::start(keys(&[ec()])).await;
    let unknown = Minter::es256("unknown").unwrap();
    let token = unknown.mint(&with("exp", Some(json!(NOW + 9000)))).unwrap();
    for (seconds, hits) in [(0, 1), (30, 1), (59, 1), (60, 2), (91, 2), (119, 2), (120, 3)] {
        net.desk.clock.set(at(NOW + seconds));
        assert_eq!(net.desk.refusal(&token).await, Some(TokenRefused::UnknownKey));
        assert_eq!(net.server.hits(), hits, "after {seconds} s");
    }
}

#[tokio::test]
async fn t13_an_emptied_key_set_ends_every_token() {
    let net = Network::start(keys(&[ec()])).await;
    let token = ec().mint(&claims()).unwrap();
    assert_eq!(net.desk.refusal(&token).await, None);
    net.server.now_answers(keys(&[]));
    net.desk.clock.advance(COOL_DOWN);
    let unknown = Minter::es256("unknown").unwrap().mint(&claims()).unwrap();
    assert_eq!(net.desk.show(&unknown).await.unwrap_err(), unavailable());
    assert_eq!(net.desk.show(&token).await.unwrap_err(), unavailable());
}

#[test]
fn plain_http_is_for_loopback_and_development_only() {
    let opens = |url: &str, environment| {
        let issuer = issuer(ISSUER, KeySource::JwksUrl(url.parse().unwrap()));
        let clock = ManualClock::at(at(NOW));
        Authenticator::with(vec![issuer], vec![], environment, clock, Metrics::unregistered())
            .is_ok()
    };
    for url in [
        "https://idp.example.test/k",
        "http://127.0.0.1/k",
        "http://[::1]:1/k",
        "http://localhost/k",
    ] {
        assert!(opens(url, Environment::Production), "{url}");
    }
    for url in [
        "http://idp.example.test/k",
        "http://127.0.0.1.example.test/k",
        "/k",
        "ftp://localhost/k",
        "https://u:p@idp.example.test/k",
    ] {
        assert!(!opens(url, Environment::Production), "{url}");
    }
    assert!(opens("http://idp.example.test/k", Environment::Development));
}

#[tokio::test]
async fn discovery_believes_only_the_issuer_itself() {
    let document = |issuer: &str, keys: &str| json!({ "issuer": issuer, "jwks_uri": keys });
    for (named_right, keys_at, works) in
        [(true, "/keys", true), (false, "/keys", false), (true, "http://192.0.2.1/keys", false)]
    {
        let server = KeyServer::start(Answer::Gone).await;
        let own = server.url.clone();
        let at_url =
            if keys_at.starts_with('/') { format!("{own}{keys_at}") } else { keys_at.into() };
        let named = if named_right { own.clone() } else { format!("{own}/") };
        server.now_answers(Answer::Paths(vec![
            ("/.well-known/openid-configuration", document(&named, &at_url).to_string()),
            ("/keys", jwks(&[ec()]).to_string()),
        ]));
        let desk = Desk::of(tempfile::tempdir().unwrap(), vec![issuer(&own, KeySource::Discovery)]);
        let shown = desk.show(&ec().mint(&with("iss", Some(json!(own)))).unwrap()).await;
        assert_eq!(shown.is_ok(), works, "{named} {at_url}");
    }
}

#[tokio::test]
async fn t14_a_clock_that_went_back_makes_keys_no_younger() {
    let net = Network::start(keys(&[ec()])).await;
    let token = ec().mint(&claims()).unwrap();
    assert_eq!(net.desk.refusal(&token).await, None);
    net.server.now_answers(Answer::Gone);
    net.desk.clock.set(at(NOW - 3600));
    assert_eq!(net.desk.show(&token).await.unwrap_err(), unavailable());
    net.server.now_answers(keys(&[ec()]));
    net.desk.clock.advance(COOL_DOWN);
    assert_eq!(net.desk.refusal(&token).await, None);
}

#[tokio::test]
async fn a_client_that_hangs_up_does_not_stop_the_fetch_it_started() {
    let net = Network::start(keys(&[ec()])).await;
    let token = ec().mint(&claims()).unwrap();
    let mut showing = Box::pin(net.desk.show(&token));
    let first = std::future::poll_fn(|context| {
        std::task::Poll::Ready(showing.as_mut().poll(context).is_pending())
    });
    assert!(first.await);
    drop(showing);
    while net.ready().is_err() {
        tokio::task::yield_now().await;
    }
    assert_eq!(net.server.hits(), 1);
}

#[test]
fn authentication_runs_on_one_core_or_on_many() {
    fn is_send<T: Send>(_: &T) {}
    let desk = Desk::new();
    let token = ec().mint(&claims()).unwrap();
    // What a connection showed last stays on its core.
    let (authenticator, remembered) = (&desk.authenticator, &desk.remembered);
    let show = || {
        let token = Token::new(&token).unwrap();
        authenticator.authenticate(remembered, token, Audience::Tools, at(NOW))
    };
    is_send(&show());
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                let local = tokio::task::LocalSet::new();
                local.block_on(&runtime, async { show().await.unwrap() });
            });
        }
    });
    assert_eq!(desk.remembered.len(), 1);
}
