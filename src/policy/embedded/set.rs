//! A compiled policy set: immutable, and indexed as checks ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::by_scope::ByScope;
use super::cel::Program;
use super::pattern::Pattern;
use super::schema::Schemas;

type Text = Arc<str>;

#[derive(Debug, Default)]
pub(super) struct Set {
    pub versions: FxHashMap<Box<str>, Version>,
    /// Scopes that have rows of any principal policy, or of any resource or role policy.
    pub principal_scopes: ByScope<()>,
    pub resource_scopes: ByScope<()>,
    /// Scopes whose ALLOW needs the consent of the parent scope.
    pub consent: ByScope<()>,
    /// By scope and role: every parent role, also of parents.
    pub parents: ByScope<Parents>,
    pub variables: Vec<Variables>,
    /// Policies as registered, by key.
    pub policies: BTreeMap<Text, Registered>,
}

/// One policy for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    pub file: std::path::PathBuf,
    pub rows: usize,
}

/// By role.
pub(super) type Parents = FxHashMap<Box<str>, Box<[Box<str>]>>;

#[derive(Debug, Default)]
pub(super) struct Version {
    pub scopes: ByScope<Scope>,
}

#[derive(Debug, Default)]
pub(super) struct Scope {
    pub kinds: FxHashMap<Box<str>, Kind>,
    pub principals: FxHashMap<Box<str>, Principal>,
    /// Role policies that have rules.
    pub roles: FxHashMap<Box<str>, Role>,
}

impl Scope {
    /// Whether a resource or role policy speaks about a kind.
    pub fn knows(&self, kind: &str) -> bool {
        self.kinds.contains_key(kind)
            || self.roles.values().any(|role| role.rules.iter().any(|it| it.kind.matches(kind)))
    }
}

/// The resource policy of one kind, in one scope.
#[derive(Debug)]
pub(super) struct Kind {
    pub policy: Text,
    pub rows: Vec<Row>,
    pub by_action: FxHashMap<Box<str>, Vec<u32>>,
    /// Rows whose action is a pattern.
    pub globs: Vec<u32>,
    /// Those that its rules name.
    pub derived: Vec<Derived>,
    /// Those of the root scope's policy.
    pub schemas: Option<Arc<Schemas>>,
}

/// One rule for one role and one action. A rule for a derived role becomes one row per parent
/// role, with the condition of the derived role.
#[derive(Debug)]
pub(super) struct Row {
    pub rule: Arc<Rule>,
    pub role: Pattern,
    pub action: Pattern,
    /// Index into the derived roles of the kind.
    pub derived: Option<usize>,
    /// Rows with the same number have the same conditions.
    pub key: u32,
}

#[derive(Debug)]
pub(super) struct Derived {
    pub name: Text,
    /// Plain names, and `*`.
    pub parents: Vec<Box<str>>,
    pub condition: Option<Condition>,
    pub variables: VariablesId,
    /// The number of its outcome, shared by all policies; `None` when the effective derived roles
    /// decide it too.
    pub key: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub name: Text,
    /// `resource.tool.vdefault#rule-001`
    pub source: Text,
    pub policy: Text,
    /// For people: what allowed an action, where this rule does.
    pub allows: Text,
    pub effect: Effect,
    pub condition: Option<Condition>,
    pub variables: VariablesId,
    pub activated: Option<Output>,
    pub not_met: Option<Output>,
    pub line: u32,
}

#[derive(Clone, Debug)]
pub(super) enum Output {
    Program(Arc<Program>),
    /// It has the same error always.
    Fails(Arc<str>),
    /// `P` or `R` as a whole.
    Principal,
    Resource,
}

/// The principal policy of one principal, in one scope.
#[derive(Debug)]
pub(super) struct Principal {
    pub rows: Vec<PrincipalRow>,
}

#[derive(Debug)]
pub(super) struct PrincipalRow {
    pub rule: Arc<Rule>,
    pub kind: Pattern,
    pub action: Pattern,
    pub key: u32,
    /// Rows of other kinds that the PDP mistakes for this one, in an order of its own.
    pub alike: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Role {
    pub policy: Text,
    pub rules: Vec<RoleRule>,
}

#[derive(Debug)]
pub(super) struct RoleRule {
    pub rule: Arc<Rule>,
    pub kind: Pattern,
    pub actions: Vec<Pattern>,
    pub key: u32,
    /// Rules of other kinds that the PDP mistakes for this one, in an order of its own.
    pub alike: Vec<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct VariablesId(pub u32);

/// The variables of a policy, in the order of their numbers.
#[derive(Debug, Default)]
pub(super) struct Variables {
    pub programs: Vec<Arc<Program>>,
}

#[derive(Clone, Debug)]
pub(super) enum Condition {
    Expression(Arc<Program>),
    /// `"x" in P.roles`: asked of almost every request, and answered without CEL.
    HasRole(Box<str>),
    All(Box<[Condition]>),
    Any(Box<[Condition]>),
    NoneOf(Box<[Condition]>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    Allow,
    Deny,
}
