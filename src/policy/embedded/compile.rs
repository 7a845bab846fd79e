//! Documents -> set. Whatever the engine does not know is a problem, never skipped.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::definitions::{Definitions, Exports};
use super::expressions::{Cache, Compiler, Names};
use super::file::{self, Document, Text};
use super::load;
use super::names;
use super::problem::{At, PolicyProblems, Problems};
use super::registry::Registry;
use super::schema;
use super::set::{Derived, Effect, Rule, Set};
use super::snapshot::Snapshot;

/// Everything that grows while documents are compiled.
pub(super) struct Build<'s> {
    pub set: Set,
    pub cache: Cache,
    pub definitions: Definitions,
    pub exports: Exports<'s>,
    pub role_sets: FxHashMap<&'s str, Vec<DerivedRole>>,
    pub registry: Registry,
    pub schemas: schema::Loader,
    keys: u32,
}

/// A derived role with all that policies need of it.
pub(super) struct DerivedRole {
    pub name: String,
    pub make: Derived,
}

/// # Errors
/// Everything that keeps the set from being used.
pub(super) fn compile(snapshot: &Snapshot) -> Result<Set, PolicyProblems> {
    let mut sources = load::sources(snapshot);
    let mut problems = Vec::new();
    let mut documents = Vec::new();
    for source in &mut sources {
        documents.push(&*source.documents);
        let file = source.problems.file.clone();
        problems.push(std::mem::replace(&mut source.problems, Problems::new(file)));
    }
    let mut build = Build {
        set: Set::default(),
        cache: Cache::default(),
        definitions: Definitions::default(),
        exports: Exports::default(),
        role_sets: FxHashMap::default(),
        registry: Registry::default(),
        schemas: schema::Loader::new(snapshot),
        keys: 0,
    };
    let each = |passes: &mut dyn FnMut(&'_ Document, &mut Problems), problems: &mut Vec<_>| {
        for (documents, problems) in documents.iter().zip(problems) {
            documents.iter().for_each(|document| passes(document, problems));
        }
    };
    for (documents, problems) in documents.iter().zip(&mut problems) {
        for document in *documents {
            refuse_shape(document, problems);
            build.registry.permissions(document, problems);
            build.export(document, problems);
        }
    }
    for (documents, problems) in documents.iter().zip(&mut problems) {
        for document in *documents {
            if let Some(roles) = &document.derived_roles {
                build.derived_roles(roles, document, problems);
            }
            // Exports are acceptable also when nobody imports them.
            exported_names(document, problems);
        }
    }
    each(&mut |document, problems| build.policy(document, problems), &mut problems);
    let mut found = snapshot.problems().to_vec();
    found.extend(problems.into_iter().flat_map(|it| it.found));
    build.finish(&mut found);
    if found.is_empty() { Ok(build.set) } else { Err(PolicyProblems(found)) }
}

fn refuse_shape(document: &Document, problems: &mut Problems) {
    let at = At::from(&document.api_version);
    if document.api_version.value != "api.cerbos.dev/v1" {
        let found = &document.api_version.value;
        problems.add(at, "", format!("apiVersion is '{found}', expected 'api.cerbos.dev/v1'"));
    }
    let kinds = [
        document.resource_policy.is_some(),
        document.derived_roles.is_some(),
        document.principal_policy.is_some(),
        document.role_policy.is_some(),
        document.export_variables.is_some(),
        document.export_constants.is_some(),
    ];
    if kinds.into_iter().filter(|is_there| *is_there).count() != 1 {
        problems.add(at, "", "a document holds exactly one policy");
    }
    let is_export = document.export_variables.is_some() || document.export_constants.is_some();
    if is_export && !document.variables.is_empty() {
        problems.add(at, "", "an export has no variables of its own");
    }
}

fn exported_names(document: &Document, problems: &mut Problems) {
    for name in document.export_variables.iter().flat_map(|it| it.definitions.keys()) {
        if !names::is_identifier(name) {
            problems.add(At::NOWHERE, "", format!("'{name}' is no name for a variable"));
        }
    }
    for name in document.export_constants.iter().flat_map(|it| it.definitions.keys()) {
        if !names::is_identifier(name) {
            problems.add(At::NOWHERE, "", format!("'{name}' is no name for a constant"));
        }
    }
}

