//! Principal and role policies -> rows.

use std::sync::Arc;

use super::compile::{self, Build, Text2, Written};
use super::expressions::{Compiler, unique};
use super::file::{self, Document};
use super::names::{self, DEFAULT_VERSION};
use super::pattern::Pattern;
use super::problem::Problems;
use super::registry::Identity;
use super::set::{Effect, Principal, PrincipalRow, Registered, Role, RoleRule, Scope};

impl Build<'_> {
    pub(super) fn principal_policy(
        &mut self,
        policy: &file::PrincipalPolicy,
        document: &Document,
        problems: &mut Problems,
    ) {
        let identity = Identity {
            kind: "principal",
            name: &policy.principal,
            version: &policy.version.value,
            scope: policy.scope.as_ref(),
        };
        self.registry.add(&identity, problems);
        let consent = self.registry.consent(&identity, policy.scope_permissions.as_ref(), problems);
        let names = self.names(&policy.variables, &policy.constants, document, problems);
        let key: Arc<str> = identity.key().into();
        let kinds: Vec<_> = policy.rules.iter().map(|rule| rule.resource.clone()).collect();
        unique(&kinds, "", problems);
        let mut rows: Vec<PrincipalRow> = Vec::new();
        for rule in &policy.rules {
            let kind = names::sanitised(&rule.resource.value).into_owned();
            let start = rows.len();
            for (index, action) in rule.actions.iter().enumerate() {
                compile::rule_name(action.name.as_ref(), problems);
                let given = action.name.as_ref().map(|it| &it.value).filter(|it| !it.is_empty());
                let name = given
                    .cloned()
                    .unwrap_or_else(|| format!("{}_rule-{:03}", rule.resource.value, index + 1));
                let place = format!("rule '{name}'");
                if rows.iter().skip(start).any(|row| *row.rule.name == *name) {
                    problems.add((&action.action).into(), &place, "has the name of another rule");
                }
                let mut compiler = Compiler { cache: &mut self.cache, names: &names, problems };
                let written = Written {
                    name: Text2 { name: &name, place: &place },
                    effect: compile::effect(&action.effect, &place, compiler.problems),
                    condition: action.condition.as_ref(),
                    output: action.output.as_ref(),
                    line: action.action.referenced.line(),
                    consent,
                };
                let ready = Arc::new(compile::rule(&written, &key, &mut compiler));
                let pattern = compiler.pattern(&action.action, &place, false);
                let kind = compiler.cache.pattern(&kind, false);
                match (kind, pattern) {
                    (Ok(kind), Some(action)) => rows.push(PrincipalRow {
                        rule: ready,
                        kind,
                        action,
                        key: self.key(),
                        alike: Vec::new(),
                    }),
                    (Err(why), _) => problems.add((&rule.resource).into(), &place, why),
                    (Ok(_), None) => {}
                }
            }
            if rule.actions.is_empty() {
                problems.add((&rule.resource).into(), "", "names no action");
            }
        }
        find_alike(&mut rows);
        let registered = Registered { file: problems.file.clone(), rows: rows.len() };
        self.set.policies.insert(key, registered);
        self.set.principal_scopes.or_default(identity.scope());
        let scope = self.scope(&policy.version.value, identity.scope());
        scope.principals.insert(policy.principal.value.as_str().into(), Principal { rows });
    }

    pub(super) fn role_policy(
        &mut self,
        policy: &file::RolePolicy,
        document: &Document,
        problems: &mut Problems,
    ) {
        let written = policy.version.as_ref().map_or("", |version| &version.value);
        let version = if written.is_empty() { DEFAULT_VERSION } else { written };
        let scope = policy.scope.as_ref();
        let identity = Identity { kind: "role", name: &policy.role, version, scope };
        self.registry.add(&identity, problems);
        if let Some(permissions) = &policy.scope_permissions
            && !matches!(
                permissions.value.as_str(),
                "SCOPE_PERMISSIONS_UNSPECIFIED"
                    | "SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS"
            )
        {
            problems.add(permissions.into(), "", "a role policy has no such scope permissions");
        }
        unique(&policy.parent_roles, "", problems);
        let names = self.names(&policy.variables, &policy.constants, document, problems);
        let key: Arc<str> = identity.key().into();
        let mut rules: Vec<RoleRule> = Vec::new();
        for (index, rule) in policy.rules.iter().enumerate() {
            compile::rule_name(rule.name.as_ref(), problems);
            let name = rule.name.as_ref().map_or("", |name| &name.value);
            let place = if name.is_empty() {
                format!("rule {}", index + 1)
            } else {
                format!("rule '{name}'")
            };
            let mut compiler = Compiler { cache: &mut self.cache, names: &names, problems };
            let written = Written {
                name: Text2 { name, place: &place },
                effect: Effect::Allow,
                condition: rule.condition.as_ref(),
                output: rule.output.as_ref(),
                line: rule.resource.referenced.line(),
                consent: false,
            };
            let ready = Arc::new(compile::rule(&written, &key, &mut compiler));
            let actions = compiler.actions(&rule.allow_actions, &place, true);
            // As written: unlike other policies, this one's kinds are not sanitised.
            let Some(kind) = compiler.pattern(&rule.resource, &place, false) else { continue };
            let key = self.key();
            rules.push(RoleRule { rule: ready, kind, actions, key, alike: Vec::new() });
        }
        find_alike_rules(&mut rules);
        self.registry.parents(&identity, &policy.parent_roles, problems);
        let registered = Registered { file: problems.file.clone(), rows: rules.len() };
        self.set.policies.insert(Arc::clone(&key), registered);
        if rules.is_empty() {
            return;
        }
        let kinds = rules.iter().map(|rule| rule.kind.clone()).collect();
        self.registry.role(&identity, kinds);
        self.set.resource_scopes.or_default(identity.scope());
        let scope = self.scope(version, identity.scope());
        scope.roles.insert(policy.role.value.as_str().into(), Role { policy: key, rules });
    }

    fn scope(&mut self, version: &str, scope: &str) -> &mut Scope {
        let version = self.set.versions.entry(version.into()).or_default();
        version.scopes.or_default(scope)
    }
}

/// The PDP remembers what conditions said by the name of the rule: rules of one name for several
/// kinds get each other's answers, in the order of a hash map.
fn find_alike(rows: &mut [PrincipalRow]) {
    let told: Vec<_> =
        rows.iter().map(|row| (Arc::clone(&row.rule), row.kind.text().to_owned())).collect();
    for row in rows {
        let others = told
            .iter()
            .enumerate()
            .filter(|(_, (rule, kind))| rule.name == row.rule.name && *kind != row.kind.text());
        row.alike = others.map(|(index, _)| index).collect();
    }
}

/// Here the number of the rule among those of its kind counts.
fn find_alike_rules(rules: &mut [RoleRule]) {
    let kinds: Vec<Pattern> = rules.iter().map(|rule| rule.kind.clone()).collect();
    let number = |index: usize| {
        let kind = kinds.get(index).map(Pattern::text);
        kinds.iter().take(index).filter(|other| Some(other.text()) == kind).count()
    };
    let numbers: Vec<usize> = (0..kinds.len()).map(number).collect();
    for (index, rule) in rules.iter_mut().enumerate() {
        let others = (0..kinds.len()).filter(|other| {
            numbers.get(*other) == numbers.get(index)
                && kinds.get(*other).is_some_and(|kind| kind.text() != rule.kind.text())
        });
        rule.alike = others.collect();
    }
}
