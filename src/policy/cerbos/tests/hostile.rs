//! Whatever is not an answer to the question ends in a fault, never in an allowance.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use prost_types::Value;
use prost_types::value::Kind;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use super::super::messages::{
    ActionEffect, ActionMeta, CheckResourcesRequest, CheckResourcesResponse, EffectMeta, Meta,
    OutputEntry, ResultEntry, ResultResource,
};
use super::super::{Pdp, PdpFault};
use super::fake::{Fake, Reply};
use super::{asking, at, config};
use crate::policy::watch::FaultKind;
use crate::policy::{Attributes, Decision, Reason};

fn effect(action: &str, effect: i32) -> ActionEffect {
    ActionEffect { action: action.to_owned(), effect }
}

fn matched(action: &str, policy: &str) -> ActionMeta {
    let matched_policy = policy.to_owned();
    let matched = Some(EffectMeta { matched_policy, matched_scope: String::new() });
    ActionMeta { action: action.to_owned(), matched }
}

/// `read` is allowed, `write` is denied.
fn good() -> CheckResourcesResponse {
    CheckResourcesResponse {
        request_id: "d-1".to_owned(),
        results: vec![ResultEntry {
            resource: Some(ResultResource {
                id: "notes".to_owned(),
                kind: "tool".to_owned(),
                scope: String::new(),
            }),
            actions: vec![effect("read", 1), effect("write", 2)],
            validation_errors: Vec::new(),
            meta: Some(Meta {
                actions: vec![matched("write", "resource.b"), matched("read", "resource.a")],
                effective_derived_roles: vec!["owner".to_owned()],
            }),
            outputs: Vec::new(),
        }],
    }
}

fn good_but(change: impl FnOnce(&mut CheckResourcesResponse)) -> CheckResourcesResponse {
    let mut answer = good();
    change(&mut answer);
    answer
}

/// `good`, with the only result changed.
fn result_but(change: impl FnOnce(&mut ResultEntry)) -> CheckResourcesResponse {
    good_but(|answer| change(&mut answer.results[0]))
}

async fn asked(
    reply: impl Fn(CheckResourcesRequest) -> Reply + Send + Sync + 'static,
) -> Result<Vec<Decision>, PdpFault> {
    let fake = Fake::start(reply).await;
    let pdp = Pdp::new(&config(at(fake.port))).unwrap();
    pdp.check(&asking(&["user"], &["read", "write"], &Attributes::new())).await
}

async fn answered(answer: CheckResourcesResponse) -> Result<Vec<Decision>, PdpFault> {
    asked(move |_| Reply::Answer(answer.clone())).await
}

#[tokio::test]
async fn an_answer_to_the_question_gives_a_decision_for_each_action_in_order() {
    let decisions = answered(result_but(|result| {
        let val = Some(Value { kind: Some(Kind::StringValue("why".to_owned())) });
        let (src, action) = ("resource.b#rule".to_owned(), "write".to_owned());
        result.outputs.push(OutputEntry { src, val, action, error: String::new() });
    }))
    .await
    .unwrap();
    let told: Vec<_> = decisions.iter().map(|it| (it.allowed, it.reason, &*it.policy)).collect();
    let expected = [(true, Reason::Allowed, "resource.a"), (false, Reason::Denied, "resource.b")];
    assert_eq!(told, expected);
    assert_eq!(&*decisions[0].derived_roles[0], "owner");
    assert!(decisions[0].outputs.is_empty());
    assert_eq!(decisions[1].outputs[0].value, Ok("why".into()));
    assert!(decisions.iter().all(|it| !it.unknown_kind));
}

#[tokio::test]
async fn an_answer_that_misses_the_question_is_none() {
    let wrong = [
        ("another request", good_but(|it| it.request_id = "d-2".to_owned())),
        ("no request", good_but(|it| it.request_id.clear())),
        ("no result", good_but(|it| it.results.clear())),
        ("two results", good_but(|it| it.results.push(good().results.remove(0)))),
        ("no resource", result_but(|it| it.resource = None)),
        ("another id", result_but(|it| it.resource.as_mut().unwrap().id = "n".to_owned())),
        ("another kind", result_but(|it| it.resource.as_mut().unwrap().kind = "n".to_owned())),
        ("another scope", result_but(|it| it.resource.as_mut().unwrap().scope = "n".to_owned())),
        ("a missing action", result_but(|it| drop(it.actions.pop()))),
        ("one action more", result_but(|it| it.actions.push(effect("admin", 1)))),
        ("another action", result_but(|it| it.actions[1] = effect("admin", 1))),
        ("an action twice", result_but(|it| it.actions[1] = effect("read", 2))),
        ("no effect", result_but(|it| it.actions[0].effect = 0)),
        ("an unknown effect", result_but(|it| it.actions[0].effect = 4)),
        ("a negative effect", result_but(|it| it.actions[1].effect = -1)),
        ("no meta", result_but(|it| it.meta = None)),
        ("meta of one action", result_but(|it| drop(it.meta.as_mut().unwrap().actions.pop()))),
        (
            "meta twice",
            result_but(|it| {
                it.meta.as_mut().unwrap().actions.push(matched("read", "resource.c"));
            }),
        ),
        (
            "allowed by no policy",
            result_but(|it| {
                it.meta.as_mut().unwrap().actions[1] = matched("read", "NO_MATCH");
            }),
        ),
        (
            "a name without end",
            result_but(|it| {
                it.meta.as_mut().unwrap().effective_derived_roles = vec!["a".repeat(2000)];
            }),
        ),
    ];
    for (what, answer) in wrong {
        let fault = answered(answer).await.expect_err(what);
        assert_eq!(fault.kind, FaultKind::Answer, "{what}: {fault}");
    }
}

