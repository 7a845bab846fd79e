//! What is printed. Text from the API was written by other people: whatever could steer a terminal
//! is shown as an escape.

use std::fmt::Write;

use serde_json::Value;

use super::client::Failed;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    Text,
    Json,
}

/// An answer in both forms.
pub struct Output {
    pub json: Value,
    /// Lines; not yet made [`visible`].
    pub text: Vec<String>,
}

pub fn print(format: Format, done: &Result<Output, Failed>) {
    match (done, format) {
        (Ok(output), Format::Json) => println!("{}", json(&output.json)),
        (Ok(output), Format::Text) => {
            output.text.iter().for_each(|line| println!("{}", visible(line)));
        }
        (Err(Failed::Refused { problem: Some(problem), .. }), Format::Json) => {
            println!("{}", json(problem));
        }
        (Err(failed), Format::Json | Format::Text) => {
            for line in failure(failed) {
                eprintln!("{}", visible(&line));
            }
        }
    }
}

/// The lines that tell what went wrong.
pub fn failure(failed: &Failed) -> Vec<String> {
    match failed {
        Failed::Unreachable(why) => vec![format!("tidegate: the API cannot be reached: {why}")],
        Failed::Usage(why) => vec![format!("tidegate: {why}")],
        Failed::Refused { status, problem: None } => vec![format!("tidegate: refused: {status}")],
        Failed::Refused { status, problem: Some(problem) } => refusal(status.as_u16(), problem),
    }
}

fn refusal(status: u16, problem: &Value) -> Vec<String> {
    let kind = word(problem, "type");
    let code = kind.strip_prefix("urn:tidegate:problem:").unwrap_or(&kind);
    let mut lines = vec![format!("tidegate: refused: {status} {code}: {}", word(problem, "title"))];
    let detail = word(problem, "detail");
    if !detail.is_empty() {
        lines.push(format!("  {detail}"));
    }
    for error in problem.get("errors").and_then(Value::as_array).into_iter().flatten() {
        lines.push(format!("  {}: {}", word(error, "pointer"), word(error, "detail")));
    }
    let decision = word(problem, "decision_id");
    if !decision.is_empty() {
        lines.push(format!("  decision {decision}"));
    }
    lines
}

/// A member as text: nothing when it is absent, `a, b` for a list.
pub fn word(object: &Value, key: &str) -> String {
    object.get(key).map(plain).unwrap_or_default()
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(members) => members.get("id").map(plain).unwrap_or_default(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

/// Rows under a head, in columns that are as wide as their widest cell.
pub fn table<const N: usize>(head: [&str; N], items: &[Value], keys: [&str; N]) -> Vec<String> {
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(items.iter().map(|item| keys.map(|key| visible(&word(item, key)))));
    let widths: Vec<usize> = (0..N)
        .map(|at| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max())
        .map(Option::unwrap_or_default)
        .collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// The text with everything that could move a cursor, change colours, begin a line or turn the
/// direction of writing shown as `\u{...}`.
#[must_use]
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if steers(character) {
            out.extend(character.escape_unicode());
        } else {
            out.push(character);
        }
    }
    out
}

/// Indented JSON. Its own line breaks stay; a steering character can only stand inside a string,
/// where `\uXXXX` means the same.
pub fn json(value: &Value) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if character != '\n' && steers(character) {
            let mut units = [0; 2];
            for unit in character.encode_utf16(&mut units) {
                // Writing to a text does not fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(character);
        }
    }
    out
}

/// Control characters (C0, DEL, C1), line and paragraph separators, marks and overrides of
/// direction, and characters without width (Unicode, sections 23.2 and 23.9).
const fn steers(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{ad}'
            | '\u{61c}'
            | '\u{180e}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}'
    )
}
