//! What loads and is still doubtful: shapes that the PDP does not answer in one way, rules that deny
//! and can fail, rules that say nothing, names that nobody uses. False alarms are worse than
//! silence: where something cannot be decided from the files alone, nothing is said.

mod conditions;
mod confused;
mod failing;
mod names;
mod never;
mod principals;
mod role_policies;
mod rules;
#[cfg(test)]
mod tests;
mod unused;

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Serialize, Serializer};

use super::file::Document;
use super::problem::At;
use super::set::Set;
use super::snapshot::Snapshot;
use super::{Engine, PolicyProblems, compile, load};

/// One thing that is doubtful.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub rule: LintRule,
    pub severity: Severity,
    pub file: PathBuf,
    /// Counted from 1.
    pub line: Option<u64>,
    /// Counted from 1, in characters.
    pub column: Option<u64>,
    /// As the PDP names it: `resource.tool.vdefault`.
    pub policy: String,
    /// The rule, derived role or variable; empty where the policy itself is meant.
    pub place: String,
    pub message: String,
    /// What to do about it.
    pub advice: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The policy does not do what it says.
    Error,
    Warning,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LintRule {
    RolePolicyPatternsOverlap,
    RolePolicyKindNeverMatches,
    PrincipalRulesConfused,
    ConditionsConfused,
    DerivedRolesOrder,
    DenyCanFail,
    RuleShadowed,
    RuleDuplicate,
    ConditionNeverTrue,
    ActionCovered,
    AllowEverything,
    DerivedRoleUnused,
    ImportUnused,
    VariableUnused,
    ConstantUnused,
    ExportUnused,
}

impl LintRule {
    /// Its stable name.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::RolePolicyPatternsOverlap => "role-policy-patterns-overlap",
            Self::RolePolicyKindNeverMatches => "role-policy-kind-never-matches",
            Self::PrincipalRulesConfused => "principal-rules-confused",
            Self::ConditionsConfused => "conditions-confused",
            Self::DerivedRolesOrder => "derived-roles-order",
            Self::DenyCanFail => "deny-can-fail",
            Self::RuleShadowed => "rule-shadowed",
            Self::RuleDuplicate => "rule-duplicate",
            Self::ConditionNeverTrue => "condition-never-true",
            Self::ActionCovered => "action-covered",
            Self::AllowEverything => "allow-everything",
            Self::DerivedRoleUnused => "derived-role-unused",
            Self::ImportUnused => "import-unused",
            Self::VariableUnused => "variable-unused",
            Self::ConstantUnused => "constant-unused",
            Self::ExportUnused => "export-unused",
        }
    }

    const fn severity(self) -> Severity {
        match self {
            Self::RolePolicyPatternsOverlap
            | Self::RolePolicyKindNeverMatches
            | Self::PrincipalRulesConfused
            | Self::ConditionsConfused
            | Self::RuleShadowed
            | Self::ConditionNeverTrue => Severity::Error,
            Self::DerivedRolesOrder
            | Self::DenyCanFail
            | Self::RuleDuplicate
            | Self::ActionCovered
            | Self::AllowEverything
            | Self::DerivedRoleUnused
            | Self::ImportUnused
            | Self::VariableUnused
            | Self::ConstantUnused
            | Self::ExportUnused => Severity::Warning,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            Self::RolePolicyPatternsOverlap => {
                "let each kind be matched by one resource pattern of the role policy"
            }
            Self::RolePolicyKindNeverMatches => {
                "write the kind as the PDP files it, with '_', or rename the kind"
            }
            Self::PrincipalRulesConfused => "give each rule of the policy a name of its own",
            Self::ConditionsConfused => {
                "give one of them an expression of its own, or write the operators as one expression"
            }
            Self::DerivedRolesOrder => {
                "guard what the derived roles read with has(), or write one rule for each of them"
            }
            Self::DenyCanFail => "guard it with has(), or demand it with a schema",
            Self::RuleShadowed => "remove the rule, or narrow the one that denies",
            Self::RuleDuplicate | Self::ActionCovered => "remove one of them",
            Self::ConditionNeverTrue => "remove the rule, or let the condition ask something",
            Self::AllowEverything => "name the roles and actions, or add a condition",
            Self::DerivedRoleUnused
            | Self::ImportUnused
            | Self::VariableUnused
            | Self::ConstantUnused
            | Self::ExportUnused => "use it or remove it",
        }
    }
}

