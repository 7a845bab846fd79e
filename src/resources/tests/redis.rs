use serde_json::json;

use super::server::Server;
use super::*;
use crate::resources::resp;

async fn saying(answer: Option<&[u8]>) -> (Value, Vec<String>) {
    let server = Server::saying(answer).await;
    let timeout = if answer.is_none() { Duration::from_millis(50) } else { PATIENT };
    let config = RedisSourceConfig { timeout, ..redis(server.port) };
    let told = told(&open(provider(vec![SourceConfig::Redis(config)])), "doc-1").await;
    (told, server.asked())
}

#[tokio::test]
async fn a_hash_is_an_object_of_texts_and_an_empty_one_is_not_there() {
    let (found, asked) = saying(Some(b"*2\r\n$5\r\nowner\r\n$5\r\nalice\r\n")).await;
    assert_eq!(found, json!({ "owner": "alice" }));
    assert_eq!(asked, ["*2\r\n$7\r\nHGETALL\r\n$9\r\ndoc:doc-1\r\n"]);
    assert_eq!(saying(Some(b"*0\r\n")).await.0, "not found");
}

#[tokio::test]
async fn every_other_answer_is_a_failure() {
    let many = format!("*2\r\n$1\r\na\r\n$100000\r\n{}\r\n", "x".repeat(100_000));
    for answer in [
        &b"-WRONGTYPE Operation against a key\r\n"[..],
        b"-NOAUTH Authentication required.\r\n",
        b"-LOADING x\r\n",
        b"+OK\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b":1\r\n",
        b"*1\r\n$1\r\na\r\n",
        b"*2\r\n$1\r\na\r\n:1\r\n",
        b"*2\r\n$1\r\na\r\n$-1\r\n",
        b"*2\r\n*0\r\n$1\r\nb\r\n",
        b"*4\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\na\r\n$1\r\nc\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\n\xff\r\n",
        b"*2\r\n$1\r\na\r\n$1\r\nbXX",
        b"*0\r\n*0\r\n",
        b"*999999999\r\n",
        b"*9999999999999999999\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"*2\r\n$5\r\nscope\r\n$0\r\n\r\n-",
        many.as_bytes(),
    ] {
        let shown = String::from_utf8_lossy(answer.get(..40).unwrap_or(answer)).into_owned();
        assert_eq!(saying(Some(answer)).await.0, "unreachable", "{shown:?}");
    }
    assert_eq!(saying(None).await.0, "unreachable");
}

#[tokio::test]
async fn a_login_and_a_database_come_first_and_a_refused_login_is_a_failure() {
    let hash = b"+OK\r\n+OK\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n";
    for (answer, expected) in [
        (&hash[..], json!({ "a": "b" })),
        (b"-WRONGPASS x\r\n+OK\r\n*2\r\n$1\r\na\r\n$1\r\nb\r\n", json!("unreachable")),
        (b"+OK\r\n-ERR DB index is out of range\r\n*0\r\n", json!("unreachable")),
    ] {
        let server = Server::saying(Some(answer)).await;
        let login = RedisLogin { username: Some("u".into()), password: Some("p w".into()) };
        let config = RedisSourceConfig { login, database: 3, ..redis(server.port) };
        let providers = open(provider(vec![SourceConfig::Redis(config)]));
        assert_eq!(told(&providers, "doc-1").await, expected);
        let asked = "*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$3\r\np w\r\n*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n";
        assert!(server.asked()[0].starts_with(asked), "{:?}", server.asked());
    }
}

#[test]
fn a_key_cannot_end_its_command() {
    let mut sent = Vec::new();
    resp::command(&mut sent, &["HGETALL", "a\r\nFLUSHALL\r\n\u{fc}"]);
    assert_eq!(sent, "*2\r\n$7\r\nHGETALL\r\n$15\r\na\r\nFLUSHALL\r\n\u{fc}\r\n".as_bytes());
}

#[test]
fn replies_are_whole_at_their_last_byte_and_at_no_other() {
    let whole = b"+OK\r\n*2\r\n$3\r\na\r\n\r\n$0\r\n\r\n";
    for end in 0..whole.len() {
        assert_eq!(resp::replies(&whole[..end], 2), Ok(None), "{end}");
    }
    let texts = resp::Reply::Texts(vec!["a\r\n".to_owned(), String::new()]);
    assert_eq!(resp::replies(whole, 2), Ok(Some(vec![resp::Reply::Status, texts])));
}
