//! The end of a decision's line. Nothing in it is of one request alone, so it is that of the decision
//! before more often than not: it is rendered once, and copied.

use std::sync::Arc;

use smallvec::SmallVec;

use crate::telemetry::decision::DecisionRecord;

type Text = Arc<str>;

/// A longer one is not kept.
const LONGEST: usize = 4096;
/// After so many others another end is kept: people who take turns cost a comparison, not a copy.
const OTHERS: u8 = 16;

/// The last end, while it is the usual one.
#[derive(Clone, Debug, Default)]
pub struct LastEnd {
    known: Option<Known>,
    others: u8,
}

#[derive(Clone, Debug)]
struct Known {
    of: Facts,
    bytes: Vec<u8>,
}

/// All that the end of a line is made of.
#[derive(Clone, Debug)]
struct Facts {
    allowed: bool,
    reason: &'static str,
    default_effect: &'static str,
    detail: Text,
    scope: Option<Text>,
    roles: SmallVec<[Text; 4]>,
    evaluated_policies: SmallVec<[Text; 1]>,
    rule: Option<Text>,
    policy_scope: Option<Text>,
    derived_roles: Vec<Text>,
}

impl LastEnd {
    /// Appends the record's end; `render` does so when it is not known.
    pub fn write(
        &mut self,
        to: &mut Vec<u8>,
        record: &DecisionRecord,
        render: impl FnOnce(&mut Vec<u8>, &DecisionRecord),
    ) {
        if let Some(known) = self.known.as_ref().filter(|known| known.of.are_of(record)) {
            self.others = 0;
            return to.extend_from_slice(&known.bytes);
        }
        let begin = to.len();
        render(to, record);
        self.others = self.others.saturating_add(1);
        let end = to.get(begin..).filter(|end| end.len() <= LONGEST);
        if let Some(end) = end.filter(|_| self.known.is_none() || self.others >= OTHERS) {
            let mut bytes = self.known.take().map_or_else(Vec::new, |before| before.bytes);
            bytes.clear();
            bytes.extend_from_slice(end);
            (self.known, self.others) = (Some(Known { of: Facts::of(record), bytes }), 0);
        }
    }
}

impl Facts {
    fn of(record: &DecisionRecord) -> Self {
        Self {
            allowed: record.allowed,
            reason: record.reason,
            default_effect: record.default_effect,
            detail: Arc::clone(&record.detail),
            scope: record.scope.clone(),
            roles: record.roles.clone(),
            evaluated_policies: record.evaluated_policies.clone(),
            rule: record.rule.clone(),
            policy_scope: record.policy_scope.clone(),
            derived_roles: record.derived_roles.clone(),
        }
    }

    fn are_of(&self, record: &DecisionRecord) -> bool {
        self.allowed == record.allowed
            && self.reason == record.reason
            && self.default_effect == record.default_effect
            && same(&self.detail, &record.detail)
            && same_or_none(self.scope.as_ref(), record.scope.as_ref())
            && same_or_none(self.rule.as_ref(), record.rule.as_ref())
            && same_or_none(self.policy_scope.as_ref(), record.policy_scope.as_ref())
            && all_same(&self.roles, &record.roles)
            && all_same(&self.evaluated_policies, &record.evaluated_policies)
            && all_same(&self.derived_roles, &record.derived_roles)
    }
}

/// Most are one text in one place.
fn same(one: &Text, other: &Text) -> bool {
    Arc::ptr_eq(one, other) || one == other
}

fn same_or_none(one: Option<&Text>, other: Option<&Text>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => same(one, other),
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    }
}

fn all_same(some: &[Text], others: &[Text]) -> bool {
    some.len() == others.len() && some.iter().zip(others).all(|(one, other)| same(one, other))
}
