use std::path::Path;

use http::Uri;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::clock::ManualClock;
use crate::config::DirectoryHttpConfig;
use crate::domain::people::Member;
use crate::telemetry::metrics::DirectoryLabel;

const START: Timestamp = Timestamp::from_millis(1_800_000_000_000);
/// Long past every deadline of a test that goes well.
const LONG: Duration = Duration::from_secs(20);

fn inline() -> Groups {
    [("sre".into(), vec![Member { name: "bob".into(), email: None }])].into()
}

fn opened(config: &DirectoryConfig) -> (Arc<Directory>, Arc<ManualClock>) {
    let clock = ManualClock::at(START);
    let metrics = Metrics::unregistered();
    (Directory::open(config, clock.clone(), metrics).expect("opened"), clock)
}

fn of_file(path: &Path) -> DirectoryConfig {
    DirectoryConfig { groups: inline(), file: Some(path.to_path_buf()), http: None }
}

fn of_http(url: Uri, timeout: Duration) -> DirectoryConfig {
    let http = DirectoryHttpConfig { url, ca: None, timeout, refresh: LONG };
    DirectoryConfig { groups: inline(), file: None, http: Some(http) }
}

fn members(directory: &Directory, group: &str) -> Vec<String> {
    let people = directory.people().load_full();
    people.members(group).into_iter().flatten().map(|member| member.name.to_string()).collect()
}

fn failures(directory: &Directory, source: &'static str) -> u64 {
    directory.metrics.directory_failures.get_or_create(&DirectoryLabel { source }).get()
}

fn age(directory: &Directory, source: &'static str) -> f64 {
    directory.show_age();
    directory.metrics.directory_age.get_or_create(&DirectoryLabel { source }).get()
}

/// Every connection gets the next answer, and is then held open; an empty one is not a byte.
async fn answering(answers: Vec<String>) -> Uri {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let uri = format!("http://{}/groups", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        let mut held = Vec::new();
        for answer in answers {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let _ = stream.read(&mut [0; 1024]).await;
            let _ = stream.write_all(answer.as_bytes()).await;
            held.push(stream);
        }
        std::future::pending::<()>().await;
    });
    uri.parse().expect("an address")
}

fn answer(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

async fn asked(directory: &Arc<Directory>) -> bool {
    directory.ask(directory.remote.as_ref().expect("an endpoint")).await
}

#[test]
fn a_changed_file_is_taken_and_a_broken_one_is_refused_and_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("directory.yaml");
    let write = |text: &str| std::fs::write(&path, text).expect("written");
    write("groups: { sre: [ann], dba: [{ name: ben, email: ben@example.com }] }");
    let (directory, clock) = opened(&of_file(&path));
    assert_eq!(members(&directory, "sre"), ["bob", "ann"]);
    assert_eq!(members(&directory, "dba"), ["ben"]);

    write("{\"groups\": {\n\t\"sre\": [\"zo\\u00eb\", {\"name\": \"x\\/y\"}]}}");
    assert!(directory.reload().is_empty());
    assert_eq!(members(&directory, "sre"), ["bob", "zo\u{eb}", "x/y"]);
    assert_eq!(members(&directory, "dba"), [""; 0]);

    for broken in ["groups: { sre: [{ email: a@b }] }", "groups: [", "", "people: {}"] {
        write(broken);
        let problems = directory.reload();
        assert!(problems.iter().all(|it| it.contains("directory.yaml")), "{problems:?}");
        assert!(!problems.is_empty(), "{broken}");
    }
    std::fs::remove_file(&path).expect("removed");
    assert!(!directory.reload().is_empty());
    assert_eq!(members(&directory, "sre"), ["bob", "zo\u{eb}", "x/y"]);
    assert_eq!(failures(&directory, FILE), 5);
    clock.advance(Duration::from_secs(90));
    assert!((age(&directory, FILE) - 90.0).abs() < 0.001);

    write("groups: {}");
    assert!(directory.reload().is_empty());
    assert_eq!(members(&directory, "sre"), ["bob"]);
    assert!(age(&directory, FILE) < 0.001);
}

