//! `${NAME}` and `${NAME:-default}` in scalars, from the environment.

/// Looks an environment variable up.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The text with every reference replaced, and whether there was one. `$` alone stands for itself,
/// and what a variable holds is not searched for references again.
///
/// # Errors
/// What is wrong, naming the variable and never its value.
pub fn interpolate(text: &str, env: Env<'_>) -> Result<(String, bool), String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut replaced = false;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((inner, tail)) = after.split_once('}') else {
            return Err("`${` without a closing `}`".to_owned());
        };
        out.push_str(before);
        out.push_str(&value(inner, env)?);
        replaced = true;
        rest = tail;
    }
    out.push_str(rest);
    Ok((out, replaced))
}

/// As in a shell, `:-` also stands in for a variable that is set but empty.
fn value(inner: &str, env: Env<'_>) -> Result<String, String> {
    let (name, default) = match inner.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inner, None),
    };
    if !is_variable(name) {
        return Err("`${...}` with something that is not the name of a variable".to_owned());
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err(format!("${{{name}}}, which is not set in the environment")),
    }
}

fn is_variable(name: &str) -> bool {
    let begins = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    begins && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(text: &str) -> Result<String, String> {
        let env = |name: &str| match name {
            "A" => Some("one".to_owned()),
            "NEST" => Some("${A}".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        interpolate(text, &env).map(|(text, _)| text)
    }

    #[test]
    fn references_are_replaced_once() {
        assert_eq!(ask("x${A}y${A}").as_deref(), Ok("xoneyone"));
        assert_eq!(ask("${B:-two}").as_deref(), Ok("two"));
        assert_eq!(ask("${EMPTY:-two}${EMPTY}").as_deref(), Ok("two"));
        assert_eq!(ask("${NEST}").as_deref(), Ok("${A}"));
        assert_eq!(ask("costs $5").as_deref(), Ok("costs $5"));
    }

    #[test]
    fn an_unset_variable_is_named_and_a_broken_reference_refused() {
        assert!(ask("${B}").is_err_and(|why| why.contains("${B}")));
        for text in ["${A", "${}", "${1A}", "${A B}"] {
            assert!(ask(text).is_err(), "{text}");
        }
    }
}
