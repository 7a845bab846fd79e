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

impl Problems {
    /// One text per problem.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

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

/// How many letters have to be put in, taken out, changed or swapped with their neighbour (optimal
/// string alignment), with `-` and `_` counted as the same.
fn distance(one: &str, two: &str) -> usize {
    let letters = |text: &str| -> Vec<char> {
        text.chars().take(64).map(|c| if c == '-' { '_' } else { c }).collect()
    };
    let (one, two) = (letters(one), letters(two));
    let mut rows: Vec<Vec<usize>> = vec![(0..=two.len()).collect()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=two.len() {
            let cell = |up: usize, back: usize| {
                let line = if up == 0 { Some(&row) } else { rows.get(i.checked_sub(up)?) };
                line?.get(j.checked_sub(back)?).copied()
            };
            let same = one.get(i - 1) == two.get(j - 1);
            let swapped = i > 1
                && j > 1
                && one.get(i - 2) == two.get(j - 1)
                && one.get(i - 1) == two.get(j - 2);
            let ways = [
                cell(1, 0).map(|edits| edits + 1),
                cell(0, 1).map(|edits| edits + 1),
                cell(1, 1).map(|edits| edits + usize::from(!same)),
                if swapped { cell(2, 2).map(|edits| edits + 1) } else { None },
            ];
            let least = ways.into_iter().flatten().min().unwrap_or_default();
            row.push(least);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(usize::MAX)
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
