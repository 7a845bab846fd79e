//! Patterns of roles, actions and kinds: a plain name, or a glob whose separator is `:`.

use std::iter::Peekable;
use std::str::Chars;

use regex::Regex;

/// As in the PDP, `*` alone matches everything.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Any,
    Exact(Box<str>),
    Glob { text: Box<str>, regex: Regex },
}

const MAX_DEPTH: usize = 8;

impl Pattern {
    /// Only a text that contains `*` is a glob.
    ///
    /// # Errors
    /// It is a glob that cannot be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.contains('*') { Self::glob(text) } else { Ok(Self::Exact(text.into())) }
    }

    /// # Errors
    /// It is a glob that cannot be read.
    pub fn glob(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if !text.contains(['*', '?', '[', ']', '{', '}', '\\']) {
            return Ok(Self::Exact(text.into()));
        }
        let unreadable = |why: &str| format!("the glob '{text}' cannot be read: {why}");
        let mut regex = String::from(r"(?s)\A");
        let mut rest = text.chars().peekable();
        translate(&mut rest, &mut regex, 0).map_err(unreadable)?;
        regex.push_str(r"\z");
        let regex = Regex::new(&regex).map_err(|error| unreadable(&error.to_string()))?;
        Ok(Self::Glob { text: text.into(), regex })
    }

    /// The name, where it is a plain one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Any | Self::Glob { .. } => None,
        }
    }

    pub fn text(&self) -> &str {
        match self {
            Self::Any => "*",
            Self::Exact(text) | Self::Glob { text, .. } => text,
        }
    }

    #[inline]
    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *value,
            Self::Glob { regex, .. } => regex.is_match(value),
        }
    }
}

/// Up to the end, or inside of braces up to the brace or comma that ends this alternative.
fn translate(
    rest: &mut Peekable<Chars<'_>>,
    regex: &mut String,
    depth: usize,
) -> Result<(), &'static str> {
    if depth > MAX_DEPTH {
        return Err("too many braces in each other");
    }
    while let Some(character) = rest.peek().copied() {
        if depth > 0 && matches!(character, ',' | '}') {
            return Ok(());
        }
        rest.next();
        match character {
            '*' if rest.next_if_eq(&'*').is_some() => regex.push_str(".*"),
            '*' => regex.push_str("[^:]*"),
            '?' => regex.push_str("[^:]"),
            '\\' => literal(rest.next().ok_or("it ends with a backslash")?, regex),
            '[' => set(rest, regex)?,
            '{' => alternatives(rest, regex, depth)?,
            ']' | '}' => return Err("a bracket closes that was not opened"),
            other => literal(other, regex),
        }
    }
    if depth > 0 { Err("a brace is not closed") } else { Ok(()) }
}

fn alternatives(
    rest: &mut Peekable<Chars<'_>>,
    regex: &mut String,
    depth: usize,
) -> Result<(), &'static str> {
    regex.push_str("(?:");
    loop {
        translate(rest, regex, depth + 1)?;
        match rest.next() {
            Some(',') => regex.push('|'),
            Some('}') => break,
            _ => return Err("a brace is not closed"),
        }
    }
    regex.push(')');
    Ok(())
}

/// `[abc]`, `[a-z]`, and with `!` in front what is not among them.
fn set(rest: &mut Peekable<Chars<'_>>, regex: &mut String) -> Result<(), &'static str> {
    regex.push_str(if rest.next_if_eq(&'!').is_some() { "[^" } else { "[" });
    let mut members = Vec::new();
    loop {
        match rest.next().ok_or("a bracket is not closed")? {
            ']' => break,
            '\\' => members.push((rest.next().ok_or("it ends with a backslash")?, true)),
            '[' | '!' | '{' | '}' => return Err("an unusual character in brackets"),
            other => members.push((other, false)),
        }
    }
    match members.as_slice() {
        [] => return Err("empty brackets"),
        [(low, _), ('-', false), (high, _)] if low <= high => {
            member(*low, regex);
            regex.push('-');
            member(*high, regex);
        }
        list if list.contains(&('-', false)) => return Err("a range among other characters"),
        list => list.iter().for_each(|(character, _)| member(*character, regex)),
    }
    regex.push(']');
    Ok(())
}

fn literal(character: char, regex: &mut String) {
    regex.push_str(&regex::escape(character.encode_utf8(&mut [0; 4])));
}

fn member(character: char, regex: &mut String) {
    if character.is_ascii_punctuation() {
        regex.push('\\');
    }
    regex.push(character);
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn matches(pattern: &str, value: &str) -> bool {
        Pattern::parse(pattern).unwrap().matches(value)
    }

    #[test]
    fn a_star_stops_at_the_separator_and_two_do_not() {
        assert!(matches("view:*", "view:public"));
        assert!(!matches("view:*", "view:public:all"));
        assert!(!matches("view:*", "view"));
        assert!(matches("view:**", "view:public:all"));
        assert!(matches("*:public", "view:public"));
        assert!(matches("a*c", "abbc"));
        assert!(!matches("a*c", "ab:c"));
    }

    #[test]
    fn a_lone_star_matches_everything() {
        assert!(matches("*", "view:public:all"));
        assert!(matches("*", ""));
    }

    #[test]
    fn a_name_without_a_star_is_no_glob_and_regex_characters_are_plain() {
        assert!(matches("what?", "what?"));
        assert!(!matches("what?", "whats"));
        assert!(matches("a.b*", "a.bc"));
        assert!(!matches("a.b*", "axbc"));
    }

    #[test]
    fn braces_brackets_and_question_marks_are_read() {
        assert!(matches("{view,edit}:*", "edit:all"));
        assert!(!matches("{view,edit}:*", "drop:all"));
        assert!(matches("[a-c]?*", "bx"));
        assert!(!matches("[!a-c]*", "bx"));
        assert!(!matches("*?", ":"));
        assert!(matches(r"a\**", "a*b"));
        assert!(matches("[.^]*", "^x"));
        assert!(Pattern::glob("wh?t").unwrap().matches("what"));
        for bad in ["*[", "*{a", "*a}", "*[]", "*\\", "*[a-cx]"] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }
}
