//! Documents -> rows. Whatever the engine does not know is a problem, never skipped.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::condition::Compiler;
use super::file::{self, Document, Text};
use super::load::Source;
use super::pattern::Pattern;
use super::problem::{PolicyProblems, Problems};
use super::set::{self, ConditionId, Effect, Kind, Row, Set};
use super::variables::Variables;

/// A derived role, ready to be put into rows.
struct DerivedRole {
    parents: Vec<Pattern>,
    condition: Option<ConditionId>,
}

type RoleSets = HashMap<String, BTreeMap<String, DerivedRole>>;
type OldVariables = BTreeMap<String, Text>;

/// # Errors
/// Everything that keeps the set from being used.
pub(super) fn compile(mut sources: Vec<Source>) -> Result<Set, PolicyProblems> {
    let mut set = Set::default();
    let mut role_sets = RoleSets::new();
    for Source { documents, problems } in &mut sources {
        for document in documents.iter() {
            refuse_unknown(document, problems);
            if let Some(roles) = &document.derived_roles {
                derived_roles(roles, &document.variables, &mut set, &mut role_sets, problems);
            }
        }
    }
    for Source { documents, problems } in &mut sources {
        for document in documents.iter() {
            if let Some(policy) = &document.resource_policy {
                let mut build = Build { set: &mut set, role_sets: &role_sets, problems };
                build.resource_policy(policy, &document.variables);
            }
        }
    }
    let found: Vec<_> = sources.into_iter().flat_map(|source| source.problems.found).collect();
    if found.is_empty() { Ok(set) } else { Err(PolicyProblems(found)) }
}

fn refuse_unknown(document: &Document, problems: &mut Problems) {
    let line = document.api_version.referenced.line();
    if document.api_version.value != "api.cerbos.dev/v1" {
        let message =
            format!("apiVersion is '{}', expected 'api.cerbos.dev/v1'", document.api_version.value);
        problems.add(Some(line), "", message);
    }
    let unknown = [
        ("principalPolicy", document.principal_policy.is_some()),
        ("rolePolicy", document.role_policy.is_some()),
        ("exportVariables", document.export_variables.is_some()),
        ("exportConstants", document.export_constants.is_some()),
    ];
    for (name, _) in unknown.into_iter().filter(|(_, set)| *set) {
        problems.add(Some(line), "", format!("`{name}` is not supported by the embedded engine"));
    }
    let known = [document.resource_policy.is_some(), document.derived_roles.is_some()].into_iter();
    if known.chain(unknown.map(|(_, set)| set)).filter(|set| *set).count() != 1 {
        problems.add(Some(line), "", "a document holds exactly one policy");
    }
}

fn refuse_imports(
    variables: &file::Variables,
    constants: &file::Constants,
    problems: &mut Problems,
) {
    for import in variables.import.iter().chain(&constants.import) {
        let message = format!("the import of '{}' is not supported", import.value);
        problems.add(Some(import.referenced.line()), "", message);
    }
}

fn variables<'p>(
    old: &'p OldVariables,
    local: &'p file::Variables,
    constants: &'p file::Constants,
    problems: &mut Problems,
) -> Variables<'p> {
    refuse_imports(local, constants, problems);
    let mut sources = BTreeMap::new();
    for (name, source) in old.iter().chain(&local.local) {
        if sources.insert(name.as_str(), source.value.as_str()).is_some() {
            let message = format!("the variable '{name}' is defined twice");
            problems.add(Some(source.referenced.line()), "", message);
        }
    }
    Variables::new(sources, &constants.local)
}

fn derived_roles(
    roles: &file::DerivedRoles,
    old: &OldVariables,
    set: &mut Set,
    role_sets: &mut RoleSets,
    problems: &mut Problems,
) {
    let variables = variables(old, &roles.variables, &roles.constants, problems);
    let mut compiler = Compiler { variables, regexes: &mut set.regexes, problems };
    compiler.unused();
    let mut defined = BTreeMap::new();
    for definition in &roles.definitions {
        let name = &definition.name.value;
        let place = format!("derived role '{name}'");
        let condition = definition
            .condition
            .as_ref()
            .and_then(|condition| compiler.condition(condition, &place))
            .map(|condition| {
                set.conditions.push(condition);
                ConditionId(set.conditions.len() - 1)
            });
        let parents = patterns(&definition.parent_roles, &place, compiler.problems);
        let line = Some(definition.name.referenced.line());
        if parents.is_empty() {
            compiler.problems.add(line, &place, "has no usable parent role");
        }
        if defined.insert(name.clone(), DerivedRole { parents, condition }).is_some() {
            compiler.problems.add(line, &place, "is defined twice");
        }
    }
    if role_sets.insert(roles.name.value.clone(), defined).is_some() {
        let message = format!("the derived roles '{}' are defined twice", roles.name.value);
        problems.add(Some(roles.name.referenced.line()), "", message);
    }
}

/// `*` among others stands for all of them.
fn patterns(written: &[Text], place: &str, problems: &mut Problems) -> Vec<Pattern> {
    if written.iter().any(|text| text.value == "*") {
        return vec![Pattern::Any];
    }
    let mut patterns = Vec::new();
    for text in written {
        let line = Some(text.referenced.line());
        match Pattern::parse(&text.value) {
            _ if text.value.is_empty() => problems.add(line, place, "an empty name"),
            Ok(pattern) => patterns.push(pattern),
            Err(why) => problems.add(line, place, why),
        }
    }
    patterns
}

struct Build<'b> {
    set: &'b mut Set,
    role_sets: &'b RoleSets,
    problems: &'b mut Problems,
}

