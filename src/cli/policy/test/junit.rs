//! The results as `JUnit` XML, as build servers read it: one `testcase` for each action.

use std::fmt::Write;

use super::report::{self, Outcome};
use crate::policy::embedded::{CaseResult, SuiteResult, SuiteResults, TestVerdict};

pub(super) fn shown(results: &SuiteResults) -> String {
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let broken = results.suites.iter().filter(|suite| suite.error.is_some()).count();
    let skipped = results.suites.iter().filter(|suite| suite.skipped.is_some()).count();
    let counts = counts(report::all(results), broken, skipped);
    // Writing to a text does not fail.
    let _ = writeln!(xml, "<testsuites{counts}>");
    for it in &results.suites {
        suite(it, &mut xml);
    }
    xml.push_str("</testsuites>");
    xml
}

fn counts<'r>(
    cases: impl Iterator<Item = &'r CaseResult> + Clone,
    broken: usize,
    skipped: usize,
) -> String {
    let tests = cases.clone().count();
    let counts = report::counts(cases);
    let of = |outcome| counts.iter().find(|(it, _)| *it == outcome).map_or(0, |(_, count)| *count);
    format!(
        " tests=\"{tests}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\"",
        of(Outcome::Failed),
        of(Outcome::Errored) + broken,
        of(Outcome::Skipped) + skipped
    )
}

fn suite(suite: &SuiteResult, xml: &mut String) {
    let (name, file) = (escaped(&suite.name), escaped(&suite.file.to_string_lossy()));
    let broken = usize::from(suite.error.is_some());
    let skipped = usize::from(suite.skipped.is_some());
    let counts = counts(suite.cases.iter(), broken, skipped);
    let _ = writeln!(xml, "  <testsuite name=\"{name}\" file=\"{file}\"{counts}>");
    // A suite as a whole has no place for an outcome: it is told as a case of its own.
    if let Some(why) = &suite.error {
        let inner = message("error", why);
        let _ =
            writeln!(xml, "    <testcase name=\"{name}\" classname=\"{name}\">{inner}</testcase>");
    }
    if let Some(reason) = &suite.skipped {
        let inner = message("skipped", reason);
        let _ =
            writeln!(xml, "    <testcase name=\"{name}\" classname=\"{name}\">{inner}</testcase>");
    }
    for it in &suite.cases {
        case(it, &name, xml);
    }
    xml.push_str("  </testsuite>\n");
}

fn case(case: &CaseResult, suite: &str, xml: &mut String) {
    let CaseResult { test, principal, resource, action, verdict } = case;
    let name = escaped(&format!("{principal} {action} {resource}"));
    let class = format!("{suite}.{}", escaped(test));
    let inner = match verdict {
        TestVerdict::Passed => {
            let _ = writeln!(xml, "    <testcase name=\"{name}\" classname=\"{class}\"/>");
            return;
        }
        TestVerdict::Skipped { reason } => message("skipped", reason),
        TestVerdict::Errored { error } => message("error", error),
        TestVerdict::Failed { expected, actual, outputs } => {
            let effects = format!("expected {}, was {}", expected.name(), actual.name());
            let effects = (expected != actual).then_some(effects);
            let all: Vec<&str> = effects.iter().chain(outputs).map(String::as_str).collect();
            message("failure", &all.join("; "))
        }
    };
    let _ = writeln!(xml, "    <testcase name=\"{name}\" classname=\"{class}\">{inner}</testcase>");
}

fn message(element: &str, text: &str) -> String {
    format!("<{element} message=\"{}\"/>", escaped(text))
}

/// For attributes. What XML 1.0 cannot hold at all (2.2) becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(character));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    #[test]
    fn what_would_end_an_attribute_or_cannot_stand_in_xml_is_escaped() {
        assert_eq!(escaped("a<b>&\"c\"\n"), "a&lt;b&gt;&amp;&quot;c&quot;&#10;");
        assert_eq!(escaped("\0\u{1b}[31m\u{ffff}é"), "\u{fffd}\u{fffd}[31m\u{fffd}é");
    }
}
