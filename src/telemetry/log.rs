//! The program's own log: to standard error, as JSON or as text.
//!
//! Two things keep secrets and forged lines out of it, whatever the filter says. Libraries are
//! heard at `info` and above only: at `debug` and `trace` some of them write headers. And a text
//! line is one line: control characters in it are escaped (JSON does that by itself).

use std::io::{self, Write};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
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
    let lines = match format {
        Format::Json => fmt::layer().json().with_writer(io::stderr).boxed(),
        Format::Text => fmt::layer().with_ansi(false).with_writer(|| OneLine(io::stderr())).boxed(),
    };
    let lines = lines.with_filter(filter).with_filter(filter_fn(may_be_heard));
    Ok(tracing_subscriber::registry().with(lines).try_init()?)
}

fn may_be_heard(metadata: &Metadata<'_>) -> bool {
    let ours = metadata.target() == "tidegate" || metadata.target().starts_with("tidegate::");
    ours || *metadata.level() <= Level::INFO
}

/// Escapes every control character but the line's own end. The formatter writes a whole line at
/// once.
struct OneLine<W>(W);

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
    use super::*;

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
        let heard = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
        let sink = std::sync::Arc::clone(&heard);
        let lines = fmt::layer()
            .with_ansi(false)
            .with_writer(move || Shared(std::sync::Arc::clone(&sink)))
            .with_filter(EnvFilter::new("trace"))
            .with_filter(filter_fn(may_be_heard));
        let subscriber = tracing_subscriber::registry().with(lines);
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "hyper::proto", "authorization: Bearer canary");
            tracing::info!(target: "hyper::server", "library word");
            tracing::debug!(target: "tidegate::gateway", "own word");
            tracing::trace!(target: "tidegatekeeper", "not ours");
        });
        let text = String::from_utf8(heard.lock().expect("no panic").clone()).expect("text");
        assert!(text.contains("library word") && text.contains("own word"), "{text}");
        assert!(!text.contains("canary") && !text.contains("not ours"), "{text}");
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
