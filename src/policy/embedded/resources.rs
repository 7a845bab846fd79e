//! Resource policies and derived roles -> rows.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::compile::{self, Build, DerivedRole, Text2, Written};
use super::expressions::{Compiler, Names, reads_runtime, unique};
use super::file::{self, Document};
use super::names;
use super::pattern::Pattern;
use super::problem::{At, Problems};
use super::registry::Identity;
use super::schema::{Schema, Schemas};
use super::set::{Derived, Effect, Kind, Registered, Row, Rule, VariablesId};

/// The derived roles that a policy imports: set and index by name. More than one is ambiguous as
/// soon as a rule uses it.
type Imported<'p> = FxHashMap<String, Vec<(&'p str, usize)>>;

impl<'s> Build<'s> {
    pub(super) fn derived_roles(
        &mut self,
        roles: &'s file::DerivedRoles,
        document: &'s Document,
        problems: &mut Problems,
    ) {
        compile::module_name(&roles.name, problems);
        let names = self.names(&roles.variables, &roles.constants, document, problems);
        let mut defined: Vec<DerivedRole> = Vec::new();
        for definition in &roles.definitions {
            let role = self.derived_role(definition, &names, problems);
            if defined.iter().any(|other| other.name == role.name) {
                let place = format!("derived role '{}'", role.name);
                problems.add((&definition.name).into(), &place, "is defined twice");
            }
            defined.push(role);
        }
        if roles.definitions.is_empty() {
            problems.add((&roles.name).into(), "", "defines no role");
        }
        if self.role_sets.insert(&roles.name.value, defined).is_some() {
            let message = format!("the derived roles '{}' are defined twice", roles.name.value);
            problems.add((&roles.name).into(), "", message);
        }
    }

    fn derived_role(
        &mut self,
        definition: &file::RoleDefinition,
        names: &Names,
        problems: &mut Problems,
    ) -> DerivedRole {
        let name = &definition.name.value;
        let place = format!("derived role '{name}'");
        compile::module_name(&definition.name, problems);
        let mut compiler = Compiler { cache: &mut self.cache, names, problems };
        let condition = definition.condition.as_ref().and_then(|it| compiler.condition(it, &place));
        let patterns = compiler.roles(&definition.parent_roles, &place);
        if patterns.is_empty() {
            let at = At::from(&definition.name);
            compiler.problems.add(at, &place, "has no usable parent role");
        }
        let variables = self.definitions.compiled.get(names.id.0 as usize);
        let depends = condition.as_ref().is_some_and(|it| reads_runtime(it, variables));
        let key = (!depends).then(|| self.key());
        let parents = patterns.iter().map(|pattern| pattern.text().into()).collect();
        let make =
            Derived { name: name.as_str().into(), parents, condition, variables: names.id, key };
        DerivedRole { name: name.clone(), make }
    }

    pub(super) fn resource_policy(
        &mut self,
        policy: &file::ResourcePolicy,
        document: &Document,
        problems: &mut Problems,
    ) {
        let identity = Identity {
            kind: "resource",
            name: &policy.resource,
            version: &policy.version.value,
            scope: policy.scope.as_ref(),
        };
        self.registry.add(&identity, problems);
        let consent = self.registry.consent(&identity, policy.scope_permissions.as_ref(), problems);
        let imported = self.imported(policy, problems);
        let names = self.names(&policy.variables, &policy.constants, document, problems);
        let key: Arc<str> = identity.key().into();
        let mut derived = Vec::new();
        let mut rows = Vec::new();
        let mut rule_names: Vec<String> = Vec::new();
        for (index, rule) in policy.rules.iter().enumerate() {
            compile::rule_name(rule.name.as_ref(), problems);
            let given = rule.name.as_ref().map(|it| it.value.clone()).filter(|it| !it.is_empty());
            let name = given.unwrap_or_else(|| format!("rule-{:03}", index + 1));
            let place = format!("rule '{name}'");
            if rule_names.contains(&name) {
                problems.add((&rule.effect).into(), &place, "has the name of another rule");
            }
            let mut compiler = Compiler { cache: &mut self.cache, names: &names, problems };
            let written = Written {
                name: Text2 { name: &name, place: &place },
                effect: compile::effect(&rule.effect, &place, compiler.problems),
                condition: rule.condition.as_ref(),
                output: rule.output.as_ref(),
                line: rule.effect.referenced.line(),
                consent,
            };
            let ready = Arc::new(compile::rule(&written, &key, &mut compiler));
            self.rows(rule, &ready, &imported, (&mut derived, &mut rows), &names, problems);
            rule_names.push(name);
        }
        let schemas = self.schemas(policy, problems);
        let kind = index(Arc::clone(&key), rows, derived, schemas);
        let registered = Registered { file: problems.file.clone(), rows: kind.rows.len() };
        self.set.policies.insert(key, registered);
        self.set.resource_scopes.or_default(identity.scope());
        let version = self.set.versions.entry(policy.version.value.as_str().into()).or_default();
        let scope = version.scopes.or_default(identity.scope());
        scope.kinds.insert(names::sanitised(&policy.resource.value).as_ref().into(), kind);
    }

