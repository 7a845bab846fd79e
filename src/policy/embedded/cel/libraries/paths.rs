//! Paths of Unix and Windows in one way, without looking at any disk. What has a backslash is a
//! Windows path.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global, member};
use super::super::types::Type::{self, Bool, String as Text};
use super::super::value::Value;
use super::path_patterns;

pub(super) fn overloads() -> Vec<Overload> {
    let texts = || Type::list(Text);
    vec![
        global("basePath", [Text], Text, |context, args| of_one(context, args, base)),
        global("dirPath", [Text], Text, |context, args| of_one(context, args, directory)),
        global("extPath", [Text], Text, |context, args| of_one(context, args, extension)),
        global("volumeName", [Text], Text, |context, args| of_one(context, args, volume)),
        global("joinPath", [texts()], Text, join),
        global("relPath", [Text, Text], Text, |context, args| {
            let (from, to) = two(context, args)?;
            context.string(relative(from, to)?)
        }),
        global("pathHasPrefix", [Text, Text], Bool, has_prefix),
        member("pathHasPrefix", [Text, Text], Bool, has_prefix),
        global("pathMatch", [Text, Text], Bool, path_match),
        member("pathMatch", [Text, Text], Bool, path_match),
        global("pathMatchAnyOf", [Text, texts()], Bool, path_match_any_of),
        member("pathMatchAnyOf", [Text, texts()], Bool, path_match_any_of),
    ]
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    /// `C:`
    Drive,
    /// `\\host\share`
    Share,
}

/// A path with slashes only and without what `.` and `..` undo: `/C:/a`, `/host/share/a`.
struct Path {
    clean: String,
    kind: Kind,
    is_windows: bool,
    /// Nothing but a drive, or a host and its share.
    is_root: bool,
}

impl Path {
    fn parse(text: &str) -> Result<Self, EvalError> {
        let is_windows = text.contains('\\');
        let slashes = text.replace('\\', "/");
        let (kind, is_root) = if let Some(share) = text.strip_prefix("\\\\") {
            (Kind::Share, share.matches('\\').count() == 1)
        } else if is_drive(text) {
            if !is_windows && text.len() > 2 {
                return Err(EvalError::new("a path below a drive without a backslash"));
            }
            (Kind::Drive, text.len() <= 3)
        } else {
            (Kind::Plain, text == "/")
        };
        let clean = match kind {
            Kind::Drive => clean(&format!("/{slashes}")),
            Kind::Plain | Kind::Share => clean(&slashes),
        };
        Ok(Self { clean, kind, is_windows, is_root })
    }

    /// In the spelling of the path it came from.
    fn spell(&self, value: &str) -> String {
        match self.kind {
            Kind::Share => format!("\\{}", backslashes(value)),
            Kind::Drive => {
                let value = backslashes(value);
                value.strip_prefix('\\').map(str::to_owned).unwrap_or(value)
            }
            Kind::Plain if self.is_windows => backslashes(value),
            Kind::Plain => value.to_owned(),
        }
    }
}

fn is_drive(text: &str) -> bool {
    matches!(text.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic())
}

fn backslashes(text: &str) -> String {
    text.replace('/', "\\")
}

