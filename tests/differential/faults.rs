//! Sets with one thing wrong: what the PDP refuses is refused here too.

use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value as Json, json};
use tidegate::policy::embedded::cel::{Declarations, Environment};

use super::campaign::engine;
use super::expressions::Expressions;
use super::policies::{self, Set};
use super::report::Report;
use super::rng::Rng;
use super::{known, shrink};

/// Where a fault is put.
enum Place {
    /// Merged into a policy of a resource.
    Policy,
    /// Merged into its first rule.
    Rule,
    /// The expression of that rule's condition.
    Expression,
    /// Merged into the document.
    Document,
    /// A document more.
    More,
}

use Place::{Document, Expression, More, Policy, Rule};

const FAULTS: &[(&str, Place, &str)] = &[
    ("an unknown key of a policy", Policy, r#"{"rule": []}"#),
    ("an unknown key of a rule", Rule, r#"{"when": "x"}"#),
    ("an unknown key of a document", Document, r#"{"policy": {}}"#),
    ("two policies in a document", Document, r#"{"rolePolicy": {"role": "r", "rules": []}}"#),
    ("another apiVersion", Document, r#"{"apiVersion": "api.cerbos.dev/v2"}"#),
    ("no version", Policy, r#"{"version": ""}"#),
    ("a version with a sign", Policy, r#"{"version": "v-1"}"#),
    ("a scope with an empty part", Policy, r#"{"scope": "a..b"}"#),
    ("a scope without its parents", Policy, r#"{"scope": "none.such"}"#),
    ("a cycle of variables", Policy, r#"{"variables": {"local": {"l1": "V.l2", "l2": "V.l1"}}}"#),
    ("a variable that reads itself", Policy, r#"{"variables": {"local": {"l1": "V.l1"}}}"#),
    ("a variable twice", Policy, r#"{"variables": {"import": ["ev"], "local": {"e1": "true"}}}"#),
    ("an import of variables that are missing", Policy, r#"{"variables": {"import": ["gone"]}}"#),
    ("an import of constants that are missing", Policy, r#"{"constants": {"import": ["gone"]}}"#),
    ("an import of roles that are missing", Policy, r#"{"importDerivedRoles": ["gone"]}"#),
    ("an unknown derived role", Rule, r#"{"derivedRoles": ["nobody"]}"#),
    ("unknown scope permissions", Policy, r#"{"scopePermissions": "SCOPE_PERMISSIONS_X"}"#),
    (
        "other scope permissions",
        Policy,
        r#"{"scopePermissions": "SCOPE_PERMISSIONS_OVERRIDE_PARENT"}"#,
    ),
    ("an unknown effect", Rule, r#"{"effect": "EFFECT_MAYBE"}"#),
    ("the effect of nothing", Rule, r#"{"effect": "EFFECT_NO_MATCH"}"#),
    ("no actions", Rule, r#"{"actions": []}"#),
    ("an empty action", Rule, r#"{"actions": [""]}"#),
    ("an action twice", Rule, r#"{"actions": ["a", "a"]}"#),
    ("no roles", Rule, r#"{"roles": [], "derivedRoles": []}"#),
    ("a glob with a bracket left open", Rule, r#"{"actions": ["[a*"]}"#),
    ("a glob with a brace left open", Rule, r#"{"actions": ["{a*"]}"#),
    ("a role glob with a bracket left open", Rule, r#"{"roles": ["[a*"]}"#),
    ("an odd name", Rule, r#"{"name": "a b"}"#),
    ("no match", Rule, r#"{"condition": {"match": {}}}"#),
    ("an empty group", Rule, r#"{"condition": {"match": {"all": {"of": []}}}}"#),
    (
        "two matches",
        Rule,
        r#"{"condition": {"match": {"expr": "true", "any": {"of": [{"expr": "true"}]}}}}"#,
    ),
    ("a script", Rule, r#"{"condition": {"script": "true"}}"#),
    ("an empty output", Rule, r#"{"output": {}}"#),
    ("an output for no case", Rule, r#"{"output": {"when": {}}}"#),
    (
        "a missing schema",
        Policy,
        r#"{"schemas": {"resourceSchema": {"ref": "cerbos:///gone.json"}}}"#,
    ),
    ("an unknown function", Expression, "nothing(1)"),
    ("an unknown name", Expression, "Q.attr.x == 1"),
    ("an unknown variable", Expression, "V.gone"),
    ("an unknown constant", Expression, "C.gone == 1"),
    ("a condition that is no boolean", Expression, "1 + 1"),
    ("an operator over types that do not fit", Expression, "1 + \"a\" == 2"),
    ("a function over a type that does not fit", Expression, "size(true) == 1"),
    ("half an expression", Expression, "R.id =="),
    ("a broken pattern", Expression, "R.id.matches(\"(\")"),
    ("a broken duration", Expression, "duration(\"x\") == duration(R.attr.u)"),
    ("a broken timestamp", Expression, "timestamp(\"x\") == timestamp(R.attr.t)"),
    ("an unknown field", Expression, "R.name == \"x\""),
    (
        "a policy twice",
        More,
        r#"{"resourcePolicy": {"resource": "k0", "version": "default", "rules": []}}"#,
    ),
    (
        "a role policy that overrides",
        More,
        r#"{"rolePolicy": {"role": "r9", "scopePermissions": "SCOPE_PERMISSIONS_OVERRIDE_PARENT", "rules": [{"resource": "k0", "allowActions": ["a"]}]}}"#,
    ),
    (
        "a role policy for a glob of roles",
        More,
        r#"{"rolePolicy": {"role": "r*", "rules": [{"resource": "k0", "allowActions": ["a"]}]}}"#,
    ),
    (
        "a role policy without actions",
        More,
        r#"{"rolePolicy": {"role": "r9", "rules": [{"resource": "k0", "allowActions": []}]}}"#,
    ),
    (
        "a principal policy for nobody",
        More,
        r#"{"principalPolicy": {"principal": "", "version": "default", "rules": []}}"#,
    ),
    (
        "a principal policy for a resource without actions",
        More,
        r#"{"principalPolicy": {"principal": "p9", "version": "default", "rules": [{"resource": "k0", "actions": []}]}}"#,
    ),
    (
        "derived roles without parents",
        More,
        r#"{"derivedRoles": {"name": "dr9", "definitions": [{"name": "x", "parentRoles": []}]}}"#,
    ),
    (
        "a derived role twice",
        More,
        r#"{"derivedRoles": {"name": "dr9", "definitions": [{"name": "x", "parentRoles": ["a"]}, {"name": "x", "parentRoles": ["b"]}]}}"#,
    ),
    (
        "derived roles of another's name",
        More,
        r#"{"derivedRoles": {"name": "dr0", "definitions": [{"name": "x", "parentRoles": ["a"]}]}}"#,
    ),
];

/// Tries some of them.
pub fn compare(binary: &Path, rng: &mut Rng, count: usize, report: &mut Report) {
    for _ in 0..count {
        let mut set = policies::generate(rng, 1);
        let name = match rng.below(FAULTS.len() + 12) {
            index if index < FAULTS.len() => spoil(&mut set, &FAULTS[index]),
            index if index < FAULTS.len() + 2 => {
                let text = "---\napiVersion: api.cerbos.dev/v1\nexportConstants: {name: more}\n";
                text.clone_into(&mut set.tail);
                "a second document in a file"
            }
            _ => {
                let Some(text) = refused_expression(rng) else { continue };
                rule(&mut set)["condition"] = json!({"match": {"expr": text}});
                "a generated expression that does not fit"
            }
        };
        judge(binary, &set, name, report);
    }
}

fn spoil(set: &mut Set, (name, place, text): &(&'static str, Place, &str)) -> &'static str {
    if matches!(place, Expression) {
        rule(set)["condition"] = json!({"match": {"expr": text}});
        return name;
    }
    let fault: Json = serde_json::from_str(text).expect("JSON");
    let members = fault.as_object().expect("members").clone();
    let target = match place {
        Policy => &mut root(set)["resourcePolicy"],
        Rule | Expression => rule(set),
        Document => root(set),
        More => {
            set.documents.push(json!({"apiVersion": policies::API}));
            set.documents.last_mut().expect("the new one")
        }
    };
    for (name, member) in members {
        target[name] = member;
    }
    name
}

/// The document of the first policy of a resource.
fn root(set: &mut Set) -> &mut Json {
    let is_one = |it: &&mut Json| it.get("resourcePolicy").is_some();
    set.documents.iter_mut().find(is_one).expect("a policy of a resource")
}

/// A rule of its own in there.
fn rule(set: &mut Set) -> &mut Json {
    let rules = root(set)["resourcePolicy"]["rules"].as_array_mut().expect("rules");
    rules.insert(0, json!({"actions": ["b"], "effect": "EFFECT_ALLOW", "roles": ["r0"]}));
    &mut rules[0]
}

/// One that the engine refuses, for another reason than those that only it has.
fn refused_expression(rng: &mut Rng) -> Option<String> {
    for _ in 0..60 {
        let text = Expressions::new(25).write('b', 2, rng);
        let refused = Environment::cerbos().compile(&text, &Declarations::new()).err();
        if refused.is_some_and(|it| known::refusal(&it.message).is_none()) {
            return Some(text);
        }
    }
    None
}

fn judge(binary: &Path, set: &Set, name: &'static str, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    set.write(folder.path());
    let ours = engine(folder.path(), &set.knobs).err().map(|it| it.to_string());
    let theirs = compile(binary, folder.path()).err();
    report.faults += 1;
    match (&ours, &theirs) {
        (Some(_), Some(_)) => report.refused_by_both += 1,
        (None, None) => {}
        (Some(why), None) => match known::refusal_of_a_fault(name, why) {
            Some(reason) => *report.refused.entry(reason).or_default() += 1,
            None => report.new.push(shrink::write_refused(set, &format!("{name}: {why}"))),
        },
        (None, Some(why)) => match known::refusal_of_the_pdp(why) {
            Some(reason) => *report.known.entry(reason).or_default() += 1,
            None => {
                report.new.push(shrink::write_refused(set, &format!("{name}: the PDP: {why}")));
            }
        },
    }
}

/// # Errors
/// Why the PDP refuses the policies.
fn compile(binary: &Path, folder: &Path) -> Result<(), String> {
    let output = Command::new(binary)
        .args(["compile", "--skip-tests"])
        .arg(folder)
        .env("CERBOS_NO_TELEMETRY", "1")
        .stdin(Stdio::null())
        .output()
        .expect("a PDP");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}
