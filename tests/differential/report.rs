//! What a run has seen.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

#[derive(Debug, Default)]
pub struct Report {
    pub sets: usize,
    pub decisions: usize,
    pub agreed: usize,
    pub effects: BTreeMap<String, usize>,
    /// Requests that both refuse.
    pub bad_requests: usize,
    pub disagreed: usize,
    /// Those among them that only more processes and questions showed.
    pub found_again: usize,
    /// The policies show that the PDP's answer hangs on its order there, but none of many processes
    /// gave the engine's.
    pub unseen: BTreeMap<&'static str, usize>,
    pub known: BTreeMap<&'static str, usize>,
    pub refused: BTreeMap<&'static str, usize>,
    /// Sets with a fault, and those among them that both refuse.
    pub faults: usize,
    pub refused_by_both: usize,
    /// The engine allows what a PDP denies.
    pub open: usize,
    pub new: Vec<PathBuf>,
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.open == 0 && self.new.is_empty() && self.unseen() <= self.most_unseen()
    }

    fn unseen(&self) -> usize {
        self.unseen.values().sum()
    }

    /// More of them would be a difference that hides behind the shape of its policies. One unlucky
    /// set alone has a dozen.
    fn most_unseen(&self) -> usize {
        20 + self.decisions / 100
    }

    /// A line for whoever waits.
    pub fn tell_progress(&self) {
        eprintln!(
            "{} sets, {} decisions, {} asked again and seen, {} not seen, {} new",
            self.sets,
            self.decisions,
            self.found_again,
            self.unseen(),
            self.new.len()
        );
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | count |\n|---|---|")?;
        let effects = |effect| self.effects.get(effect).copied().unwrap_or_default();
        for (name, count) in [
            ("sets", self.sets),
            ("decisions", self.decisions),
            ("equal", self.agreed),
            ("of them allowed", effects("EFFECT_ALLOW")),
            ("of them denied", effects("EFFECT_DENY")),
            ("of them requests refused by both", self.bad_requests),
            ("the PDP disagreed with itself", self.disagreed),
            ("of them seen by asking again", self.found_again),
            ("embedded ALLOW where a PDP says DENY", self.open),
            ("sets with a fault", self.faults),
            ("of them refused by both", self.refused_by_both),
            ("new differences", self.new.len()),
        ] {
            writeln!(f, "| {name} | {count} |")?;
        }
        writeln!(
            f,
            "| random by the policies, not seen (at most {}) | {} |",
            self.most_unseen(),
            self.unseen()
        )?;
        for (id, count) in &self.unseen {
            writeln!(f, "| of them: {id} | {count} |")?;
        }
        for (id, count) in &self.known {
            writeln!(f, "| known difference: {id} | {count} |")?;
        }
        for (reason, count) in &self.refused {
            writeln!(f, "| refused by the engine alone: {reason} | {count} |")?;
        }
        for folder in &self.new {
            writeln!(f, "\nnew difference: {}", folder.display())?;
        }
        Ok(())
    }
}
