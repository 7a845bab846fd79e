//! What to send, how often, over how many connections.

use std::net::SocketAddr;
use std::time::Duration;

pub struct Settings {
    pub address: SocketAddr,
    pub connections: usize,
    /// Requests at once; the connections take turns. Not with a rate.
    pub in_flight: usize,
    /// Time between two requests, whatever the answers do; without it, each answer is followed by a
    /// request.
    pub pace: Option<Duration>,
    pub duration: Duration,
    pub warm_up: Duration,
    /// How often each of `requests` is sent before that ends.
    pub warm_passes: usize,
    /// Each of `requests` is sent once, and the run ends with the last.
    pub once: bool,
    /// One after the other, and again from the first.
    pub requests: Vec<Vec<u8>>,
}

impl Settings {
    /// `tokens` and `body` name files; `tokens` has one a line.
    pub fn from_arguments(mut arguments: impl Iterator<Item = String>) -> Self {
        let address = arguments.next().and_then(|text| text.parse().ok()).expect("ADDRESS:PORT");
        let path = arguments.next().expect("PATH");
        let pairs: Vec<_> = arguments
            .map(|text| {
                let (name, value) = text.split_once('=').expect("name=value");
                (name.to_owned(), value.to_owned())
            })
            .collect();
        let text = |name: &str| pairs.iter().find(|(key, _)| key == name).map(|(_, text)| text);
        let number = |name: &str, otherwise: f64| {
            text(name).map_or(otherwise, |text| text.parse().expect("a number"))
        };
        let count = |name: &str, otherwise: usize| {
            text(name).map_or(otherwise, |text| text.parse().expect("a number"))
        };
        let file =
            |name: &str| text(name).map(|path| std::fs::read_to_string(path).expect("a file"));
        let (rate, connections) = (number("rate", 0.0), count("connections", 64));
        let (tokens, body) = (file("tokens"), file("body"));
        let tokens: Vec<_> = match &tokens {
            Some(text) => text.lines().map(Some).collect(),
            None => vec![None],
        };
        let request = |token| request(&path, token, body.as_deref());
        Self {
            address,
            connections,
            in_flight: count("in-flight", connections),
            pace: (rate > 0.0).then(|| Duration::from_secs_f64(1.0 / rate)),
            duration: Duration::from_secs_f64(number("seconds", 3.0)),
            warm_up: Duration::from_secs_f64(number("warm-up", 0.0)),
            warm_passes: count("warm-passes", 0),
            once: count("once", 0) > 0,
            requests: tokens.into_iter().map(request).collect(),
        }
    }
}

fn request(path: &str, token: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let method = if body.is_some() { "POST" } else { "GET" };
    let token = token.map(|token| format!("Authorization: Bearer {token}\r\n"));
    let length = body
        .map(str::len)
        .map(|length| format!("Content-Type: application/json\r\nContent-Length: {length}\r\n"));
    let (token, length) = (token.unwrap_or_default(), length.unwrap_or_default());
    let body = body.unwrap_or_default();
    format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{token}{length}\r\n{body}").into_bytes()
}
