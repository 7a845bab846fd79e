//! What a grant gives: a role on a tool, and how an approver may narrow it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `tool:role`. Both parts are 1 to 64 characters of `a-z A-Z 0-9 . _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    pub tool: Arc<str>,
    pub role: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected TOOL:ROLE, each 1 to 64 characters of a-z A-Z 0-9 . _ -, found {0:?}")]
pub struct InvalidAccess(pub String);

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.tool, self.role)
    }
}

impl FromStr for Access {
    type Err = InvalidAccess;

    fn from_str(text: &str) -> Result<Self, InvalidAccess> {
        match text.split_once(':') {
            Some((tool, role)) if is_name(tool) && is_name(role) => {
                Ok(Self { tool: tool.into(), role: role.into() })
            }
            Some(_) | None => Err(InvalidAccess(text.chars().take(160).collect())),
        }
    }
}

/// Whether `text` may name a tool, a role or a template.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(allowed)
}

impl Serialize for Access {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Access {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// One approver's narrowing. An empty list does not narrow; a request must match both lists.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Narrowing {
    /// HTTP methods, upper case.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Arc<str>>,
    /// Path patterns in the syntax of tool rules, matched against the same path as the rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathPattern>,
}

impl Narrowing {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.methods.is_empty() && self.paths.is_empty()
    }

    #[must_use]
    pub fn covers(&self, method: &str, path: &str) -> bool {
        let method_fits = self.methods.is_empty() || self.methods.iter().any(|m| **m == *method);
        let path_fits = self.paths.is_empty() || self.paths.iter().any(|p| p.matches(path));
        method_fits && path_fits
    }
}

/// A path pattern: `*` matches one segment, `**` (last only) any rest, `{name}` captures one
/// segment. Matching is segment-wise and byte-exact. `**` also matches no rest at all: `/**` matches
/// `/`, and `/admin/**` matches `/admin`, so that a rule for an area covers its root.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a path pattern like /docs/{{doc}}/** , found {found:?}: {why}")]
pub struct InvalidPattern {
    pub found: String,
    pub why: &'static str,
}

impl PathPattern {
    /// # Errors
    /// No leading slash, an empty segment, `**` before the end, an unnamed or repeated capture,
    /// a segment that mixes text with `*` or braces, or more than 1024 bytes.
    pub fn new(text: &str) -> Result<Self, InvalidPattern> {
        match check_pattern(text) {
            Ok(()) => Ok(Self { text: text.into() }),
            Err(why) => Err(InvalidPattern { found: text.chars().take(160).collect(), why }),
        }
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same text, shared.
    #[must_use]
    pub fn shared(&self) -> Arc<str> {
        Arc::clone(&self.text)
    }

    /// The same over a text of its own.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { text: Arc::from(&*self.text) }
    }

    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.capture(path, |_, _| ())
    }

    /// Matches and calls `found(name, segment)` for every capture met on the way, also when the
    /// match fails later. Allocates nothing.
    pub fn capture<'a>(&'a self, path: &'a str, found: impl FnMut(&'a str, &'a str)) -> bool {
        pattern_captures(&self.text, path, found)
    }

    /// The names this pattern captures, in order.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.text.split('/').filter_map(capture_name)
    }
}

impl TryFrom<String> for PathPattern {
    type Error = InvalidPattern;
    fn try_from(text: String) -> Result<Self, InvalidPattern> {
        Self::new(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text.as_ref().to_owned()
    }
}

/// [`PathPattern::capture`] for the text of a pattern that was checked when it was made (a record
/// keeps the text only).
pub fn pattern_captures<'a>(
    pattern: &'a str,
    path: &'a str,
    mut found: impl FnMut(&'a str, &'a str),
) -> bool {
    let (Some(pattern), Some(path)) = (pattern.strip_prefix('/'), path.strip_prefix('/')) else {
        return false;
    };
    let (mut pattern, mut path) = (Some(pattern), Some(path));
    while let Some(parts) = pattern {
        let (part, other_parts) = first_segment(parts);
        pattern = other_parts;
        if part == "**" {
            return true;
        }
        let Some(segments) = path else { return false };
        let (segment, other_segments) = first_segment(segments);
        path = other_segments;
        match capture_name(part) {
            Some(_) if segment.is_empty() => return false,
            Some(name) => found(name, segment),
            None if part == "*" && !segment.is_empty() => (),
            None if part == segment => (),
            None => return false,
        }
    }
    path.is_none()
}

