//! A client for what `wrk` cannot do: a fixed rate, many connections of which few are busy, and tokens
//! that are shown once.
//!
//! `load ADDRESS PATH [name=value ...]` (see [`Settings`]). It opens its connections, warms up, says
//! `ready`, and begins when a line comes in. It then prints one line of JSON and keeps its
//! connections until its input ends, so that CPU and memory can be read in between.

mod client;
mod settings;

use std::io::{BufRead, Write};

use client::{Client, Outcome};
use serde_json::json;
use settings::Settings;

fn main() {
    let settings = Settings::from_arguments(std::env::args().skip(1));
    let mut client = Client::open(&settings);
    if !settings.warm_up.is_zero() {
        client.run(settings.warm_up, settings.warm_passes * settings.requests.len());
    }
    say("ready");
    let mut line = String::new();
    let mut input = std::io::stdin().lock();
    if input.read_line(&mut line).is_ok_and(|read| read > 0) {
        say(&told(client.run(settings.duration, 0)));
        while input.read_line(&mut line).is_ok_and(|read| read > 0) {}
    }
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    drop(writeln!(out, "{text}").and_then(|()| out.flush()));
}

#[expect(clippy::cast_precision_loss, reason = "microseconds of one run")]
fn told(mut outcome: Outcome) -> String {
    outcome.took.sort_unstable();
    let at = |share: usize| {
        let index = (outcome.took.len() * share / 1000).min(outcome.took.len().saturating_sub(1));
        outcome.took.get(index).map(|took| *took as f64 / 1000.0)
    };
    json!({
        "requests": outcome.took.len(),
        "seconds": outcome.spent.as_secs_f64(),
        "p50_us": at(500),
        "p99_us": at(990),
        "p999_us": at(999),
        "refused": outcome.refused,
        "broken": outcome.broken,
        "unanswered": outcome.unanswered,
    })
    .to_string()
}
