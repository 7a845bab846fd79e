//! Names as the PDP writes and files them.

use std::borrow::Cow;

pub(super) const DEFAULT_VERSION: &str = "default";
pub(super) const NO_MATCH: &str = "NO_MATCH";

/// `resource.tool.vdefault/acme`
pub(super) fn policy_key(kind: &str, name: &str, version: &str, scope: &str) -> String {
    let (name, version) = (sanitised(name), sanitised(version));
    if scope.is_empty() {
        format!("{kind}.{name}.v{version}")
    } else {
        format!("{kind}.{name}.v{version}/{scope}")
    }
}

pub(super) fn no_match() -> &'static std::sync::Arc<str> {
    static IT: std::sync::LazyLock<std::sync::Arc<str>> =
        std::sync::LazyLock::new(|| NO_MATCH.into());
    &IT
}

/// The name under which the PDP files a kind: in names of the old form each run of characters that
/// are not part of a word becomes one `_`.
pub(super) fn sanitised(name: &str) -> Cow<'_, str> {
    if name.chars().all(is_plain) || !is_old_form(name) {
        return Cow::Borrowed(name);
    }
    let mut clean = String::with_capacity(name.len());
    let mut in_run = false;
    for character in name.chars() {
        if is_plain(character) {
            clean.push(character);
        } else if !in_run {
            clean.push('_');
        }
        in_run = !is_plain(character);
    }
    Cow::Owned(clean)
}

fn is_plain(character: char) -> bool {
    is_word(character) || character == '.'
}

pub(super) fn is_word(character: char) -> bool {
    character.is_ascii_alphanumeric() || character == '_'
}

fn is_old_form(name: &str) -> bool {
    name.split(':').all(|part| {
        part.starts_with(|first: char| first.is_ascii_alphabetic())
            && part.chars().all(|c| is_word(c) || matches!(c, '@' | '.' | '-' | '/'))
    })
}

/// `a.b.c` -> `a.b`, `a`, and the root.
pub(super) fn parents(scope: &str) -> impl Iterator<Item = &str> {
    let mut rest = (!scope.is_empty()).then_some(scope);
    std::iter::from_fn(move || {
        let parent = rest?.rsplit_once('.').map_or("", |(parent, _)| parent);
        rest = (!parent.is_empty()).then_some(parent);
        Some(parent)
    })
}

/// As in requests and policies: empty, `.`, or names with dots between.
pub(super) fn is_scope(scope: &str) -> bool {
    if matches!(scope, "" | ".") {
        return true;
    }
    scope.split('.').enumerate().all(|(index, part)| {
        part.starts_with(|c: char| if index == 0 { c.is_ascii_alphanumeric() } else { is_word(c) })
            && part.chars().all(|c| is_word(c) || c == '-')
    })
}

pub(super) fn is_version(version: &str) -> bool {
    version.chars().all(is_word)
}

/// Names of derived roles, exported variables and constants.
pub(super) fn is_module_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
}

pub(super) fn is_rule_name(name: &str) -> bool {
    name.is_empty()
        || (name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| is_word(c) || matches!(c, '@' | '.' | '-')))
}

/// What a policy may be for: a literal name.
pub(super) fn is_subject(name: &str) -> bool {
    !name.is_empty() && !name.contains(['!', '*', '?', '[', ']', '{', '}'])
}

/// Names of variables and constants.
pub(super) fn is_identifier(name: &str) -> bool {
    const RESERVED: [&str; 22] = [
        "as",
        "break",
        "const",
        "continue",
        "else",
        "false",
        "for",
        "function",
        "if",
        "import",
        "in",
        "let",
        "loop",
        "namespace",
        "null",
        "package",
        "return",
        "true",
        "var",
        "void",
        "while",
        "__",
    ];
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(is_word)
        && !RESERVED.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_old_form_are_sanitised_and_others_kept() {
        assert_eq!(sanitised("album:photo"), "album_photo");
        assert_eq!(sanitised("a--b@c"), "a_b_c");
        assert_eq!(sanitised("arn:aws:sns:us-east-1:123"), "arn:aws:sns:us-east-1:123");
        assert_eq!(sanitised("view:*"), "view:*");
        assert_eq!(policy_key("resource", "a:b", "default", "x.y"), "resource.a_b.vdefault/x.y");
    }

    #[test]
    fn the_parents_of_a_scope_end_with_the_root() {
        assert_eq!(parents("a.b.c").collect::<Vec<_>>(), ["a.b", "a", ""]);
        assert_eq!(parents("a").collect::<Vec<_>>(), [""]);
        assert_eq!(parents("").count(), 0);
    }

    #[test]
    fn scopes_are_names_with_dots_between() {
        for good in ["", ".", "acme", "acme.hr_1.uk-x", "0a._b"] {
            assert!(is_scope(good), "{good}");
        }
        for bad in ["_a", "a..b", "a.", ".a", "a.-b", "a b", "é"] {
            assert!(!is_scope(bad), "{bad}");
        }
    }
}