/// Up to the first slash, and what follows that. Segments are short, so byte by byte is the fastest way.
#[must_use]
pub fn first_segment(path: &str) -> (&str, Option<&str>) {
    let slash = path.bytes().position(|byte| byte == b'/');
    let parts = slash.and_then(|at| Some((path.get(..at)?, path.get(at + 1..)?)));
    parts.map_or((path, None), |(segment, rest)| (segment, Some(rest)))
}

fn capture_name(part: &str) -> Option<&str> {
    part.strip_prefix('{')?.strip_suffix('}')
}

fn check_pattern(text: &str) -> Result<(), &'static str> {
    let Some(rest) = text.strip_prefix('/') else { return Err("it must begin with /") };
    if text.len() > 1024 {
        return Err("it is longer than 1024 bytes");
    }
    let mut names: Vec<&str> = Vec::new();
    let mut parts = rest.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        if part.is_empty() && !last {
            return Err("it has an empty segment");
        }
        check_segment(part, last)?;
        if let Some(name) = capture_name(part) {
            if names.contains(&name) {
                return Err("it captures the same name twice");
            }
            names.push(name);
        }
    }
    Ok(())
}

fn check_segment(part: &str, last: bool) -> Result<(), &'static str> {
    if part == "**" {
        return if last { Ok(()) } else { Err("** may only stand at the end") };
    }
    if part == "*" {
        return Ok(());
    }
    if let Some(name) = capture_name(part) {
        return if is_name(name) { Ok(()) } else { Err("a capture needs a name like {doc}") };
    }
    if part == "." || part == ".." {
        return Err("it has a dot segment, which no accepted path has");
    }
    if part.contains(['*', '{', '}', '?', '#', '\\']) || !part.bytes().all(|b| b.is_ascii_graphic())
    {
        return Err("a segment is either text, *, ** or {name}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::new(pattern).is_ok_and(|pattern| pattern.matches(path))
    }

    #[test]
    fn a_pattern_matches_whole_segments_only() {
        assert!(matches("/admin", "/admin"));
        assert!(!matches("/admin", "/administrator"));
        assert!(!matches("/admin", "/Admin"));
        assert!(!matches("/admin", "/admin/"));
        assert!(!matches("/admin/", "/admin"));
        assert!(matches("/a/*/c", "/a/b/c"));
        assert!(!matches("/a/*/c", "/a//c"));
        assert!(!matches("/a/*", "/a/b/c"));
    }

    #[test]
    fn a_double_star_matches_any_rest_and_the_root() {
        for path in ["/", "/a", "/a/b/", "/a//b"] {
            assert!(matches("/**", path), "{path}");
        }
        assert!(matches("/docs/**", "/docs/"));
        assert!(matches("/docs/**", "/docs"));
        assert!(!matches("/docs/**", "/docsx/a"));
    }

    #[test]
    fn a_capture_gives_its_segment() {
        let pattern = PathPattern::new("/docs/{doc}/v/{version}").expect("valid");
        let mut found = Vec::new();
        assert!(pattern.capture("/docs/7/v/2", |name, value| found.push((name, value))));
        assert_eq!(found, [("doc", "7"), ("version", "2")]);
        assert!(!pattern.matches("/docs//v/2"));
    }

    #[test]
    fn a_pattern_that_could_surprise_is_refused() {
        for text in
            ["", "a", "//", "/a//b", "/**/a", "/a*", "/{}", "/{a}/{a}", "/..", "/a?b", "/a b"]
        {
            assert!(PathPattern::new(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_access_is_a_tool_and_a_role() {
        assert!("warehouse:operator".parse::<Access>().is_ok());
        for text in ["", "a", ":b", "a:", "a:b:c", "a b:c", "ä:b"] {
            assert!(text.parse::<Access>().is_err(), "{text}");
        }
    }
}
