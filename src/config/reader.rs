//! A checked reader over a YAML tree: it notes every problem with its key path and goes on, so that
//! all problems come at once. A read gives `None` only after noting a problem.

use std::cell::RefCell;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::interpolate::{Env, interpolate};
use super::map::Map;
use super::problems::{Problem, suggestion};
use super::units;
use super::yaml::{Node, Value, is_null};

/// What reading one file needs and gathers.
pub struct Context<'a> {
    file: Arc<str>,
    /// Relative paths in the file start here.
    folder: &'a Path,
    /// `None`: `${NAME}` is ordinary text.
    env: Option<Env<'a>>,
    places: Places,
    problems: RefCell<Vec<Problem>>,
    warnings: RefCell<Vec<String>>,
}

/// How the place of a problem is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Places {
    /// `tools[0].rules`, for people.
    KeyPaths,
    /// `/tools/0/rules` (RFC 6901), for programs.
    Pointers,
}

impl<'a> Context<'a> {
    pub fn new(file: &'a Path, env: Option<Env<'a>>) -> Self {
        Self {
            file: file.display().to_string().into(),
            folder: file.parent().unwrap_or(Path::new("")),
            env,
            places: Places::KeyPaths,
            problems: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// For a JSON body: problems have JSON pointers.
    pub fn of_body() -> Context<'static> {
        Context { places: Places::Pointers, ..Context::new(Path::new(""), None) }
    }

    pub fn below(&self, path: &str, key: &str) -> String {
        let key = key.chars().take(64);
        let visible = || key.clone().flat_map(char::escape_debug).collect::<String>();
        match self.places {
            Places::Pointers => {
                let key: String = key.collect();
                format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"))
            }
            Places::KeyPaths if path.is_empty() => visible(),
            Places::KeyPaths => format!("{path}.{}", visible()),
        }
    }

    fn entry(&self, path: &str, index: usize) -> String {
        match self.places {
            Places::Pointers => format!("{path}/{index}"),
            Places::KeyPaths => format!("{path}[{index}]"),
        }
    }

    pub fn problem(
        &self,
        path: &str,
        line: Option<usize>,
        found: impl Into<String>,
        expected: impl Into<String>,
    ) {
        self.problems.borrow_mut().push(Problem {
            file: self.file.clone(),
            path: path.to_owned(),
            line,
            found: found.into(),
            expected: expected.into(),
        });
    }

    pub fn warn(&self, path: &str, text: &str) {
        self.warnings.borrow_mut().push(format!("{}: {path}: {text}", self.file));
    }

    /// Takes over the problems of another file that this one names.
    pub fn adopt(&self, problems: Vec<Problem>) {
        self.problems.borrow_mut().extend(problems);
    }

    /// In file order.
    pub fn finish(self) -> (Vec<Problem>, Vec<String>) {
        let mut problems = self.problems.into_inner();
        problems.sort_by_key(|problem| problem.line);
        (problems, self.warnings.into_inner())
    }
}

/// One value of the file and where it stands.
pub struct At<'a> {
    pub context: &'a Context<'a>,
    pub path: String,
    pub(super) node: &'a Node,
}

impl<'a> At<'a> {
    pub fn root(context: &'a Context<'a>, node: &'a Node) -> Self {
        Self { context, path: String::new(), node }
    }

    /// Notes a problem with this value.
    pub fn refuse<T>(&self, expected: impl Into<String>) -> Option<T> {
        self.refuse_as(shown(self.node), expected)
    }

