//! Role and action patterns: a plain name, or a glob whose separator is `:`.

use regex::Regex;

/// As in the PDP, only a key that contains `*` is a glob, and `*` alone matches everything.
#[derive(Clone, Debug)]
pub(super) enum Pattern {
    Any,
    Exact(Box<str>),
    Glob(Regex),
}

impl Pattern {
    /// # Errors
    /// The pattern mixes `*` with glob syntax beyond `*` and `**`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "*" {
            return Ok(Self::Any);
        }
        if !text.contains('*') {
            return Ok(Self::Exact(text.into()));
        }
        if text.contains(['?', '[', ']', '{', '}', '\\', '!']) {
            return Err(format!("in the glob '{text}' only `*` and `**` are supported"));
        }
        let mut regex = String::from(r"(?s)\A");
        let mut rest = text;
        while let Some(star) = rest.find('*') {
            let (plain, tail) = rest.split_at(star);
            regex.push_str(&regex::escape(plain));
            let after = tail.trim_start_matches('*');
            let stars = tail.len() - after.len();
            regex.push_str(if stars == 1 { "[^:]*" } else { ".*" });
            rest = after;
        }
        regex.push_str(&regex::escape(rest));
        regex.push_str(r"\z");
        Regex::new(&regex).map(Self::Glob).map_err(|error| format!("glob '{text}': {error}"))
    }

    /// The name, where it is a plain one.
    pub fn name(&self) -> Option<&str> {
        match self {
            Self::Exact(name) => Some(name),
            Self::Any | Self::Glob(_) => None,
        }
    }

    pub fn matches(&self, value: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exact(name) => **name == *value,
            Self::Glob(regex) => regex.is_match(value),
        }
    }
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
        assert!(Pattern::parse("{a,b}*").is_err());
    }
}
