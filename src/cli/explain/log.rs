//! Finds one decision in decision logs: line by line, with a bound for each line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Failed;

/// A longer line is no record that Tidegate wrote.
const LINE: u64 = 1 << 20;

/// The event of a decision, from the first log that has it.
///
/// # Errors
/// A log cannot be read.
pub fn find(logs: &[PathBuf], id: &str) -> Result<Option<Value>, Failed> {
    for path in logs {
        let found = in_file(path, id).map_err(|error| {
            Failed::Usage(format!("{}: cannot be read: {error}", path.display()))
        })?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

fn in_file(path: &Path, id: &str) -> io::Result<Option<Value>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reader.by_ref().take(LINE).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(None);
        }
        if !line.ends_with(b"\n") && read as u64 == LINE {
            skip_line(&mut reader)?;
            continue;
        }
        if let Some(event) = event(&line, id) {
            return Ok(Some(event));
        }
    }
}

/// Reads on to the end of a line, whatever its length, without keeping it.
fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let used = end.map_or(buffer.len(), |at| at + 1);
        let over = end.is_some() || buffer.is_empty();
        reader.consume(used);
        if over {
            return Ok(());
        }
    }
}

/// The line as an event about this decision. Lines that are not JSON (a crash cuts the last one) and
/// other events are passed over.
fn event(line: &[u8], id: &str) -> Option<Value> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let found = value.get("data")?.get("decision_id")?.as_str()? == id;
    // A cut names the decision that had let the exchange through.
    let is_cut = value.get("type").is_some_and(|kind| kind == "dev.tidegate.lease.cut.v1");
    (found && !is_cut).then_some(value)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn log(folder: &Path, name: &str, lines: &[String]) -> PathBuf {
        let path = folder.join(name);
        fs::write(&path, lines.join("\n")).unwrap();
        path
    }

    fn line(id: &str) -> String {
        serde_json::json!({ "data": { "decision_id": id, "method": "GET" } }).to_string()
    }

    #[test]
    fn the_cut_of_an_exchange_is_not_taken_for_its_decision() {
        let cut = serde_json::json!({
            "type": "dev.tidegate.lease.cut.v1", "data": { "decision_id": "a-1", "cause": "revoked" },
        });
        let folder = tempfile::tempdir().unwrap();
        let log = log(folder.path(), "log", &[cut.to_string(), line("a-1") + "\n"]);
        let Ok(Some(found)) = find(&[log], "a-1") else { panic!("the decision is there") };
        assert_eq!(found["data"]["method"], "GET");
    }

    #[test]
    fn a_decision_is_found_behind_lines_that_are_none_or_too_long() {
        let folder = tempfile::tempdir().unwrap();
        let huge = "x".repeat(3 << 20);
        let broken = "{\"data\":{\"decision_id\":\"a-1-2\"".to_owned();
        let older = log(folder.path(), "a.jsonl.1", &[line("a-1-1"), broken, huge, line("a-1-3")]);
        let newer = log(folder.path(), "a.jsonl", &[line("a-1-4"), String::new(), line("a-1-5")]);
        let logs = [older, newer];
        for id in ["a-1-1", "a-1-3", "a-1-4", "a-1-5"] {
            let found = find(&logs, id).ok().flatten();
            assert_eq!(found.map(|it| it["data"]["decision_id"].clone()), Some(id.into()), "{id}");
        }
        for id in ["a-1-2", "a-1-6", ""] {
            assert!(find(&logs, id).ok().flatten().is_none(), "{id}");
        }
    }

    #[test]
    fn a_log_that_is_not_there_is_an_error() {
        assert!(matches!(find(&["/nowhere/at/all".into()], "a-1-1"), Err(Failed::Usage(_))));
    }
}
