//! What a parser says of a source that is no CEL, in plain words.

/// What it says begins with this, wherever it is about what stands in the source.
pub(super) const PREFIX: &str = "Syntax error: ";

/// "found ..., expected ..."
pub(super) fn plain(message: &str) -> String {
    if message.contains("`_?_:_`") {
        return "'?' needs two values with ':' between them".to_owned();
    }
    let Some(said) = message.strip_prefix(PREFIX) else { return message.replace('`', "'") };
    let wrong = ["mismatched input '", "extraneous input '"];
    if let Some(rest) = wrong.iter().find_map(|begin| said.strip_prefix(begin))
        && let Some((found, wanted)) = rest.rsplit_once("' expecting ")
    {
        return format!("found {}, expected {}", token(found), expected(wanted));
    }
    if let Some((wanted, found)) =
        said.strip_prefix("missing ").and_then(|rest| rest.rsplit_once(" at '"))
    {
        let found = found.strip_suffix('\'').unwrap_or(found);
        return format!("found {}, expected {wanted}", token(found));
    }
    if let Some(found) = said.strip_prefix("token recognition error at: '") {
        return unreadable(found.strip_suffix('\'').unwrap_or(found));
    }
    match said.strip_prefix("no viable alternative at input '") {
        Some(found) => format!("found '{found}, expected a name"),
        None => said.to_owned(),
    }
}

fn token(found: &str) -> String {
    if found == "<EOF>" { "the end".to_owned() } else { format!("'{found}'") }
}

/// `{'[', '(', IDENTIFIER}`: what may begin a value, or what may follow one, has a name.
fn expected(wanted: &str) -> String {
    let all = wanted.trim_matches(['{', '}']);
    let all = if all.is_empty() { wanted } else { all };
    let what = match (all.contains("IDENTIFIER"), all.contains("'=='")) {
        (true, _) => "a value",
        (false, true) => "an operator",
        (false, false) => return all.replace("', '", "' or '").replace("<EOF>", "the end"),
    };
    let closing = ["')'", "']'", "':'", "<EOF>"].into_iter().filter(|it| all.contains(it));
    closing.fold(what.to_owned(), |text, it| format!("{text} or {it}")).replace("<EOF>", "the end")
}

/// What no word of the language begins with.
fn unreadable(found: &str) -> String {
    match found.trim().chars().next() {
        Some('=') => "found '=', expected '=='".to_owned(),
        Some('&') => "found '&', expected '&&'".to_owned(),
        Some('|') => "found '|', expected '||'".to_owned(),
        Some('"' | '\'') => {
            format!("the text {} does not end, or has an unknown escape", found.trim())
        }
        Some(_) | None => format!("found '{}', which is no part of CEL", found.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Declarations, Environment};

    #[test]
    fn a_source_that_is_no_cel_is_told_with_what_was_found_and_expected() {
        for (source, column, why) in [
            ("P.id ==", 8, "found the end, expected a value"),
            ("P.id = 'a'", 6, "found '=', expected '=='"),
            ("P.t & P.f", 5, "found '&', expected '&&'"),
            ("(P.id", 6, "found the end, expected ')'"),
            ("P.id)", 5, "found ')', expected the end"),
            ("P..id", 3, "found '..', expected a name"),
            ("P.t and P.f", 5, "found 'and', expected an operator or the end"),
            ("P.t ? 1", 8, "found the end, expected an operator or ':'"),
            ("[1, 2", 6, "found the end, expected ']' or ','"),
            ("f(", 3, "found the end, expected a value or ')'"),
            ("'abc", 1, "the text 'abc does not end, or has an unknown escape"),
            ("P.id;", 5, "found ';', which is no part of CEL"),
        ] {
            let error = Environment::cerbos().compile(source, &Declarations::new()).unwrap_err();
            assert_eq!(error.message, format!("not valid CEL: {why}"), "{source}");
            assert_eq!(error.column, column, "{source}");
        }
    }
}
