//! Which events an endpoint wants.

use crate::config::{Glob, WebhookConfig};
use crate::store::StoredEvent;

#[derive(Clone, Debug)]
pub struct Filter {
    types: Option<Vec<Glob>>,
    subjects: Option<Vec<Glob>>,
}

impl Filter {
    #[must_use]
    pub fn of(config: &WebhookConfig) -> Self {
        Self { types: config.types.clone(), subjects: config.subjects.clone() }
    }

    #[must_use]
    pub fn wants(&self, stored: &StoredEvent) -> bool {
        let kind = stored.event.kind.word();
        let types = self.types.as_deref().is_none_or(|types| any(types, kind));
        types && self.wants_subject(Some(&stored.subject.name))
    }

    /// Whether anything of single requests is wanted: only where it is named.
    #[must_use]
    pub fn wants_decisions(&self) -> bool {
        self.types.iter().flatten().any(names_decisions)
    }

    /// `event_type` is that of a decision or a cut.
    #[must_use]
    pub fn wants_decision(&self, event_type: &str, subject: Option<&str>) -> bool {
        let kind = event_type.strip_prefix("dev.tidegate.").unwrap_or(event_type);
        let kind = kind.strip_suffix(".v1").unwrap_or(kind);
        let mut named = self.types.iter().flatten().filter(|glob| names_decisions(glob));
        named.any(|glob| glob.matches(kind)) && self.wants_subject(subject)
    }

    fn wants_subject(&self, subject: Option<&str>) -> bool {
        match (&self.subjects, subject) {
            (None, _) => true,
            (Some(subjects), Some(name)) => any(subjects, name),
            (Some(_), None) => false,
        }
    }
}

/// `*` alone means transitions: nobody asks for ten thousand calls a second by one character.
fn names_decisions(glob: &Glob) -> bool {
    ["decision.", "lease."].iter().any(|start| glob.as_str().starts_with(start))
}

fn any(globs: &[Glob], text: &str) -> bool {
    globs.iter().any(|glob| glob.matches(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(types: &[&str], subjects: &[&str]) -> Filter {
        let globs = |texts: &[&str]| texts.iter().map(|text| Glob::new(text)).collect::<Vec<_>>();
        Filter {
            types: Some(globs(types)).filter(|globs| !globs.is_empty()),
            subjects: Some(globs(subjects)).filter(|globs| !globs.is_empty()),
        }
    }

    #[test]
    fn decisions_are_wanted_only_where_they_are_named() {
        let denied = "dev.tidegate.decision.denied.v1";
        for types in [&[][..], &["*"], &["grant.*"], &["*.denied"]] {
            let filter = filter(types, &[]);
            assert!(!filter.wants_decisions(), "{types:?}");
            assert!(!filter.wants_decision(denied, Some("alice")), "{types:?}");
        }
        let some = filter(&["*", "decision.denied"], &["al*"]);
        assert!(some.wants_decisions());
        assert!(some.wants_decision(denied, Some("alice")));
        assert!(!some.wants_decision(denied, Some("bob")));
        assert!(!some.wants_decision(denied, None));
        assert!(!some.wants_decision("dev.tidegate.decision.allowed.v1", Some("alice")));
        assert!(!some.wants_decision("dev.tidegate.lease.cut.v1", Some("alice")));
    }
}