    /// Notes a problem and says in own words what was found.
    pub fn refuse_as<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        self.context.problem(&self.path, Some(self.node.line), found, expected);
        None
    }

    pub fn warn(&self, text: &str) {
        self.context.warn(&self.path, text);
    }

    /// How the file writes an entry of this list, when that is one scalar.
    pub fn entry_as_written(&self, index: usize) -> Option<String> {
        let Value::List(items) = &self.node.value else { return None };
        let entry = items.get(index)?;
        matches!(entry.value, Value::Scalar { .. }).then(|| shown(entry))
    }

    /// One item of a list.
    pub fn item(&self, index: usize) -> Option<At<'a>> {
        let Value::List(items) = &self.node.value else { return None };
        let path = self.context.entry(&self.path, index);
        items.get(index).map(|node| At { context: self.context, path, node })
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node.value, Value::List(_))
    }

    pub fn is_map(&self) -> bool {
        matches!(self.node.value, Value::Map(_))
    }

    pub fn map(&self, expected: &str) -> Option<Map<'a>> {
        match &self.node.value {
            Value::Map(entries) => {
                Some(Map::new(self.context, self.path.clone(), self.node.line, entries))
            }
            Value::Scalar { .. } | Value::List(_) => self.refuse(expected),
        }
    }

    /// Every item is read, also after one that is wrong.
    pub fn list<T>(&self, expected: &str, read: impl Fn(&At<'a>) -> Option<T>) -> Option<Vec<T>> {
        let Value::List(items) = &self.node.value else { return self.refuse(expected) };
        let item = |(index, node)| {
            let path = self.context.entry(&self.path, index);
            read(&At { context: self.context, path, node })
        };
        let read: Vec<Option<T>> = items.iter().enumerate().map(item).collect();
        read.into_iter().collect()
    }

    pub fn filled<T>(&self, expected: &str, read: impl Fn(&At<'a>) -> Option<T>) -> Option<Vec<T>> {
        let items = self.list(expected, read)?;
        if items.is_empty() { self.refuse(expected) } else { Some(items) }
    }

    /// The scalar with its references replaced, and whether it can only be text.
    fn scalar(&self, expected: &str) -> Option<(String, bool)> {
        let Value::Scalar { text, plain } = &self.node.value else { return self.refuse(expected) };
        let Some(env) = self.context.env else { return Some((text.clone(), !plain)) };
        match interpolate(text, env) {
            Ok((text, replaced)) => Some((text, !plain || replaced)),
            Err(why) => self.refuse_as(why, expected),
        }
    }

    /// Text that is not empty.
    pub fn text(&self, expected: &str) -> Option<String> {
        match self.scalar(expected)? {
            (text, _) if text.is_empty() => self.refuse(expected),
            (text, false) if kind_of_plain(&text).is_some() => self.refuse(expected),
            (text, _) => Some(text),
        }
    }

    /// One scalar as JSON: a truth value, a number or nothing only where it is written plainly.
    pub fn json_scalar(&self) -> Option<serde_json::Value> {
        use serde_json::Value as Json;
        let expected = "a text, a finite number, a truth value or null";
        let (text, is_text) = self.scalar(expected)?;
        if is_text {
            return Some(Json::String(text));
        }
        match kind_of_plain(&text) {
            None => Some(Json::String(text)),
            Some(_) if is_null(&text) => Some(Json::Null),
            Some(_) => match text.to_ascii_lowercase().as_str() {
                "true" => Some(Json::Bool(true)),
                "false" => Some(Json::Bool(false)),
                // JSON has fewer spellings of numbers than YAML: others are refused, not guessed.
                _ => serde_json::from_str::<serde_json::Number>(&text)
                    .map_or_else(|_| self.refuse(expected), |number| Some(Json::Number(number))),
            },
        }
    }

    /// Reads the text with `parse`; the problem is the one that `expected` describes.
    pub fn parse<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let (text, _) = self.scalar(expected)?;
        parse(&text).map_or_else(|| self.refuse(expected), Some)
    }

    pub fn flag(&self) -> Option<bool> {
        self.parse("true or false", |text| match text {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        })
    }

    pub fn count(&self, range: &RangeInclusive<u64>) -> Option<u64> {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parse(&expected, |text| units::count(text).filter(|n| range.contains(n)))
    }

    pub fn duration(&self, range: &RangeInclusive<Duration>) -> Option<Duration> {
        let (least, most) = (units::show(*range.start()), units::show(*range.end()));
        let expected =
            format!("a duration from {least} to {most}, like 250ms, 10s, 30m, 1h or 90d");
        self.parse(&expected, |text| units::duration(text).filter(|span| range.contains(span)))
    }

    pub fn one_of<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let words: Vec<&str> = choices.iter().map(|(word, _)| *word).collect();
        let expected = format!("one of {}", words.join(", "));
        let (text, _) = self.scalar(&expected)?;
        let chosen = choices.iter().find(|(word, _)| *word == text);
        let refuse = || match suggestion(&text, words.iter().copied()) {
            Some(near) => self.refuse(format!("{expected}; did you mean `{near}`?")),
            None => self.refuse(expected),
        };
        chosen.map_or_else(refuse, |(_, value)| Some(*value))
    }

    /// A path; a relative one starts at the file's folder.
    pub fn path(&self, expected: &str) -> Option<PathBuf> {
        self.text(expected).map(|text| self.context.folder.join(text))
    }

    /// Text that is not empty, without noting a problem: for values that no message may show.
    ///
    /// # Errors
    /// What was found instead, without the value.
    pub fn quiet_text(&self) -> Result<String, String> {
        let text = match &self.node.value {
            Value::Scalar { text, plain: true } if is_null(text) => {
                return Err("nothing".to_owned());
            }
            Value::Scalar { text, .. } => text,
            Value::List(_) => return Err("a list".to_owned()),
            Value::Map(_) => return Err("a mapping".to_owned()),
        };
        let text = match self.context.env {
            Some(env) => interpolate(text, env)?.0,
            None => text.clone(),
        };
        if text.is_empty() { Err("nothing".to_owned()) } else { Ok(text) }
    }

    /// As [`Self::path`], like [`Self::quiet_text`].
    ///
    /// # Errors
    /// What was found instead, without the value.
    pub fn quiet_path(&self) -> Result<PathBuf, String> {
        self.quiet_text().map(|text| self.context.folder.join(text))
    }

    pub fn directory(&self) -> Option<PathBuf> {
        let expected = "an existing directory";
        let path = self.path(expected)?;
        if path.is_dir() { Some(path) } else { self.refuse(expected) }
    }
}

/// What a message says was found: the text as the file has it (references unreplaced), cut, without
/// control characters, and nothing of an address that carries a password.
fn shown(node: &Node) -> String {
    match &node.value {
        Value::List(items) if items.is_empty() => "an empty list".to_owned(),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
        Value::Scalar { text, plain: true } if is_null(text) => "nothing".to_owned(),
        Value::Scalar { text, .. } if text.contains("://") && text.contains('@') => {
            "an address with credentials (not shown)".to_owned()
        }
        Value::Scalar { text, plain } => {
            let cut: String = text.chars().take(80).collect();
            let kind = if *plain { kind_of_plain(text) } else { None };
            kind.map_or_else(|| format!("{cut:?}"), |kind| format!("{kind} {cut}"))
        }
    }
}

/// What a plain scalar is in the core schema, when it is not text.
fn kind_of_plain(text: &str) -> Option<&'static str> {
    match text {
        "true" | "false" | "True" | "False" | "TRUE" | "FALSE" => Some("the truth value"),
        _ if is_null(text) => Some("nothing"),
        _ if text.starts_with(|c: char| c.is_ascii_digit() || "+-.".contains(c))
            && text.parse::<f64>().is_ok() =>
        {
            Some("the number")
        }
        _ => None,
    }
}