impl<'s> Build<'s> {
    fn export(&mut self, document: &'s Document, problems: &mut Problems) {
        let mut twice = None;
        if let Some(exported) = &document.export_variables {
            module_name(&exported.name, problems);
            let what = (problems.file.clone(), &exported.definitions);
            let earlier = self.exports.variables.insert(&exported.name.value, what);
            twice = earlier.map(|_| &exported.name);
        }
        if let Some(exported) = &document.export_constants {
            module_name(&exported.name, problems);
            let earlier =
                self.exports.constants.insert(&exported.name.value, &exported.definitions);
            twice = twice.or(earlier.map(|_| &exported.name));
        }
        if let Some(name) = twice {
            problems.add(name.into(), "", format!("the export '{}' is defined twice", name.value));
        }
    }

    fn policy(&mut self, document: &Document, problems: &mut Problems) {
        if let Some(policy) = &document.resource_policy {
            self.resource_policy(policy, document, problems);
        }
        if let Some(policy) = &document.principal_policy {
            self.principal_policy(policy, document, problems);
        }
        if let Some(policy) = &document.role_policy {
            self.role_policy(policy, document, problems);
        }
    }

    pub fn names(
        &mut self,
        variables: &file::Variables,
        constants: &file::Constants,
        document: &Document,
        problems: &mut Problems,
    ) -> Names {
        let written = (variables, constants, &document.variables);
        self.definitions.names(written, &self.exports, &mut self.cache, problems)
    }

    pub fn key(&mut self) -> u32 {
        self.keys += 1;
        self.keys
    }
}

/// What all kinds of rules have.
pub(super) struct Written<'w> {
    pub name: Text2<'w>,
    pub effect: Effect,
    pub condition: Option<&'w file::Condition>,
    pub output: Option<&'w file::Output>,
    pub line: u64,
    pub consent: bool,
}

/// The name of a rule, and where it stands.
pub(super) struct Text2<'w> {
    pub name: &'w str,
    pub place: &'w str,
}

/// # Errors
/// Nothing: what is wrong becomes a problem, and the rule has no condition then.
pub(super) fn rule(written: &Written<'_>, policy: &Arc<str>, compiler: &mut Compiler<'_>) -> Rule {
    let Text2 { name, place } = written.name;
    let condition = written.condition.and_then(|it| compiler.condition(it, place));
    let (activated, not_met) = compiler.output(written.output, place);
    // Where the parent has to consent, a condition that does not hold is a refusal.
    let (effect, condition) = match (written.effect, condition) {
        (Effect::Allow, Some(condition)) if written.consent => {
            (Effect::Deny, Some(super::set::Condition::NoneOf(Box::new([condition]))))
        }
        other => other,
    };
    Rule {
        name: name.into(),
        source: format!("{policy}#{name}").into(),
        policy: Arc::clone(policy),
        allows: format!("allowed by rule '{name}'").into(),
        effect,
        condition,
        variables: compiler.names.id,
        activated,
        not_met,
        line: u32::try_from(written.line).unwrap_or(0),
    }
}

pub(super) fn effect(text: &Text, place: &str, problems: &mut Problems) -> Effect {
    match text.value.as_str() {
        "EFFECT_ALLOW" => Effect::Allow,
        "EFFECT_DENY" => Effect::Deny,
        other => {
            let message = format!("effect is '{other}', expected 'EFFECT_ALLOW' or 'EFFECT_DENY'");
            problems.add(text.into(), place, message);
            Effect::Deny
        }
    }
}

pub(super) fn rule_name(name: Option<&Text>, problems: &mut Problems) {
    if let Some(name) = name
        && !names::is_rule_name(&name.value)
    {
        problems.add(name.into(), "", format!("'{}' is no name for a rule", name.value));
    }
}

pub(super) fn module_name(name: &Text, problems: &mut Problems) {
    if !names::is_module_name(&name.value) {
        problems.add(name.into(), "", format!("'{}' is no name", name.value));
    }
}
