//! Functions of strings: parts, searching, changing, joining. Positions count characters.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global, member};
use super::super::types::Type;
use super::super::types::Type::{Int, String as Text};
use super::super::value::Value;

pub(super) fn overloads() -> Vec<Overload> {
    let texts = || Type::list(Text);
    vec![
        member("charAt", [Text, Int], Text, char_at),
        member("indexOf", [Text, Text], Int, index_of),
        member("indexOf", [Text, Text, Int], Int, index_of),
        member("lastIndexOf", [Text, Text], Int, last_index_of),
        member("lastIndexOf", [Text, Text, Int], Int, last_index_of),
        member("lowerAscii", [Text], Text, |context, args| {
            changed(context, args, str::to_ascii_lowercase)
        }),
        member("upperAscii", [Text], Text, |context, args| {
            changed(context, args, str::to_ascii_uppercase)
        }),
        member("trim", [Text], Text, |context, args| {
            changed(context, args, |text| text.trim().to_owned())
        }),
        member("reverse", [Text], Text, |context, args| {
            changed(context, args, |text| text.chars().rev().collect())
        }),
        global("strings.quote", [Text], Text, |context, args| changed(context, args, quoted)),
        member("replace", [Text, Text, Text], Text, replace),
        member("replace", [Text, Text, Text, Int], Text, replace),
        member("split", [Text, Text], texts(), split),
        member("split", [Text, Text, Int], texts(), split),
        member("substring", [Text, Int], Text, substring),
        member("substring", [Text, Int, Int], Text, substring),
        member("join", [texts()], Text, join),
        member("join", [texts(), Text], Text, join),
    ]
}

fn out_of_range(index: i64) -> EvalError {
    EvalError::new(format!("index out of range: {index}"))
}

/// Accounts for reading a text, character by character.
fn read(context: &mut Context<'_>, text: &str) -> Result<(), EvalError> {
    context.charge(text.len() / 16)
}

fn count(text: &str) -> i64 {
    i64::try_from(text.chars().count()).unwrap_or(i64::MAX)
}

/// The byte offset of a character, or of the end; `None` beyond it.
fn offset(text: &str, index: i64) -> Option<usize> {
    let index = usize::try_from(index).ok()?;
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.into_iter().nth(index)
}

fn char_at(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(text), Value::Int(index)] = args else {
        return Err(EvalError::no_such_overload());
    };
    read(context, text)?;
    let rest = offset(text, *index).and_then(|at| text.get(at..));
    let rest = rest.ok_or_else(|| out_of_range(*index))?;
    Ok(Value::from(rest.chars().next().map(String::from).unwrap_or_default()))
}

fn index_of(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, 0),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, *from),
        _ => return Err(EvalError::no_such_overload()),
    };
    read(context, text)?;
    read(context, part)?;
    if from < 0 {
        return Err(out_of_range(from));
    }
    if part.is_empty() {
        return Ok(Value::Int(from.min(count(text))));
    }
    let found = offset(text, from)
        .and_then(|at| text.get(at..))
        .and_then(|rest| rest.find(&**part).and_then(|at| rest.get(..at)));
    Ok(Value::Int(found.map_or(-1, |before| from + count(before))))
}

fn last_index_of(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, part, from) = match args {
        [Value::String(text), Value::String(part)] => (text, part, None),
        [Value::String(text), Value::String(part), Value::Int(from)] => (text, part, Some(*from)),
        _ => return Err(EvalError::no_such_overload()),
    };
    read(context, text)?;
    read(context, part)?;
    let length = count(text);
    let from = match from {
        Some(from) if from < 0 => return Err(out_of_range(from)),
        Some(from) if part.is_empty() => return Ok(Value::Int(from.min(length))),
        Some(from) if from >= length => return Ok(Value::Int(-1)),
        Some(from) => from,
        None => length,
    };
    // A match that begins there at the latest ends here at the latest.
    let end = offset(text, from).unwrap_or(text.len()).saturating_add(part.len());
    let before = text.get(..text.floor_char_boundary(end)).unwrap_or(text);
    let found = before.rfind(&**part).and_then(|at| text.get(..at));
    Ok(Value::Int(found.map_or(-1, count)))
}

