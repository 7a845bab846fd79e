//! `tidegate policy eval`: a PDP of one process, on stdin and stdout.

use std::io::{self, BufRead, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{PolicyPlace, told, usage};
use crate::cli::Exit;
use crate::policy::embedded::api::{CheckRequest, CheckResponse, Refused};
use crate::policy::embedded::{Attributes, Engine, Options};

/// A request of 50 resources has room in it many times over.
const MAX_LINE: u64 = 16 << 20;
const MAX_GLOBALS: u64 = 1 << 20;
const BUFFER: usize = 1 << 16;

#[derive(Clone, Debug, clap::Args)]
pub struct EvalArgs {
    #[command(flatten)]
    pub place: PolicyPlace,
    /// What conditions read as `globals`: a mapping in YAML or JSON.
    #[arg(long, value_name = "FILE")]
    pub globals: Option<PathBuf>,
}

/// What is printed for one line.
#[derive(Serialize)]
#[serde(untagged)]
enum Answer {
    Response(CheckResponse),
    Refused(Refused),
}

/// # Errors
/// What the process ends with when it cannot begin.
pub(super) fn run(args: &EvalArgs) -> Result<Exit, Exit> {
    let options = match &args.globals {
        Some(file) => Options::default()
            .with_configured_globals(&globals(file).map_err(|why| usage(file, &why))?),
        None => Options::default(),
    };
    let engine = args.place.load(options)?;
    let input = io::BufReader::with_capacity(BUFFER, io::stdin().lock());
    match answer_all(&engine, input, io::stdout().lock()) {
        Ok(()) => Ok(Exit::Done),
        // Whoever reads has heard enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => {
            told(&format!("tidegate: {error}"));
            Err(Exit::Unreachable)
        }
    }
}

/// # Errors
/// Why it cannot be used.
fn globals(file: &Path) -> Result<Attributes, String> {
    let mut text = String::new();
    let opened = std::fs::File::open(file).map_err(|error| error.to_string())?;
    opened.take(MAX_GLOBALS + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > MAX_GLOBALS {
        return Err(format!("is bigger than {MAX_GLOBALS} bytes"));
    }
    serde_saphyr::from_str(&text).map_err(|error| format!("expected a mapping: {error}"))
}

/// Answers every line that is not blank, each before the next one is read: the process on the
/// other side may wait for it.
///
/// # Errors
/// Input or output failed.
fn answer_all(engine: &Engine, mut input: impl BufRead, mut output: impl Write) -> io::Result<()> {
    let (mut line, mut answered) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE + 1).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        let is_whole = line.len() as u64 <= MAX_LINE || line.ends_with(b"\n");
        if is_whole && line.trim_ascii().is_empty() {
            continue;
        }
        let answer = if is_whole {
            answer(engine, &line)
        } else {
            input.skip_until(b'\n')?;
            Answer::Refused(too_long())
        };
        answered.clear();
        serde_json::to_writer(&mut answered, &answer)?;
        answered.push(b'\n');
        output.write_all(&answered)?;
        output.flush()?;
    }
}

fn answer(engine: &Engine, line: &[u8]) -> Answer {
    match CheckRequest::parse(line).and_then(|request| engine.check(&request)) {
        Ok(response) => Answer::Response(response),
        Err(refused) => Answer::Refused(refused),
    }
}

fn too_long() -> Refused {
    Refused { code: 3, message: format!("the line is longer than {MAX_LINE} bytes") }
}
