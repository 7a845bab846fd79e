//! The proxy does what it says, against a real server.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use crate::harness::eventually;

use super::proxy::{Fault, Proxy, Rule, most_in_a_second};
use super::resp::{Raw, Value};
use super::servers::Server;

fn pair() -> (Server, Proxy) {
    let server = Server::redis();
    let proxy = Proxy::start(server.address());
    (server, proxy)
}

fn get(client: &mut Raw, key: &str) -> std::io::Result<String> {
    client.try_ask(&[b"GET", key.as_bytes()]).map(|value| value.text())
}

#[test]
fn a_healthy_proxy_passes_everything_on_and_counts_it() {
    let (_server, proxy) = pair();
    let start = Instant::now();
    let mut client = Raw::connect(proxy.address).expect("connected");
    client.say(&["SET", "a", "x\r\ny"]);
    assert_eq!(client.get("a").as_deref(), Some(&b"x\r\ny"[..]));
    assert_eq!(client.get("b"), None);
    assert_eq!((proxy.count("GET"), proxy.count("SET 2")), (2, 1));
    assert_eq!(proxy.connects_since(start).len(), 1);
    assert_eq!(most_in_a_second(&proxy.connects_since(start)), 1);
}

#[test]
fn messages_to_a_subscriber_pass_although_nobody_asks_for_each() {
    let (_server, proxy) = pair();
    let mut listener = Raw::connect(proxy.address).expect("connected");
    listener.say(&["PING"]);
    listener.say(&["SUBSCRIBE", "news"]);
    let mut speaker = Raw::connect(proxy.address).expect("connected");
    for text in ["one", "two"] {
        assert_eq!(speaker.say(&["PUBLISH", "news", text]).text(), "1");
        assert_eq!(listener.next().expect("a message").text(), format!("message news {text}"));
    }
}

#[test]
fn only_the_named_commands_fail_and_only_as_long_as_the_rule_stands() {
    let (server, proxy) = pair();
    let mut client = Raw::connect(proxy.address).expect("connected");
    proxy.rule(Rule::of(&["SET"], Fault::error("READONLY you cannot")));
    assert!(client.try_ask(&[b"SET", b"a", b"1"]).expect("a reply").is_error());
    assert_eq!(client.get("a"), None);
    proxy.rule(Rule::of(&["SET"], Fault::AnswerAfter(Value::error("ERR lost"))));
    assert!(client.try_ask(&[b"SET", b"a", b"2"]).expect("a reply").is_error());
    proxy.heal();
    assert_eq!(client.get("a").as_deref(), Some(&b"2"[..]), "it was carried out");
    assert!(server.ask(&["GET", "a"]).contains('2'));
}

#[test]
fn replies_are_edited_doubled_exchanged_dropped_and_cut() {
    let (_server, proxy) = pair();
    let mut client = Raw::connect(proxy.address).expect("connected");
    client.say(&["SET", "a", "first"]);
    client.say(&["SET", "b", "second"]);
    proxy.rule(Rule::of(&["GET"], Fault::blobs(|value| value[..2].to_vec())));
    assert_eq!(get(&mut client, "a").expect("a reply"), "fi");
    proxy.rule(Rule::of(&["GET"], Fault::Duplicate));
    assert_eq!(get(&mut client, "a").expect("a reply"), "first");
    assert_eq!(client.next().expect("again").text(), "first");
    proxy.rule(Rule::of(&["GET"], Fault::Reorder));
    client.send(&[b"GET", b"a"]).expect("sent");
    client.send(&[b"GET", b"b"]).expect("sent");
    assert_eq!(client.next().expect("a reply").text(), "second");
    assert_eq!(client.next().expect("a reply").text(), "first");
    proxy.rule(Rule::of(&["GET"], Fault::DropEvery(2)));
    client.send(&[b"GET", b"a"]).expect("sent");
    client.send(&[b"GET", b"a"]).expect("sent");
    client.send(&[b"GET", b"b"]).expect("sent");
    assert_eq!(client.next().expect("a reply").text(), "first");
    assert_eq!(client.next().expect("a reply").text(), "second");
    proxy.rule(Rule::of(&["GET"], Fault::Cut));
    let cut = get(&mut client, "a").expect_err("half a reply");
    assert_eq!(cut.kind(), ErrorKind::UnexpectedEof);
}

#[test]
fn what_is_held_or_slow_comes_at_last() {
    let (_server, proxy) = pair();
    let mut client = Raw::connect(proxy.address).expect("connected");
    client.say(&["SET", "a", "late"]);
    for fault in [Fault::Hold, Fault::Trickle(Duration::from_secs(1)), Fault::Delay(Duration::MAX)]
    {
        proxy.rule(Rule::all(fault));
        client.send(&[b"GET", b"a"]).expect("sent");
        client.timeout(Duration::from_millis(100));
        assert!(client.next().is_err(), "nothing whole came");
        client.timeout(Duration::from_secs(10));
        proxy.heal();
        assert_eq!(client.next().expect("a reply").text(), "late");
    }
}

#[test]
fn it_refuses_resets_and_listens_again_on_the_same_port() {
    let (server, proxy) = pair();
    let mut client = Raw::connect(proxy.address).expect("connected");
    client.say(&["PING"]);
    proxy.refuse();
    assert!(get(&mut client, "a").is_err());
    let refused = Raw::connect(proxy.address).err().map(|fault| fault.kind());
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    proxy.heal();
    Raw::connect(proxy.address).expect("connected").say(&["PING"]);

    let mut open = Raw::connect(proxy.address).expect("connected");
    open.say(&["PING"]);
    let start = Instant::now();
    proxy.reset();
    let fault = open.next().expect_err("a reset");
    assert_eq!(fault.kind(), ErrorKind::ConnectionReset);
    for _ in 0..3 {
        if let Ok(mut client) = Raw::connect(proxy.address) {
            assert!(client.try_ask(&[b"PING"]).is_err());
        }
    }
    assert_eq!(proxy.connects_since(start).len(), 3, "those that are reset are counted");
    proxy.heal();
    Raw::connect(proxy.address).expect("connected").say(&["PING"]);

    let other = Server::redis();
    other.ask(&["SET", "who", "other"]);
    proxy.retarget(other.address());
    let mut client = Raw::connect(proxy.address).expect("connected");
    assert_eq!(get(&mut client, "who").expect("a reply"), "other");
    drop(server);
    eventually("closed connections to go", Duration::from_secs(5), || {
        (proxy.open_connections() == 1).then_some(())
    });
}

#[test]
fn one_connection_can_be_held_while_others_go_on() {
    let (_server, proxy) = pair();
    let mut stalled = Raw::connect(proxy.address).expect("connected");
    stalled.say(&["PING"]);
    let connection = proxy.last_with("PING");
    proxy.rule(Rule { commands: Vec::new(), connection, fault: Fault::Hold });
    stalled.send(&[b"PING"]).expect("sent");
    let mut other = Raw::connect(proxy.address).expect("connected");
    assert_eq!(other.say(&["PING"]).text(), "PONG");
    proxy.heal();
    assert_eq!(stalled.next().expect("a reply").text(), "PONG");
}
