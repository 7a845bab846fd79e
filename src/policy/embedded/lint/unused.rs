//! Names that nobody uses.

use super::super::file::{Condition, Constants, Document, Output, ResourcePolicy, Text, Variables};
use super::super::problem::At;
use super::{Findings, LintRule, Policies, conditions};

pub(super) fn lint(policies: &Policies<'_>, document: &Document, findings: &mut Findings<'_>) {
    if let Some(policy) = &document.resource_policy {
        imports(policies, policy, findings);
    }
    if let Some(set) = &document.derived_roles {
        findings.policy = format!("derived_roles.{}", set.name.value);
        for role in &set.definitions {
            if !is_role_used(policies, &set.name.value, &role.name.value) {
                let place = format!("derived role '{}'", role.name.value);
                let message = "no rule names it";
                findings.add(LintRule::DerivedRoleUnused, (&role.name).into(), &place, message);
            }
        }
    }
    exports(policies, document, findings);
    names(document, findings);
}

fn is_role_used(policies: &Policies<'_>, set: &str, role: &str) -> bool {
    let all = policies.documents.iter().filter_map(|(_, it)| it.resource_policy.as_ref());
    let mut importing = all.filter(|it| it.import_derived_roles.iter().any(|it| it.value == set));
    importing.any(|policy| {
        policy.rules.iter().any(|rule| rule.derived_roles.iter().any(|it| it.value == role))
    })
}

fn imports(policies: &Policies<'_>, policy: &ResourcePolicy, findings: &mut Findings<'_>) {
    for import in &policy.import_derived_roles {
        let sets = policies.documents.iter().filter_map(|(_, it)| it.derived_roles.as_ref());
        let mut of = sets.filter(|set| set.name.value == import.value);
        let Some(set) = of.next() else { continue };
        let used = set.definitions.iter().any(|role| {
            let mut rules = policy.rules.iter();
            rules.any(|rule| rule.derived_roles.iter().any(|it| it.value == role.name.value))
        });
        if !used {
            let message = format!("no rule names a derived role of '{}'", import.value);
            findings.add(LintRule::ImportUnused, import.into(), "", message);
        }
    }
}

fn exports(policies: &Policies<'_>, document: &Document, findings: &mut Findings<'_>) {
    let is_imported = |name: &Text, of: fn(&Document) -> &[Text]| {
        policies.documents.iter().any(|(_, it)| of(it).iter().any(|it| it.value == name.value))
    };
    if let Some(exported) = &document.export_variables
        && !is_imported(&exported.name, imported_variables)
    {
        let message = format!("nobody imports the variables '{}'", exported.name.value);
        findings.add(LintRule::ExportUnused, (&exported.name).into(), "", message);
    }
    if let Some(exported) = &document.export_constants
        && !is_imported(&exported.name, imported_constants)
    {
        let message = format!("nobody imports the constants '{}'", exported.name.value);
        findings.add(LintRule::ExportUnused, (&exported.name).into(), "", message);
    }
}

/// What a policy defines and imports.
fn defined(document: &Document) -> Option<(&Variables, &Constants)> {
    let resource = document.resource_policy.as_ref().map(|it| (&it.variables, &it.constants));
    let principal = document.principal_policy.as_ref().map(|it| (&it.variables, &it.constants));
    let role = document.role_policy.as_ref().map(|it| (&it.variables, &it.constants));
    let derived = document.derived_roles.as_ref().map(|it| (&it.variables, &it.constants));
    resource.or(principal).or(role).or(derived)
}

fn imported_variables(document: &Document) -> &[Text] {
    defined(document).map_or(&[], |(variables, _)| &variables.import)
}

fn imported_constants(document: &Document) -> &[Text] {
    defined(document).map_or(&[], |(_, constants)| &constants.import)
}

/// Local variables and constants that no expression of the policy reads.
fn names(document: &Document, findings: &mut Findings<'_>) {
    let Some((variables, constants)) = defined(document) else { return };
    let mut sources = expressions(document);
    sources.extend(variables.local.values().map(|it| it.value.as_str()));
    sources.extend(document.variables.values().map(|it| it.value.as_str()));
    let local = variables.local.iter().chain(&document.variables);
    for (name, at) in local {
        if !is_read(&sources, ["V", "variables"], name) {
            let message = format!("no expression reads the variable '{name}'");
            findings.add(LintRule::VariableUnused, At::from(at), "variables", message);
        }
    }
    for (name, at) in &constants.local {
        if !is_read(&sources, ["C", "constants"], name) {
            let message = format!("no expression reads the constant '{name}'");
            findings.add(LintRule::ConstantUnused, At::from(at), "constants", message);
        }
    }
}

/// Whether a name may be read: it stands there as a word, or its map is used as a whole.
fn is_read(sources: &[&str], maps: [&str; 2], name: &str) -> bool {
    let words = |source: &str| {
        let mut words = source.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        let has_map = words.clone().any(|word| maps.contains(&word));
        has_map && words.any(|word| word == name)
    };
    sources.iter().any(|source| words(source))
}

fn expressions(document: &Document) -> Vec<&str> {
    let mut found = Vec::new();
    if let Some(policy) = &document.resource_policy {
        for rule in &policy.rules {
            rule_of(rule.condition.as_ref(), rule.output.as_ref(), &mut found);
        }
    }
    if let Some(policy) = &document.principal_policy {
        for rule in policy.rules.iter().flat_map(|rule| &rule.actions) {
            rule_of(rule.condition.as_ref(), rule.output.as_ref(), &mut found);
        }
    }
    if let Some(policy) = &document.role_policy {
        for rule in &policy.rules {
            rule_of(rule.condition.as_ref(), rule.output.as_ref(), &mut found);
        }
    }
    if let Some(set) = &document.derived_roles {
        for role in &set.definitions {
            rule_of(role.condition.as_ref(), None, &mut found);
        }
    }
    found
}

fn rule_of<'d>(
    condition: Option<&'d Condition>,
    output: Option<&'d Output>,
    found: &mut Vec<&'d str>,
) {
    if let Some(tree) = condition.and_then(|it| it.matches.as_ref()) {
        conditions::expressions(tree, found);
    }
    let when = output.and_then(|it| it.when.as_ref());
    let texts = [
        output.and_then(|it| it.expr.as_ref()),
        when.and_then(|it| it.rule_activated.as_ref()),
        when.and_then(|it| it.condition_not_met.as_ref()),
    ];
    found.extend(texts.into_iter().flatten().map(|text| text.value.as_str()));
}
