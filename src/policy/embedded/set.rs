//! A compiled policy set: rows by resource kind, conditions and patterns compiled once.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use super::condition::Condition;
use super::pattern::Pattern;
use super::scope::Compiled;

#[derive(Debug, Default)]
pub(super) struct Set {
    /// By [`canonical`] kind.
    pub kinds: HashMap<String, Kind>,
    pub conditions: Vec<Condition>,
    pub regexes: Vec<Compiled>,
}

/// The resource policy of one kind.
#[derive(Debug)]
pub(super) struct Kind {
    /// As the PDP names it: `resource.tool.vdefault`.
    pub policy: Arc<str>,
    pub rows: Vec<Row>,
}

/// One rule for one role and one action. A rule for a derived role becomes one row per parent
/// role, with the condition of the derived role.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub role: Pattern,
    pub action: Pattern,
    pub derived: Option<ConditionId>,
    pub condition: Option<ConditionId>,
    pub effect: Effect,
    pub rule: Arc<str>,
    /// What is said when this row decides.
    pub detail: Arc<str>,
}

/// Index into [`Set::conditions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ConditionId(pub usize);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effect {
    Allow,
    Deny,
}

/// The name under which the PDP files a kind: characters that are not part of a word become `_`.
pub(super) fn canonical(kind: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if kind.chars().all(plain) || !is_sanitised(kind) {
        return Cow::Borrowed(kind);
    }
    kind.chars().map(|c| if plain(c) { c } else { '_' }).collect()
}

/// Kinds of this form are renamed; others are taken as they are.
pub(super) fn is_sanitised(kind: &str) -> bool {
    kind.split(':').all(|part| {
        part.starts_with(|c: char| c.is_ascii_alphabetic())
            && part
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '@' | '.' | '-' | '/'))
    })
}