#[test]
fn a_file_that_is_broken_at_start_keeps_the_process_from_starting() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("directory.yaml");
    std::fs::write(&path, "groups: { sre: bob }").expect("written");
    let refused = Directory::open(&of_file(&path), ManualClock::at(START), Metrics::unregistered());
    let problems = refused.err().expect("refused");
    assert!(problems[0].contains("groups.sre: found \"bob\""), "{problems:?}");
    let url = Uri::from_static("https://directory.example.com");
    let mut config = of_http(url, LONG);
    config.http.as_mut().expect("http").ca = Some(path);
    let refused = Directory::open(&config, ManualClock::at(START), Metrics::unregistered());
    assert!(refused.err().expect("refused")[0].starts_with("directory.http.ca: "));
}

#[tokio::test]
async fn the_last_good_answer_stays_while_an_endpoint_says_nothing_of_use() {
    let good = r#"{"groups": {"dba": ["ben", {"name": "zo\ud83d\ude00", "id": 7}]}, "at": 1}"#;
    let mut answers = vec![
        answer("200 OK", good),
        answer("500 Internal Server Error", good),
        answer("301 Moved Permanently", good),
        answer("200 OK", "no json"),
        answer("200 OK", r#"{"groups": {"dba": [7]}}"#),
        answer("200 OK", r#"{"groups": {"dba": [], "dba": ["eve"]}}"#),
        answer("200 OK", "[]"),
        // Too much, declared or not.
        "HTTP/1.1 200 OK\r\ncontent-length: 1048577\r\n\r\n".to_owned() + &" ".repeat(1 << 20),
        format!(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n200000\r\n{}",
            " ".repeat(0x20_0000)
        ),
        "nonsense\r\n\r\n".to_owned(),
    ];
    let faults = answers.len() - 1;
    answers.push(answer("200 OK", r#"{"groups": {"dba": ["ken"]}}"#));
    let (directory, clock) = opened(&of_http(answering(answers).await, LONG));
    assert_eq!(members(&directory, "sre"), ["bob"]);
    assert!(asked(&directory).await);
    for fault in 0..faults {
        clock.advance(Duration::from_secs(60));
        assert!(!asked(&directory).await, "{fault}");
        assert_eq!(members(&directory, "dba"), ["ben", "zo\u{1f600}"]);
    }
    assert_eq!(failures(&directory, HTTP), 9);
    assert!((age(&directory, HTTP) - 540.0).abs() < 0.001);
    assert!(asked(&directory).await);
    assert_eq!(members(&directory, "dba"), ["ken"]);
    assert!(age(&directory, HTTP) < 0.001);
}

#[tokio::test]
async fn an_endpoint_that_is_down_hangs_or_trickles_is_given_up_in_time() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\n{\"groups\"".to_owned();
    for silent in [String::new(), half] {
        let url = answering(vec![silent]).await;
        let (directory, _) = opened(&of_http(url, Duration::from_millis(50)));
        let given_up = tokio::time::timeout(LONG, asked(&directory)).await;
        assert_eq!(given_up, Ok(false));
        assert_eq!(members(&directory, "sre"), ["bob"]);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let (directory, _) = opened(&of_http(url.parse().expect("an address"), LONG));
    assert!(!asked(&directory).await);
    assert_eq!(failures(&directory, HTTP), 1);
}

#[tokio::test]
async fn the_endpoint_is_asked_at_once_and_nobody_waits_for_it() {
    let url = answering(vec![String::new()]).await;
    let (directory, _) = opened(&of_http(url, LONG));
    let people = directory.people();
    let running = tokio::spawn(directory.clone().run());
    // It hangs for longer than this test; what is known is there.
    assert!(people.load().members("sre").is_some());
    running.abort();

    let url = answering(vec![answer("200 OK", r#"{"groups": {"dba": ["ken"]}}"#)]).await;
    let (directory, _) = opened(&of_http(url, LONG));
    let people = directory.people();
    let running = tokio::spawn(directory.run());
    let told = async {
        while people.load().members("dba").is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(LONG, told).await.expect("taken");
    running.abort();
}
