//! Whom notices reach, through the real binary: a file that changes and breaks, an endpoint that hangs,
//! fails and comes back.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::Client;
use crate::harness::{World, eventually, oracle};

const SOON: Duration = Duration::from_secs(20);

/// What an endpoint answers; `None`: nothing, and the connection stays open.
type Answer = Arc<Mutex<Option<String>>>;

fn endpoint(answer: &Answer) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    let answer = answer.clone();
    thread::spawn(move || {
        let mut held: Vec<TcpStream> = Vec::new();
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let answer = answer.lock().expect("not poisoned").clone();
            match answer {
                Some(answer) => drop(stream.write_all(answer.as_bytes())),
                None => held.push(stream),
            }
        }
    });
    address
}

fn says(status: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}")
}

fn world(directory: &str) -> World {
    World::with(|config| format!("{config}directory: {directory}\n"))
}

/// Asks as `user`, and gives the recipients that the sink heard of.
fn told(world: &World, user: &str) -> Value {
    let request = world.api(user).submit("reader");
    let subject = format!("requests/{}", request["id"].as_str().expect("an id"));
    let notice = eventually("the event in the sink", SOON, || {
        let events = oracle::events(&world.audit_file());
        let event = events.into_iter().find(|event| event["subject"] == subject.as_str())?;
        Some(event["data"]["notice"].clone())
    });
    let link = notice["link"].as_str().expect("a link");
    assert!(link.ends_with(&format!("/api/v1/{subject}")), "{link}");
    notice["recipients"].clone()
}

fn wait_for_log(world: &World, words: &str) {
    eventually(words, SOON, || world.gateway.log().contains(words).then_some(()));
}

fn person(name: &str) -> Value {
    json!({ "kind": "person", "name": name })
}

#[test]
fn no_call_waits_for_a_directory_that_hangs() {
    let address = endpoint(&Answer::default());
    let world = world(&format!(
        "{{ groups: {{ leads: [bob] }}, http: {{ url: 'http://{address}', timeout: 30s }} }}"
    ));
    assert_eq!(told(&world, "alice"), json!([person("bob")]));
    let id = world.grant("frank")["id"].clone();
    assert!(id.is_string());
    // It has not even been given up.
    let metrics = Client::new(world.gateway.admin).get("admin", "/metrics", None).text();
    let failures = "tidegate_directory_failures_total{source=\"http\"}";
    let failed = metrics.lines().any(|line| line.starts_with(failures) && !line.ends_with(" 0"));
    assert!(!failed, "{metrics}");
}

#[test]
fn a_changed_file_and_an_endpoint_that_comes_back_are_heard_and_what_is_broken_changes_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("directory.yaml");
    let write = |path: &Path, text: &str| fs::write(path, text).expect("written");
    write(&path, "groups: { leads: [bob] }");
    let answer: Answer = Arc::new(Mutex::new(Some(says("500 Internal Server Error", "{}"))));
    let address = endpoint(&answer);
    let file = path.display();
    let world =
        world(&format!("{{ file: {file}, http: {{ url: 'http://{address}', refresh: 1s }} }}"));
    wait_for_log(&world, "the directory stays as it was");
    assert_eq!(told(&world, "alice"), json!([person("bob")]));

    write(&path, "groups: { leads: [{ name: ben, email: ben@example.test }] }");
    wait_for_log(&world, "were read anew");
    let ben = json!({ "kind": "person", "name": "ben", "email": "ben@example.test" });
    assert_eq!(told(&world, "user-1"), json!([ben]));

    write(&path, "groups: { leads: [{ nam: eve }] }");
    wait_for_log(&world, "what has problems stays as it was");
    assert!(world.gateway.log().contains("directory.yaml:1: groups.leads[0].nam"));
    assert_eq!(told(&world, "user-2"), json!([ben]));

    let good = says("200 OK", r#"{"groups": {"leads": ["bea"], "security": ["carol"]}}"#);
    *answer.lock().expect("not poisoned") = Some(good);
    wait_for_log(&world, "the directory can be read again");
    let both = json!([person("bea"), ben]);
    assert_eq!(told(&world, "user-3"), both);
    *answer.lock().expect("not poisoned") = Some(says("200 OK", "[]"));
    eventually("another failure", SOON, || {
        (world.gateway.log().matches("the directory stays as it was").count() > 2).then_some(())
    });
    assert_eq!(told(&world, "user-4"), both);
}
