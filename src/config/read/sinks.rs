//! `audit.sinks`: a file, standard output, webhooks.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Uri;

use crate::config::map::Map;
use crate::config::reader::At;
use crate::config::{Glob, SinkConfig, WebhookConfig, WebhookSecret};
use crate::domain::event::EventKind;

use super::{distinct, files, name, word};

const SHAPES: &str = "`stdout`, `{ file: { path: ./audit.jsonl } }` or `{ webhook: { ... } }`";
const WEBHOOK: &str = "`{ name: siem, url: \"https://...\", secret_file: ./siem.secret }`";
const URL: &str = "an http or https address without credentials or fragment";
const SECRET: &str = "whsec_ and 24 to 64 bytes in base64";
/// More secrets than a rotation needs.
const MOST_SECRETS: usize = 4;
/// In bytes.
const LEAST_SECRET: usize = 24;
const LARGEST_SECRET: usize = 64;
/// What comes with requests, not with transitions.
const OF_REQUESTS: [&str; 3] = ["decision.allowed", "decision.denied", "lease.cut"];

pub fn sinks(at: &At<'_>, strict: bool) -> Option<Vec<SinkConfig>> {
    let sinks = at.list("a list of sinks", |at| sink(at, strict))?;
    let names: Vec<&Arc<str>> = sinks.iter().filter_map(webhook_name).collect();
    let is_clear = distinct(at, "name of a webhook", &names);
    (distinct(at, "sink", &sinks) && is_clear).then_some(sinks)
}

fn webhook_name(sink: &SinkConfig) -> Option<&Arc<str>> {
    match sink {
        SinkConfig::Webhook(webhook) => Some(&webhook.name),
        SinkConfig::File { .. } | SinkConfig::Stdout => None,
    }
}

fn sink(at: &At<'_>, strict: bool) -> Option<SinkConfig> {
    if !at.is_map() {
        return at.parse(SHAPES, |text| (text == "stdout").then_some(SinkConfig::Stdout));
    }
    let map = at.map(SHAPES)?;
    let later = ["nats", "otlp"];
    map.later(&later);
    let file = map.get("file").map(|at| file(&at));
    let webhook = map.get("webhook").map(|at| webhook(&at, strict));
    map.finish();
    match (file, webhook) {
        (Some(found), None) | (None, Some(found)) => found,
        // Already refused.
        (None, None) if later.iter().any(|key| map.has(key)) => None,
        (None, None) => at.refuse_as("no sink that this version has", SHAPES),
        (Some(_), Some(_)) => at.refuse_as("several sinks in one", SHAPES),
    }
}

fn file(at: &At<'_>) -> Option<SinkConfig> {
    let map = at.map("`{ path: ./audit.jsonl }`")?;
    let expected = "a file in an existing directory";
    let path = map.need("path", expected, |at| {
        let path = at.path(expected)?;
        let folder =
            path.parent().is_some_and(|folder| folder.is_dir() || folder.as_os_str().is_empty());
        if path.is_dir() || !folder { at.refuse(expected) } else { Some(path) }
    });
    map.finish();
    Some(SinkConfig::File { path: path? })
}

fn webhook(at: &At<'_>, strict: bool) -> Option<SinkConfig> {
    let map = at.map(WEBHOOK)?;
    let name = map.need("name", "the name of the endpoint", name);
    let url = map.need("url", URL, |at| url(at, strict));
    let secrets = secrets(&map, strict);
    let types = map.maybe("types", types);
    let subjects = map.maybe("subjects", |at| at.filled("a list of at least one name", subject));
    let timeout = map.or("timeout", Duration::from_secs(5), |at| {
        at.duration(&(Duration::from_millis(100)..=Duration::from_secs(60)))
    });
    let retry_for = map.or("retry_for", Duration::from_secs(86_400), |at| {
        at.duration(&(Duration::from_secs(60)..=Duration::from_secs(7 * 86_400)))
    });
    let ca: Option<Option<PathBuf>> = map.maybe("ca", files::readable);
    let max_in_flight = map.or("max_in_flight", 8, |at| {
        at.count(&(1..=64)).and_then(|count| usize::try_from(count).ok())
    });
    map.finish();
    Some(SinkConfig::Webhook(Box::new(WebhookConfig {
        name: name?,
        url: url?,
        secrets: secrets?,
        types: types?,
        subjects: subjects?,
        timeout: timeout?,
        retry_for: retry_for?,
        ca: ca?,
        max_in_flight: max_in_flight?,
    })))
}

