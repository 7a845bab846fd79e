//! The program's own log: to standard error, as JSON or as text.
//!
//! Two things keep secrets and forged lines out of it, whatever the filter says. Libraries are
//! heard at `info` and above only: at `debug` and `trace` some of them write headers. And a text
//! line is one line: control characters in it are escaped (JSON does that by itself).

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, FilterExt, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::FmtSpan;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{Layer, fmt};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Json,
    /// For people.
    Text,
}

/// Why the log could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogFault {
    #[error("the log filter {filter:?} is not valid: {why}")]
    Filter { filter: String, why: String },
    #[error("a log is already set up")]
    Twice(#[from] TryInitError),
}

/// `filter` is `info`, or directives like `warn,tidegate::outbox=debug`.
///
/// # Errors
/// The filter cannot be read, or a log was set up before.
pub fn init(format: Format, filter: &str) -> Result<(), LogFault> {
    let wrong = |why: tracing_subscriber::filter::ParseError| LogFault::Filter {
        filter: filter.chars().take(200).collect(),
        why: why.to_string(),
    };
    let filter = EnvFilter::builder()
        .with_default_directive(LevelFilter::INFO.into())
        .parse(filter)
        .map_err(wrong)?;
    Ok(tracing_subscriber::registry().with(lines(format, filter, io::stderr)).try_init()?)
}

/// A line per event, and one per span when it ends. One filter made of two, not two filters: so
/// what neither wants is switched off where it stands, at the price of looking at one number.
fn lines<S, W>(format: Format, filter: EnvFilter, to: W) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let heard = filter.and(filter_fn(may_be_heard).with_max_level_hint(LevelFilter::TRACE));
    let lines = fmt::layer().with_span_events(FmtSpan::CLOSE);
    match format {
        Format::Json => lines.json().with_writer(to).boxed(),
        Format::Text => lines.with_ansi(false).map_writer(|_| SingleLines(to)).boxed(),
    }
    .with_filter(heard)
}

fn may_be_heard(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let ours = target == "tidegate" || target.starts_with("tidegate::");
    // It says at each question which lines of the system's files it cannot read.
    let most = if target.starts_with("hickory_") { Level::ERROR } else { Level::INFO };
    ours || *metadata.level() <= most
}

/// Escapes every control character but the line's own end. The formatter writes a whole line at
/// once.
struct OneLine<W>(W);

/// Makes writers of [`OneLine`].
struct SingleLines<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for SingleLines<M> {
    type Writer = OneLine<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        OneLine(self.0.make_writer())
    }
}

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        if line.iter().any(u8::is_ascii_control) {
            let mut safe = String::from_utf8_lossy(line).into_owned();
            safe = safe.chars().map(escaped).collect();
            self.0.write_all(safe.as_bytes())?;
            self.0.write_all(bytes.get(line.len()..).unwrap_or_default())?;
        } else {
            self.0.write_all(bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn escaped(character: char) -> String {
    if character.is_control() {
        character.escape_default().to_string()
    } else {
        character.to_string()
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, Method, Uri};

    use super::*;
    use crate::domain::subject::SubjectKey;
    use crate::problem::ProblemCode;
    use crate::telemetry::ids::UserHashes;
    use crate::telemetry::spans::{self, ServerSpan};
    use crate::telemetry::trace::{Place, TraceContext};

    #[test]
    fn a_text_line_stays_one_line_whatever_is_in_it() {
        let mut line = OneLine(Vec::new());
        line.write_all(b"INFO who=alice\nERROR forged\x1b[31m\r\n").expect("writes");
        let text = String::from_utf8(line.0).expect("text");
        assert_eq!(text, "INFO who=alice\\nERROR forged\\u{1b}[31m\\r\n");
    }

    #[test]
    fn a_bad_filter_is_refused_with_its_text() {
        let why = init(Format::Json, "tidegate=loud").expect_err("is refused").to_string();
        assert!(why.contains("tidegate=loud"), "{why}");
    }

    #[test]
    fn libraries_are_not_heard_below_info_even_when_the_filter_asks_for_everything() {
        let text = heard(Format::Text, "trace", || {
            tracing::trace!(target: "hyper::proto", "authorization: Bearer canary");
            tracing::info!(target: "hyper::server", "library word");
            tracing::debug!(target: "tidegate::gateway", "own word");
            tracing::trace!(target: "tidegatekeeper", "not ours");
        });
        assert!(text.contains("library word") && text.contains("own word"), "{text}");
        assert!(!text.contains("canary") && !text.contains("not ours"), "{text}");
    }

    #[test]
    fn nobody_listens_to_spans_unless_the_filter_asks_for_them() {
        let subscriber = |filter: &str| {
            let lines = lines(Format::Json, EnvFilter::new(filter), io::sink);
            tracing_subscriber::registry().with(lines)
        };
        assert_eq!(subscriber("info").max_level_hint(), Some(LevelFilter::INFO));
        for (filter, heard) in [("info", false), ("info,tidegate::trace=debug", true)] {
            tracing::subscriber::with_default(subscriber(filter), || {
                let span = crate::telemetry::spans::identity();
                assert_eq!(!span.is_disabled(), heard, "{filter}");
                let hashes = UserHashes::new().expect("entropy");
                let mut asked = false;
                ServerSpan(span).user(&hashes, || {
                    asked = true;
                    SubjectKey::new("issuer", "alice")
                });
                assert_eq!(asked, heard, "a user is hashed only for those who listen");
            });
        }
    }

    #[test]
    fn a_span_is_told_when_it_ends_with_the_spans_around_it() {
        let text = heard(Format::Json, "info,tidegate::trace=debug", || {
            let context = TraceContext { trace_id: [1; 16], span_id: [2; 8], flags: 1 };
            let place = Place { context, parent: Some([3; 8]) };
            let (method, uri) = (Method::GET, Uri::from_static("/a/b?secret=1"));
            let mut headers = HeaderMap::new();
            headers.insert("host", HeaderValue::from_static("notes.localhost:8080"));
            let span = ServerSpan::begin(&place, "d-1", (&method, &uri, &headers));
            span.0.in_scope(|| {
                let step = spans::policy();
                spans::failed(&step, ProblemCode::PolicyDenied);
            });
            span.end(&method, Some("/a/*"), 403, Some(ProblemCode::PolicyDenied));
        });
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let [step, server] = lines.as_slice() else { panic!("{text}") };
        let (outer, inner) = (&server["span"], &step["span"]);
        assert_eq!(
            (&inner["name"], &inner["error.type"]),
            (&"tidegate.policy".into(), &"policy-denied".into())
        );
        assert_eq!(step["spans"][0]["trace_id"], "01".repeat(16));
        for (field, value) in [
            ("otel.name", "GET /a/*"),
            ("otel.kind", "server"),
            ("span_id", "0202020202020202"),
            ("parent_span_id", "0303030303030303"),
            ("http.request.method", "GET"),
            ("http.route", "/a/*"),
            ("url.path", "/a/b"),
            ("server.address", "notes.localhost"),
            ("error.type", "policy-denied"),
        ] {
            assert_eq!(outer[field], value, "{field}: {text}");
        }
        assert_eq!(outer["http.response.status_code"], 403);
        assert!(!text.contains("secret"), "{text}");
    }

    /// What is written while `work` runs.
    fn heard(format: Format, filter: &str, work: impl FnOnce()) -> String {
        let written = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&written);
        let to = move || Shared(std::sync::Arc::clone(&sink));
        let lines = lines(format, EnvFilter::new(filter), to);
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), work);
        let bytes = written.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    struct Shared(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panic").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}