fn changed(
    context: &mut Context<'_>,
    args: &[&Value],
    change: fn(&str) -> String,
) -> Result<Value, EvalError> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    read(context, text)?;
    context.produce(text.len())?;
    let changed = change(text);
    // What quotes add.
    context.produce(changed.len().saturating_sub(text.len()))?;
    Ok(Value::from(changed))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        let escaped = match letter {
            '\u{7}' => "\\a",
            '\u{8}' => "\\b",
            '\u{c}' => "\\f",
            '\n' => "\\n",
            '\r' => "\\r",
            '\t' => "\\t",
            '\u{b}' => "\\v",
            '\\' => "\\\\",
            '"' => "\\\"",
            other => {
                quoted.push(other);
                continue;
            }
        };
        quoted.push_str(escaped);
    }
    quoted.push('"');
    quoted
}

fn replace(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, old, new, most) = match args {
        [Value::String(text), Value::String(old), Value::String(new)] => (text, old, new, -1),
        [Value::String(text), Value::String(old), Value::String(new), Value::Int(most)] => {
            (text, old, new, *most)
        }
        _ => return Err(EvalError::no_such_overload()),
    };
    read(context, text)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    let times = text.matches(&**old).take(most).count();
    context.charge(times)?;
    context.produce(text.len().saturating_add(times.saturating_mul(new.len())))?;
    Ok(Value::from(text.replacen(&**old, new, times)))
}

fn split(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, separator, most) = match args {
        [Value::String(text), Value::String(separator)] => (text, separator, -1),
        [Value::String(text), Value::String(separator), Value::Int(most)] => {
            (text, separator, *most)
        }
        _ => return Err(EvalError::no_such_overload()),
    };
    read(context, text)?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    if most == 0 || (text.is_empty() && separator.is_empty()) {
        return context.list(Vec::new());
    }
    context.produce(text.len())?;
    let parts = text.matches(&**separator).take(most).count();
    context.produce(parts.saturating_mul(2 * size_of::<Value>()))?;
    let values: Vec<Value> = if separator.is_empty() {
        letters(text, most).into_iter().map(Value::from).collect()
    } else {
        text.splitn(most, &**separator).map(Value::from).collect()
    };
    context.list(values)
}

/// Every character by itself; the last of `most` parts holds the rest.
pub(super) fn letters(text: &str, most: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if parts.len() + 1 >= most {
            parts.push(rest);
            break;
        }
        let (part, after) = rest.split_at_checked(letter.len_utf8()).unwrap_or((rest, ""));
        parts.push(part);
        rest = after;
    }
    parts
}

fn substring(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (text, start, end) = match args {
        [Value::String(text), Value::Int(start)] => (text, *start, None),
        [Value::String(text), Value::Int(start), Value::Int(end)] => (text, *start, Some(*end)),
        _ => return Err(EvalError::no_such_overload()),
    };
    read(context, text)?;
    if end.is_some_and(|end| start > end) {
        return Err(EvalError::new("invalid substring range: it ends before it starts"));
    }
    let from = offset(text, start).ok_or_else(|| out_of_range(start))?;
    let to = match end {
        None => text.len(),
        Some(end) => offset(text, end).ok_or_else(|| out_of_range(end))?,
    };
    context.string(text.get(from..to).unwrap_or_default().to_owned())
}

fn join(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (values, separator) = match args {
        [Value::List(values)] => (values, ""),
        [Value::List(values), Value::String(separator)] => (values, &**separator),
        _ => return Err(EvalError::no_such_overload()),
    };
    context.charge(values.len())?;
    let mut joined = String::new();
    for (place, value) in values.iter().enumerate() {
        let Value::String(text) = value else {
            return Err(EvalError::new("join: an element is no string"));
        };
        let separator = if place == 0 { "" } else { separator };
        context.produce(separator.len() + text.len())?;
        joined.push_str(separator);
        joined.push_str(text);
    }
    Ok(Value::from(joined))
}