impl<'b> Build<'b> {
    fn resource_policy(&mut self, policy: &file::ResourcePolicy, old: &OldVariables) {
        let kind = policy.resource.value.as_str();
        let line = Some(policy.resource.referenced.line());
        self.refuse_unknown(policy);
        if !set::is_sanitised(kind) {
            self.problems.add(line, "", format!("'{kind}' is not supported as a resource kind"));
        }
        let imported = self.imported(policy);
        let mut rows = Vec::new();
        let variables = variables(old, &policy.variables, &policy.constants, self.problems);
        let mut compiler =
            Compiler { variables, regexes: &mut self.set.regexes, problems: self.problems };
        compiler.unused();
        for (index, rule) in policy.rules.iter().enumerate() {
            let name = rule.name.clone().unwrap_or_else(|| format!("rule-{:03}", index + 1));
            let place = format!("rule '{name}'");
            let condition = rule
                .condition
                .as_ref()
                .and_then(|condition| compiler.condition(condition, &place))
                .map(|condition| {
                    self.set.conditions.push(condition);
                    ConditionId(self.set.conditions.len() - 1)
                });
            rows.extend(rule_rows(rule, &name, condition, &imported, compiler.problems));
        }
        let kind = set::canonical(kind).into_owned();
        let policy: Arc<str> = format!("resource.{kind}.vdefault").into();
        if self.set.kinds.insert(kind, Kind { policy: Arc::clone(&policy), rows }).is_some() {
            self.problems.add(line, "", format!("'{policy}' is defined twice"));
        }
    }

    fn refuse_unknown(&mut self, policy: &file::ResourcePolicy) {
        let line = Some(policy.resource.referenced.line());
        if policy.version.value != "default" {
            let message = format!("version '{}' is not supported", policy.version.value);
            self.problems.add(Some(policy.version.referenced.line()), "", message);
        }
        if policy.scope.as_ref().is_some_and(|scope| !scope.value.is_empty()) {
            self.problems.add(line, "", "scopes are not supported by the embedded engine");
        }
        if policy.scope_permissions.is_some() {
            self.problems.add(line, "", "`scopePermissions` is not supported");
        }
        if policy.schemas.is_some() {
            self.problems.add(line, "", "`schemas` are not supported by the embedded engine");
        }
    }

    /// The derived roles that this policy imports, by name.
    fn imported(&mut self, policy: &file::ResourcePolicy) -> Imported<'b> {
        let mut imported = Imported::new();
        for import in &policy.import_derived_roles {
            let line = Some(import.referenced.line());
            let role_sets: &'b RoleSets = self.role_sets;
            let Some(roles) = role_sets.get(&import.value) else {
                let message = format!("the derived roles '{}' do not exist", import.value);
                self.problems.add(line, "", message);
                continue;
            };
            for (name, role) in roles {
                imported.entry(name.as_str()).or_default().push(role);
            }
        }
        imported
    }
}

/// By name; more than one is ambiguous as soon as a rule uses it.
type Imported<'s> = HashMap<&'s str, Vec<&'s DerivedRole>>;

fn rule_rows(
    rule: &file::Rule,
    name: &str,
    condition: Option<ConditionId>,
    imported: &Imported<'_>,
    problems: &mut Problems,
) -> Vec<Row> {
    let place = format!("rule '{name}'");
    let line = Some(rule.effect.referenced.line());
    let effect = match rule.effect.value.as_str() {
        "EFFECT_ALLOW" => Effect::Allow,
        "EFFECT_DENY" => Effect::Deny,
        other => {
            let message = format!("effect is '{other}', expected 'EFFECT_ALLOW' or 'EFFECT_DENY'");
            problems.add(line, &place, message);
            return Vec::new();
        }
    };
    if rule.output.is_some() {
        problems.add(line, &place, "`output` is not supported by the embedded engine");
    }
    let actions = patterns(&rule.actions, &place, problems);
    if rule.actions.is_empty() {
        problems.add(line, &place, "names no action");
    }
    if rule.roles.is_empty() && rule.derived_roles.is_empty() {
        problems.add(line, &place, "names no role");
    }
    let mut rows = Vec::new();
    let mut add = |role: &Pattern, derived: Option<ConditionId>, detail: &Arc<str>| {
        rows.extend(actions.iter().map(|action| Row {
            role: role.clone(),
            action: action.clone(),
            derived,
            condition,
            effect,
            rule: name.into(),
            detail: Arc::clone(detail),
        }));
    };
    for role in patterns(&rule.roles, &place, problems) {
        let detail = detail(effect, name, role.name());
        add(&role, None, &detail);
    }
    for written in &rule.derived_roles {
        let found = imported.get(written.value.as_str()).map_or(&[][..], Vec::as_slice);
        let [derived] = found else {
            let why = if found.is_empty() { "is not imported" } else { "is imported twice" };
            let message = format!("the derived role '{}' {why}", written.value);
            problems.add(Some(written.referenced.line()), &place, message);
            continue;
        };
        let detail = detail(effect, name, Some(&written.value));
        for parent in &derived.parents {
            add(parent, derived.condition, &detail);
        }
    }
    rows
}

fn detail(effect: Effect, rule: &str, denied_role: Option<&str>) -> Arc<str> {
    match (effect, denied_role) {
        (Effect::Allow, _) => format!("allowed by rule '{rule}'").into(),
        (Effect::Deny, Some(name)) => format!("explicitly denied by role '{name}'").into(),
        (Effect::Deny, None) => format!("explicitly denied by rule '{rule}'").into(),
    }
}