#[tokio::test]
async fn a_kind_is_unknown_only_when_every_part_of_the_answer_says_so() {
    let unknown = result_but(|it| {
        it.actions[0].effect = 2;
        let meta = it.meta.as_mut().unwrap();
        meta.actions = vec![matched("read", "NO_MATCH"), matched("write", "NO_MATCH")];
        meta.effective_derived_roles.clear();
    });
    let is_unknown = |answer| async {
        let decisions = answered(answer).await.unwrap();
        assert!(decisions.iter().all(|it| !it.allowed));
        decisions[0].unknown_kind
    };
    assert!(is_unknown(unknown.clone()).await);
    let but = |change: fn(&mut ResultEntry)| {
        let mut answer = unknown.clone();
        change(&mut answer.results[0]);
        answer
    };
    for answer in [
        but(|it| it.meta.as_mut().unwrap().actions[1] = matched("write", "resource.a")),
        but(|it| it.meta.as_mut().unwrap().effective_derived_roles.push("owner".to_owned())),
        but(|it| it.validation_errors.push(super::super::messages::ValidationError {})),
        but(|it| it.outputs.push(OutputEntry::default())),
        but(|it| it.actions[1].effect = 3),
        but(|it| {
            let first = &mut it.meta.as_mut().unwrap().actions[0];
            first.matched.as_mut().unwrap().matched_scope = "a".to_owned();
        }),
    ] {
        assert!(!is_unknown(answer).await);
    }
}

#[tokio::test]
async fn errors_bytes_that_are_no_message_and_answers_without_end_are_faults() {
    for (status, kind) in [
        (1, FaultKind::Deadline),
        (3, FaultKind::Refused),
        (4, FaultKind::Deadline),
        (13, FaultKind::Refused),
        (14, FaultKind::Connection),
        (99, FaultKind::Refused),
    ] {
        assert_eq!(asked(move |_| Reply::Status(status)).await.unwrap_err().kind, kind, "{status}");
    }
    for bytes in [vec![0xff; 64], vec![0; 2 * 1024 * 1024]] {
        let reply = move |_: CheckResourcesRequest| Reply::Bytes(bytes.clone().into());
        assert_eq!(asked(reply).await.unwrap_err().kind, FaultKind::Refused);
    }
    assert!(asked(|_| Reply::Bytes(Vec::new().into())).await.is_err());
}

#[tokio::test]
async fn a_server_that_never_answers_is_left_at_the_deadline() {
    let fake = Fake::start(|_| Reply::Never).await;
    let timeout = Duration::from_millis(50);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    for port in [fake.port, silent.local_addr().unwrap().port()] {
        let pdp = Pdp::new(&crate::config::CerbosConfig { timeout, ..config(at(port)) }).unwrap();
        let attr = Attributes::new();
        let fault = pdp.check(&asking(&["user"], &["read"], &attr)).await.unwrap_err();
        assert!(matches!(fault.kind, FaultKind::Deadline | FaultKind::Connection), "{fault:?}");
    }
}

#[tokio::test]
async fn connections_that_break_or_speak_something_else_are_faults() {
    for greeting in [&b""[..], b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok", &[0xff; 300]] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let _ = stream.write_all(greeting).await;
            }
        });
        let pdp = Pdp::new(&config(at(port))).unwrap();
        for _ in 0..3 {
            let attr = Attributes::new();
            let fault = pdp.check(&asking(&["user"], &["read"], &attr)).await.unwrap_err();
            assert_ne!(fault.kind, FaultKind::Answer, "{fault:?}");
        }
    }
}

#[tokio::test]
async fn nobody_is_asked_without_roles_or_about_too_many_actions() {
    let fake = Fake::start(|_| Reply::Answer(good())).await;
    let pdp = Pdp::new(&config(at(fake.port))).unwrap();
    let attr = Attributes::new();
    let decisions = pdp.check(&asking(&[], &["read", "write"], &attr)).await.unwrap();
    assert_eq!(decisions.len(), 2);
    assert!(decisions.iter().all(|it| !it.allowed && it.reason == Reason::Denied));
    let many = ["read"; 51];
    let fault = pdp.check(&asking(&["user"], &many, &attr)).await.unwrap_err();
    assert_eq!(fault.kind, FaultKind::Question);
    assert_eq!(fake.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn the_token_is_sent_only_where_it_is_configured() {
    let seen: Arc<Mutex<Vec<Option<String>>>> = Arc::default();
    let notes = Arc::clone(&seen);
    let fake = Fake::start(move |question| {
        let token = question.aux_data.and_then(|aux| aux.jwt).map(|jwt| jwt.token);
        notes.lock().unwrap().push(token);
        Reply::Answer(good())
    })
    .await;
    for send_token in [false, true] {
        let config = crate::config::CerbosConfig { send_token, ..config(at(fake.port)) };
        let attr = Attributes::new();
        let pdp = Pdp::new(&config).unwrap();
        pdp.check(&asking(&["user"], &["read", "write"], &attr)).await.unwrap();
    }
    assert_eq!(*seen.lock().unwrap(), [None, Some("the-token".to_owned())]);
}

#[tokio::test]
async fn the_connection_is_asked_from_any_runtime_and_outlives_those() {
    let fake = Fake::start(|_| Reply::Answer(good())).await;
    let pdp = Arc::new(Pdp::new(&config(at(fake.port))).unwrap());
    for _ in 0..3 {
        let pdp = Arc::clone(&pdp);
        let asked = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let attr = Attributes::new();
            let query = asking(&["user"], &["read", "write"], &attr);
            runtime.unwrap().block_on(pdp.check(&query)).unwrap()
        });
        assert!(asked.await.unwrap()[0].allowed);
    }
}
