//! The names an expression may use besides the request.

use super::types::Type;
use super::value::Value;
use std::collections::BTreeMap;

/// What a policy declares. Variables and globals are of dynamic type, as in the PDP.
#[derive(Clone, Debug, Default)]
pub struct Declarations {
    variables: BTreeMap<String, usize>,
    constants: BTreeMap<String, Value>,
    /// `None`: every name, looked up when evaluated.
    globals: Option<Vec<String>>,
    inputs: BTreeMap<&'static str, Input>,
}

/// A value that stands under a name of its own, in the place of the request of a policy.
#[derive(Clone, Debug)]
pub struct Input {
    /// The number that `Variables` is asked for.
    pub slot: usize,
    pub of: Type,
    /// The members of a map with fixed ones; with none, whatever `of` has.
    pub members: Vec<(&'static str, Type)>,
}

impl Declarations {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a variable with the number that `Variables` is asked for.
    pub fn declare_variable(&mut self, name: &str, slot: usize) {
        self.variables.insert(name.to_owned(), slot);
    }

    /// Declares an input. With one, there is no request of a policy: its names are unknown.
    pub fn declare_input(&mut self, name: &'static str, input: Input) {
        self.inputs.insert(name, input);
    }

    /// Declares a constant.
    pub fn declare_constant(&mut self, name: &str, value: Value) {
        self.constants.insert(name.to_owned(), value);
    }

    /// Says which globals there are: others are then load errors.
    pub fn declare_globals(&mut self, names: impl IntoIterator<Item = String>) {
        self.globals = Some(names.into_iter().collect());
    }

    pub(super) fn variable(&self, name: &str) -> Result<usize, String> {
        self.variables
            .get(name)
            .copied()
            .ok_or_else(|| unknown("variable", name, self.variables.keys().map(String::as_str)))
    }

    pub(super) fn input(&self, name: &str) -> Option<&Input> {
        self.inputs.get(name)
    }

    /// Their names, when there are any.
    pub(super) fn inputs(&self) -> Option<impl Iterator<Item = &'static str>> {
        (!self.inputs.is_empty()).then(|| self.inputs.keys().copied())
    }

    pub(super) fn constant(&self, name: &str) -> Result<&Value, String> {
        self.constants
            .get(name)
            .ok_or_else(|| unknown("constant", name, self.constants.keys().map(String::as_str)))
    }

    pub(super) fn constants(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.constants.iter()
    }

    pub(super) fn global(&self, name: &str) -> Result<(), String> {
        match &self.globals {
            Some(names) if !names.iter().any(|known| known == name) => {
                Err(unknown("global", name, names.iter().map(String::as_str)))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// "unknown ... 'x'; did you mean 'y'?"
pub(super) fn unknown<'n>(
    what: &str,
    name: &str,
    known: impl IntoIterator<Item = &'n str>,
) -> String {
    let most = match name.chars().count() {
        0..3 => 0,
        letters => letters.div_ceil(3).max(2),
    };
    let best = known
        .into_iter()
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= most)
        .min();
    match best {
        Some((_, candidate)) => format!("unknown {what} '{name}'; did you mean '{candidate}'?"),
        None => format!("unknown {what} '{name}'"),
    }
}

/// Edits between two names; letter case counts less than a letter.
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().flat_map(char::to_lowercase).take(64).collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (line, from) in left.chars().flat_map(char::to_lowercase).take(64).enumerate() {
        let mut diagonal = line;
        let mut last = line + 1;
        for (to, cell) in right.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(*to != from);
            diagonal = *cell;
            last = replaced.min(*cell + 1).min(last + 1);
            *cell = last;
        }
        if let Some(first) = row.first_mut() {
            *first = line + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