impl Serialize for LintRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        for number in [self.line, self.column].into_iter().flatten() {
            write!(f, ":{number}")?;
        }
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(f, ": {severity}: ")?;
        if !self.place.is_empty() {
            write!(f, "{}: ", self.place)?;
        }
        write!(f, "{} ({}); {}", self.message, self.rule.id(), self.advice)
    }
}

/// Everything that lints look at.
struct Policies<'p> {
    set: &'p Set,
    documents: Vec<(&'p Path, &'p Document)>,
}

impl Policies<'_> {
    /// Where the rule stands that begins at this line.
    fn at(&self, file: &Path, line: u32) -> At {
        let documents = self.documents.iter().filter(|(at, _)| *at == file);
        let mut texts = documents.flat_map(|(_, document)| {
            let resource = document.resource_policy.iter().flat_map(|it| &it.rules);
            let principal = document.principal_policy.iter().flat_map(|it| &it.rules);
            let actions = principal.flat_map(|rule| &rule.actions).map(|it| &it.action);
            let role = document.role_policy.iter().flat_map(|it| &it.rules);
            let kinds = role.map(|rule| &rule.resource);
            resource.map(|rule| &rule.effect).chain(actions).chain(kinds)
        });
        let line = u64::from(line);
        texts.find(|text| text.referenced.line() == line).map_or(At(Some(line), None), At::from)
    }
}

/// Collects the findings of one policy.
struct Findings<'f> {
    file: &'f Path,
    policy: String,
    found: &'f mut Vec<Finding>,
}

impl Findings<'_> {
    fn add(&mut self, rule: LintRule, at: At, place: &str, message: impl Into<String>) {
        self.found.push(Finding {
            rule,
            severity: rule.severity(),
            file: self.file.to_owned(),
            line: at.0,
            column: at.1,
            policy: self.policy.clone(),
            place: place.to_owned(),
            message: message.into(),
            advice: rule.advice(),
        });
    }
}

impl Engine {
    /// Looks through every policy below a directory, in the order of files and lines.
    ///
    /// # Errors
    /// The policies do not load.
    pub fn lint(directory: &Path) -> Result<Vec<Finding>, PolicyProblems> {
        let snapshot = Snapshot::read(directory)?;
        let set = compile::compile(&snapshot)?;
        let sources = load::sources(&snapshot);
        let documents = sources
            .iter()
            .flat_map(|source| {
                source.documents.iter().map(|it| (source.problems.file.as_path(), it))
            })
            .collect();
        let policies = Policies { set: &set, documents };
        let confused = confused::Confused::of(&policies);
        let mut found = Vec::new();
        for (file, document) in &policies.documents {
            let mut findings = Findings { file, policy: String::new(), found: &mut found };
            if let Some(policy) = &document.resource_policy {
                rules::lint(&policies, policy, &mut findings);
                confused.tell(policy, &mut findings);
            }
            if let Some(policy) = &document.principal_policy {
                principals::lint(&policies, policy, &mut findings);
            }
            if let Some(policy) = &document.role_policy {
                role_policies::lint(&policies, policy, &mut findings);
            }
            unused::lint(&policies, document, &mut findings);
        }
        failing::lint(&policies, &mut found);
        never::lint(&policies, &mut found);
        found.sort_by(|one, other| {
            (&one.file, one.line, one.rule).cmp(&(&other.file, other.line, other.rule))
        });
        Ok(found)
    }
}
