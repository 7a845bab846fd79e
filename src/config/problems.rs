//! What is wrong with a configuration file, all of it at once.

use std::fmt;
use std::sync::Arc;

/// One problem: where, what was found, what was expected. Never the value of a secret and never
/// what an environment variable holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub file: Arc<str>,
    /// Key path like `tools[0].rules[2].path`; empty for the file as a whole.
    pub path: String,
    /// Counted from 1.
    pub line: Option<usize>,
    pub found: String,
    pub expected: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        f.write_str(": ")?;
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        write!(f, "found {}, expected {}", self.found, self.expected)
    }
}

/// At least one problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        write!(f, "{count} {}", if count == 1 { "problem" } else { "problems" })?;
        self.0.iter().try_for_each(|problem| write!(f, "\n  {problem}"))
    }
}

impl std::error::Error for Problems {}

/// The candidate that `word` is most likely a misspelling of.
#[must_use]
pub fn suggestion<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let near = |candidate: &'a str| (distance(&word, &candidate.to_ascii_lowercase()), candidate);
    let (edits, best) = candidates.into_iter().map(near).min_by_key(|(edits, _)| *edits)?;
    (edits <= (best.len() / 3).max(1) && word.len() <= 64).then_some(best)
}

/// Edit distance of Levenshtein, with `-` and `_` counted as the same.
fn distance(one: &str, two: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().take(64).map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (one, two) = (letters(one), letters(two));
    let mut row: Vec<usize> = (0..=two.len()).collect();
    for (index, from) in one.iter().enumerate() {
        let mut next = vec![index + 1];
        for ((to, before), cells) in two.iter().zip(0..).zip(row.windows(2)) {
            let (&[diagonal, above], Some(left)) = (cells, next.get(before)) else { continue };
            let change = diagonal + usize::from(from != to);
            next.push(change.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_finds_its_neighbour_and_a_strange_one_finds_none() {
        let keys = ["listeners", "tools", "store", "seal_keys"];
        assert_eq!(suggestion("tool", keys), Some("tools"));
        assert_eq!(suggestion("lisetners", keys), Some("listeners"));
        assert_eq!(suggestion("seal-keys", keys), Some("seal_keys"));
        assert_eq!(suggestion("Tools", keys), Some("tools"));
        assert_eq!(suggestion("banana", keys), None);
        assert_eq!(suggestion("", keys), None);
    }
}