/// Without empty parts, `.`, and what `..` undoes; never empty.
fn clean(path: &str) -> String {
    let is_rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(last) if *last != ".." => drop(parts.pop()),
                _ if is_rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    match (is_rooted, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

fn work(context: &mut Context<'_>, text: &str) -> Result<(), EvalError> {
    context.charge(1 + text.len() / 8)
}

fn of_one(
    context: &mut Context<'_>,
    args: &[&Value],
    change: fn(&str) -> Result<String, EvalError>,
) -> Result<Value, EvalError> {
    let [Value::String(text)] = args else { return Err(EvalError::no_such_overload()) };
    work(context, text)?;
    context.string(change(text)?)
}

fn two<'v>(context: &mut Context<'_>, args: &[&'v Value]) -> Result<(&'v str, &'v str), EvalError> {
    let [Value::String(left), Value::String(right)] = args else {
        return Err(EvalError::no_such_overload());
    };
    work(context, left)?;
    work(context, right)?;
    Ok((left, right))
}

fn last_part(clean: &str) -> &str {
    clean.rsplit('/').next().unwrap_or(clean)
}

fn base(text: &str) -> Result<String, EvalError> {
    let path = Path::parse(text)?;
    Ok(if path.clean == "/" { path.clean } else { last_part(&path.clean).to_owned() })
}

fn extension(text: &str) -> Result<String, EvalError> {
    let path = Path::parse(text)?;
    let name = last_part(&path.clean);
    Ok(name.rfind('.').and_then(|at| name.get(at..)).unwrap_or_default().to_owned())
}

fn directory(text: &str) -> Result<String, EvalError> {
    let path = Path::parse(text)?;
    match (path.kind, path.is_root) {
        (Kind::Share, true) => return Ok(path.spell(&path.clean)),
        (Kind::Drive, true) => return Ok(path.spell(&path.clean) + "\\"),
        _ => {}
    }
    if path.kind == Kind::Plain && !path.is_windows {
        let end = path.clean.rfind('/').map_or(0, |at| at + 1);
        return Ok(clean(path.clean.get(..end).unwrap_or_default()));
    }
    match path.clean.rsplit_once('/') {
        Some((before, _)) => Ok(path.spell(before)),
        // The PDP fails in itself here.
        None => Err(EvalError::fatal("a Windows path of one part has no directory")),
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every function of one path")]
fn volume(text: &str) -> Result<String, EvalError> {
    if let Some(share) = text.strip_prefix("\\\\") {
        let mut parts = share.split('\\');
        return Ok(match (parts.next(), parts.next()) {
            (Some(host), Some(name)) if !host.is_empty() && !name.is_empty() => {
                format!("\\\\{host}\\{name}")
            }
            _ => String::new(),
        });
    }
    let volume = if is_drive(text) { text.get(..2).unwrap_or_default() } else { "" };
    Ok(volume.to_owned())
}

fn join(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::List(values)] = args else { return Err(EvalError::no_such_overload()) };
    let parts = texts(context, values)?;
    let (first, others) = match parts.as_slice() {
        [] => return Ok(Value::from("")),
        [only] => return context.string((*only).to_owned()),
        [first, others @ ..] => (Path::parse(first)?, others),
    };
    let mut joined = first.clean.clone();
    for part in others {
        let part = Path::parse(part)?;
        work(context, &joined)?;
        context.produce(joined.len() + part.clean.len())?;
        joined = clean(&format!("{joined}/{}", part.clean));
    }
    context.string(first.spell(&joined))
}

fn texts<'v>(context: &mut Context<'_>, values: &'v [Value]) -> Result<Vec<&'v str>, EvalError> {
    let mut texts = Vec::new();
    for value in values {
        let text = value.as_str().ok_or_else(|| EvalError::new("a path is no string"))?;
        work(context, text)?;
        texts.push(text);
    }
    Ok(texts)
}

/// The way from one path to another.
fn relative(from: &str, to: &str) -> Result<String, EvalError> {
    let (from, to) = (Path::parse(from)?, Path::parse(to)?);
    let way = way(&from.clean, &to.clean)?;
    if matches!(way.as_str(), "." | "..") {
        return Ok(way);
    }
    if to.kind == Kind::Share {
        return Ok(backslashes(&way));
    }
    Ok(to.spell(&way))
}

fn way(from: &str, to: &str) -> Result<String, EvalError> {
    let unknown = || EvalError::new("there is no way between the paths");
    if from.starts_with('/') != to.starts_with('/') {
        return Err(unknown());
    }
    let parts = |path: &'_ str| {
        path.split('/').filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
    };
    let (from, to): (Vec<String>, Vec<String>) = (parts(from), parts(to));
    let common = from.iter().zip(&to).take_while(|(left, right)| left == right).count();
    let up = from.get(common..).unwrap_or_default();
    if up.first().is_some_and(|part| part == "..") {
        return Err(unknown());
    }
    let down = to.get(common..).unwrap_or_default().iter().map(String::as_str);
    let way: Vec<&str> = up.iter().map(|_| "..").chain(down).collect();
    Ok(if way.is_empty() { ".".to_owned() } else { way.join("/") })
}

/// A part below the prefix that begins with a dot is not seen as below it, as in the PDP.
fn has_prefix(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (path, prefix) = two(context, args)?;
    if path == prefix {
        return Ok(Value::Bool(true));
    }
    let way = relative(prefix, path)?;
    Ok(Value::Bool(!way.is_empty() && !way.starts_with(['.', '/'])))
}

fn path_match(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let (path, pattern) = two(context, args)?;
    matched(context, &Path::parse(path)?, pattern).map(Value::Bool)
}

fn path_match_any_of(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [Value::String(path), Value::List(patterns)] = args else {
        return Err(EvalError::no_such_overload());
    };
    work(context, path)?;
    let patterns = texts(context, patterns)?;
    for pattern in patterns {
        if matched(context, &Path::parse(path)?, pattern)? {
            return Ok(Value::Bool(true));
        }
    }
    Ok(Value::Bool(false))
}

fn matched(context: &mut Context<'_>, path: &Path, pattern: &str) -> Result<bool, EvalError> {
    let pattern = Path::parse(pattern)?;
    context.charge(1 + path.clean.len().saturating_mul(pattern.clean.len()) / 16)?;
    path_patterns::matches(&pattern.clean, &path.clean)
        .ok_or_else(|| EvalError::new("the pattern of the path has a syntax error"))
}