    /// The rows of one rule, in the order in which the PDP makes them.
    fn rows(
        &mut self,
        rule: &file::Rule,
        ready: &Arc<Rule>,
        imported: &Imported<'_>,
        (derived, rows): (&mut Vec<Derived>, &mut Vec<Row>),
        names: &Names,
        problems: &mut Problems,
    ) {
        let place = format!("rule '{}'", ready.name);
        let mut compiler = Compiler { cache: &mut self.cache, names, problems };
        let actions = compiler.actions(&rule.actions, &place, false);
        let roles = compiler.roles(&rule.roles, &place);
        unique(&rule.derived_roles, &place, compiler.problems);
        if rule.roles.is_empty() && rule.derived_roles.is_empty() {
            compiler.problems.add((&rule.effect).into(), &place, "names no role");
        }
        let mut used: Vec<(usize, u32, Vec<Pattern>)> = Vec::new();
        for written in &rule.derived_roles {
            let found = imported.get(&written.value).map_or(&[][..], Vec::as_slice);
            let [(source, place_there)] = found else {
                let why = if found.is_empty() { "is not imported" } else { "is imported twice" };
                let message = format!("the derived role '{}' {why}", written.value);
                problems.add(written.into(), &place, message);
                continue;
            };
            let Some(defined) = self.role_sets.get(source).and_then(|all| all.get(*place_there))
            else {
                continue;
            };
            let known = derived.iter().position(|it| *it.name == *defined.name);
            let index = known.unwrap_or(derived.len());
            if known.is_none() {
                derived.push(copy(&defined.make));
            }
            let parents = defined.make.parents.iter();
            let parents =
                parents.filter_map(|parent| self.cache.pattern(parent, false).ok()).collect();
            used.push((index, self.key(), parents));
        }
        let key = self.key();
        let row = |role: &Pattern, action: &Pattern, derived, key| Row {
            rule: Arc::clone(ready),
            role: role.clone(),
            action: action.clone(),
            derived,
            key,
        };
        for action in &actions {
            rows.extend(roles.iter().map(|role| row(role, action, None, key)));
            for (index, key, parents) in &used {
                rows.extend(parents.iter().map(|role| row(role, action, Some(*index), *key)));
            }
        }
    }

    /// The derived roles that this policy imports, by name.
    fn imported(&self, policy: &file::ResourcePolicy, problems: &mut Problems) -> Imported<'s> {
        let mut imported = Imported::default();
        unique(&policy.import_derived_roles, "", problems);
        for import in &policy.import_derived_roles {
            let Some((set, roles)) = self.role_sets.get_key_value(import.value.as_str()) else {
                let message = format!("the derived roles '{}' do not exist", import.value);
                problems.add(import.into(), "", message);
                continue;
            };
            for (index, role) in roles.iter().enumerate() {
                imported.entry(role.name.clone()).or_default().push((*set, index));
            }
        }
        imported
    }

    fn schemas(
        &mut self,
        policy: &file::ResourcePolicy,
        problems: &mut Problems,
    ) -> Option<Arc<Schemas>> {
        let written = policy.schemas.as_ref()?;
        let principal = written.principal_schema.as_ref().and_then(|it| self.schema(it, problems));
        let resource = written.resource_schema.as_ref().and_then(|it| self.schema(it, problems));
        Some(Arc::new(Schemas { principal, resource }))
    }

    fn schema(&mut self, written: &file::SchemaRef, problems: &mut Problems) -> Option<Schema> {
        let names = Names { id: VariablesId(0), declarations: Arc::default() };
        let mut compiler = Compiler { cache: &mut self.cache, names: &names, problems };
        let ignored = written.ignore_when.as_ref();
        let ignored = ignored.map(|it| compiler.actions(&it.actions, "schemas", true));
        match self.schemas.load(&written.reference.value) {
            Ok(validator) => Some(Schema { validator, ignored: ignored.unwrap_or_default() }),
            Err(why) => {
                problems.add((&written.reference).into(), "schemas", why);
                None
            }
        }
    }
}

fn copy(role: &Derived) -> Derived {
    Derived {
        name: Arc::clone(&role.name),
        parents: role.parents.clone(),
        condition: role.condition.clone(),
        variables: role.variables,
        key: role.key,
    }
}

fn index(
    policy: Arc<str>,
    rows: Vec<Row>,
    derived: Vec<Derived>,
    schemas: Option<Arc<Schemas>>,
) -> Kind {
    let mut by_action: FxHashMap<Box<str>, Vec<u32>> = FxHashMap::default();
    let mut globs = Vec::new();
    for (number, row) in (0_u32..).zip(&rows) {
        match row.action.name() {
            Some(name) => by_action.entry(name.into()).or_default().push(number),
            None => globs.push(number),
        }
    }
    Kind { policy, rows, by_action, globs, derived, schemas }
}

impl Effect {
    #[must_use]
    pub const fn is_allow(self) -> bool {
        matches!(self, Self::Allow)
    }

    /// As policies and answers have it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Allow => "EFFECT_ALLOW",
            Self::Deny => "EFFECT_DENY",
        }
    }
}
