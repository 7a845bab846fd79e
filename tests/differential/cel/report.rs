//! What a run has seen.

use std::collections::BTreeMap;
use std::fmt;

#[derive(Debug, Default)]
pub struct Report {
    pub expressions: usize,
    pub loaded: usize,
    /// By both.
    pub refused: usize,
    pub refused_alone: BTreeMap<&'static str, usize>,
    pub values: usize,
    pub failures: usize,
    pub allowed: usize,
    pub denied: usize,
    pub disagreed: usize,
    pub known: BTreeMap<&'static str, usize>,
    /// The engine allows what a PDP denies.
    pub open: usize,
    pub new: Vec<String>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.open == 0 && self.new.is_empty()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | count |\n|---|---|")?;
        for (name, count) in [
            ("expressions", self.expressions),
            ("loaded by both", self.loaded),
            ("refused by both", self.refused),
            ("outputs: equal values", self.values),
            ("outputs: failed in both", self.failures),
            ("conditions: allowed by both", self.allowed),
            ("conditions: denied by both", self.denied),
            ("the PDP disagreed with itself", self.disagreed),
            ("embedded ALLOW where a PDP says DENY", self.open),
            ("new differences", self.new.len()),
        ] {
            writeln!(f, "| {name} | {count} |")?;
        }
        for (id, count) in &self.known {
            writeln!(f, "| known difference: {id} | {count} |")?;
        }
        for (reason, count) in &self.refused_alone {
            writeln!(f, "| refused by the engine alone: {reason} | {count} |")?;
        }
        Ok(())
    }
}