/// Such an address may itself be what lets in: it is never shown.
fn url(at: &At<'_>, strict: bool) -> Option<Uri> {
    let hidden = |found: &str| at.refuse_as(format!("{found} (value not shown)"), URL);
    let text = match at.quiet_text() {
        Ok(text) => text,
        Err(found) => return at.refuse_as(found, URL),
    };
    let Ok(uri) = text.parse::<Uri>() else { return hidden("no address") };
    let Some(authority) = uri.authority() else { return hidden("no address") };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return hidden("another scheme");
    }
    if authority.as_str().contains('@') {
        return hidden("an address with credentials");
    }
    if text.contains('#') {
        return hidden("an address with a fragment");
    }
    let host = authority.host().trim_matches(['[', ']']);
    let is_here = host == "localhost"
        || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback());
    if uri.scheme_str() == Some("https") || is_here {
        return Some(uri);
    }
    // Events name people and say what they wrote.
    let found = "a server off loopback without TLS";
    if strict {
        return hidden(found);
    }
    at.warn(&format!("found {found}, production expects https"));
    Some(uri)
}

fn secrets(map: &Map<'_>, strict: bool) -> Option<Vec<WebhookSecret>> {
    let from_files = map.get("secret_file").map(|at| each(&at, |at| secret_file(at, strict)));
    let from_text = map.get("secret").map(|at| each(&at, secret_text));
    match (from_files, from_text) {
        (Some(found), None) | (None, Some(found)) => found,
        (None, None) => map.refuse("neither secret_file nor secret", "one of them"),
        (Some(_), Some(_)) => map.refuse("both secret_file and secret", "one of them"),
    }
}

/// One, or a list of them: while a secret is being replaced, the old one and the new one.
fn each(
    at: &At<'_>,
    read: impl Fn(&At<'_>) -> Option<WebhookSecret>,
) -> Option<Vec<WebhookSecret>> {
    if !at.is_list() {
        return Some(vec![read(at)?]);
    }
    let found = at.filled("a list of at least one secret", |at| read(at))?;
    if found.len() > MOST_SECRETS {
        let expected = format!("at most {MOST_SECRETS}");
        return at.refuse_as(format!("{} secrets", found.len()), expected);
    }
    let again = |(index, secret)| found.iter().take(index).any(|other| other == secret);
    if found.iter().enumerate().any(again) {
        return at.refuse_as("the same secret twice", "each secret once");
    }
    Some(found)
}

fn secret_file(at: &At<'_>, strict: bool) -> Option<WebhookSecret> {
    let (_, bytes) = files::secret(at, strict)?;
    let text = std::str::from_utf8(&bytes).ok();
    let decoded = text.and_then(|text| decoded(text.trim_end_matches(['\r', '\n'])));
    decoded.or_else(|| at.refuse_as("a file with something else (not shown)", SECRET))
}

fn secret_text(at: &At<'_>) -> Option<WebhookSecret> {
    let text = match at.quiet_text() {
        Ok(text) => text,
        Err(found) => return at.refuse_as(found, SECRET),
    };
    decoded(&text).or_else(|| at.refuse_as("something else (value not shown)", SECRET))
}

fn decoded(text: &str) -> Option<WebhookSecret> {
    let bytes = STANDARD.decode(text.strip_prefix("whsec_")?).ok()?;
    let fits = (LEAST_SECRET..=LARGEST_SECRET).contains(&bytes.len());
    fits.then(|| WebhookSecret(bytes.into()))
}

fn types(at: &At<'_>) -> Option<Vec<Glob>> {
    at.filled("a list of at least one type, like grant.*", |at| {
        let text = word(at)?;
        let glob = Glob::new(&text);
        if EventKind::ALL.iter().map(|kind| kind.word()).chain(OF_REQUESTS).any(|kind| glob.matches(kind)) {
            return Some(glob);
        }
        at.refuse("the type of an event without `dev.tidegate.` and `.v1`, like request.approved or grant.*")
    })
}

fn subject(at: &At<'_>) -> Option<Glob> {
    word(at).map(|text| Glob::new(&text))
}
