use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{load, read_one, written};
use crate::config::Problems;
use crate::domain::template::{Approvers, Catalog, FieldKind, Requesters};

const GOOD: &str = r#"
templates:
  - name: operator
    enabled: true
    accesses: ["warehouse:operator"]
    durations: [PT30M, PT1H]
    requesters: { groups: [engineering] }
    justification: { pattern: "INC-[0-9]+", message: Name it }
    fields: [{ name: ticket, type: text }, { name: site, type: select, options: [north] }]
    steps: [{ approvers: { groups: [leads] } }, { approvers: { any: true }, required: 2 }]
"#;

struct Folder(tempfile::TempDir);

impl Folder {
    fn with(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().expect("a folder"));
        for (name, text) in files {
            std::fs::write(folder.0.path().join(name), text).expect("written");
        }
        folder
    }

    fn load(&self) -> Result<Catalog, Problems> {
        let tools: [Arc<str>; 1] = ["warehouse".into()];
        load(self.0.path(), &tools)
    }
}

fn changed(from: &str, to: &str) -> String {
    assert!(GOOD.contains(from), "{from}");
    GOOD.replacen(from, to, 1)
}

#[test]
fn a_template_has_its_documented_defaults() {
    let catalog =
        Folder::with(&[("a.yaml", GOOD)]).load().map_err(|p| p.to_string()).expect("loads");
    let template = &catalog.templates["operator"];
    assert_eq!(&*template.title, "operator");
    assert_eq!(template.default_duration, Duration::from_secs(1800));
    assert_eq!(template.pending_for, Duration::from_secs(86_400));
    assert!(!template.self_approval && !template.require_justification);
    assert_eq!(template.requesters, Requesters::Groups(vec!["engineering".into()]));
    assert_eq!(template.fields[0].kind, FieldKind::Text { max: 200 });
    assert!(!template.fields[0].required);
    assert_eq!(template.steps[0].required, 1);
    assert_eq!((&template.steps[1].approvers, template.steps[1].required), (&Approvers::Anyone, 2));
}

#[test]
fn a_template_is_off_until_enabled() {
    let text = changed("    enabled: true\n", "");
    let catalog = Folder::with(&[("a.yaml", &text)]).load().expect("loads");
    assert!(!catalog.templates["operator"].enabled);
}

#[test]
fn only_yaml_files_of_the_directory_itself_are_read() {
    let files = [("b.yml", GOOD), ("notes.txt", "]"), (".hidden.yaml", "]"), ("a.yaml.bak", "]")];
    assert_eq!(Folder::with(&files).load().expect("loads").templates.len(), 1);
    assert!(Folder::with(&[]).load().expect("an empty catalog").templates.is_empty());
}

/// What is replaced in the good file, by what, at which key of the template, words of the message.
struct Bad(&'static str, &'static str, &'static str, &'static [&'static str]);

const STEPS: &str =
    "steps: [{ approvers: { groups: [leads] } }, { approvers: { any: true }, required: 2 }]";

const BAD: &[Bad] = &[
    Bad("enabled:", "enable:", ".enable", &["unknown key", "did you mean `enabled`?"]),
    Bad("enabled: true", "enabled: yes", ".enabled", &["\"yes\"", "true or false"]),
    Bad("name: operator", "title: x", ".name", &["found nothing"]),
    Bad("name: operator", "name: a/b", ".name", &["\"a/b\""]),
    Bad("[\"warehouse:operator\"]", "[]", ".accesses", &["an empty list"]),
    Bad("warehouse:operator", "warehouse", ".accesses[0]", &["\"warehouse\"", "TOOL:ROLE"]),
    Bad(
        "warehouse:operator",
        "wharehouse:operator",
        ".accesses[0]",
        &["wharehouse", "configured tool"],
    ),
    Bad("[PT30M, PT1H]", "[]", ".durations", &["an empty list"]),
    Bad("[PT30M, PT1H]", "[PT0S]", ".durations[0]", &["PT0S", "longer than zero"]),
    Bad("[PT30M, PT1H]", "[30m]", ".durations[0]", &["30m", "ISO 8601"]),
    Bad("[PT30M, PT1H]", "[PT60M, PT1H]", ".durations", &["twice"]),
    Bad(
        "[PT30M, PT1H]",
        "[PT30M]\n    default_duration: PT2H",
        ".default_duration",
        &["PT2H", "one of `durations`"],
    ),
    Bad("[PT30M, PT1H]", "[PT30M]\n    pending_for: PT0S", ".pending_for", &["longer than zero"]),
    Bad("{ groups: [engineering] }", "{ groups: [] }", ".requesters.groups", &["an empty list"]),
    Bad(
        "{ groups: [engineering] }",
        "{ groups: everybody }",
        ".requesters.groups",
        &["\"everybody\"", "at least one"],
    ),
    Bad("INC-[0-9]+", "INC-[0-9", ".justification.pattern", &["INC-[0-9", "compiles"]),
    Bad("INC-[0-9]+", "(a{1000}){1000}", ".justification.pattern", &["compiles"]),
    Bad(", message: Name it", "", ".justification.message", &["found nothing"]),
    Bad("type: text", "type: string", ".fields[0].type", &["text, select, checkbox, number"]),
    Bad("type: text", "type: text, options: [a]", ".fields[0].options", &["unknown key"]),
    Bad("type: text", "type: text, max: 0", ".fields[0].max", &["the number 0"]),
    Bad(", options: [north]", "", ".fields[1].options", &["found nothing"]),
    Bad("name: site", "name: ticket", ".fields", &["the same name"]),
    Bad(STEPS, "scopes: [a]", ".steps", &["found nothing", "somebody has to decide"]),
    Bad(STEPS, "steps: []", ".steps", &["an empty list"]),
    Bad("required: 2", "required: 0", ".steps[1].required", &["from 1"]),
    Bad("{ any: true }", "{ any: false }", ".steps[1].approvers.any", &["true"]),
    Bad(
        "{ any: true }",
        "{ any: true, groups: [a] }",
        ".steps[1].approvers",
        &["both groups and any"],
    ),
    Bad("{ any: true }", "{}", ".steps[1].approvers", &["nobody"]),
    Bad("{ groups: [leads] }", "{ groups: [] }", ".steps[0].approvers.groups", &["an empty list"]),
    Bad(
        "enabled: true",
        "enabled: true\n    auto_approve: { when: \"request.durations < 1\" }",
        ".auto_approve.when",
        &["request.durations", "line 1, column", "did you mean 'duration'?"],
    ),
    Bad(
        "enabled: true",
        "enabled: true\n    auto_approve: { when: \"P.id == 'x'\" }",
        ".auto_approve.when",
        &["unknown name 'P'"],
    ),
    Bad(
        "enabled: true",
        "enabled: true\n    auto_approve: { when: request.template }",
        ".auto_approve.when",
        &["string, not bool"],
    ),
    Bad("enabled: true", "enabled: true\n    auto_approve: {}", ".auto_approve.when", &["nothing"]),
];

#[test]
fn every_bad_template_is_refused_once_with_its_file_and_key_path() {
    for Bad(from, to, key, words) in BAD {
        let folder = Folder::with(&[("cat.yaml", &changed(from, to))]);
        let problems = folder.load().expect_err(to);
        let told = problems.to_string();
        let expected = format!("templates[0]{key}");
        assert!(problems.0.iter().any(|p| p.path == expected), "{to}: no {expected} in {told}");
        assert!(words.iter().all(|word| told.contains(word)), "{to}: {told}");
        let once = problems.0.len() == 1 || *key == ".enable";
        assert!(once && problems.0.iter().all(|p| p.file.ends_with("cat.yaml")), "{to}: {told}");
    }
}

#[test]
fn a_rule_is_kept_as_it_was_written_and_no_longer_than_4_kib() {
    let with = |rule: &str| {
        let text = format!("    enabled: true\n    auto_approve: {{ when: \"{rule}\" }}\n");
        Folder::with(&[("a.yaml", &changed("    enabled: true\n", &text))]).load()
    };
    let rule = "'a' in requester.groups && now.getHours() < 9";
    let catalog = with(rule).map_err(|problems| problems.to_string()).expect("loads");
    assert_eq!(catalog.templates["operator"].rules.auto_approve.as_deref(), Some(rule));
    let long = format!("{rule} && '{}' == ''", "x".repeat(4096));
    assert!(with(&long).expect_err("long").to_string().contains("at most 4096 bytes"));
    let deep = format!("{}true{}", "(".repeat(1000), ")".repeat(1000));
    assert!(with(&deep).is_err());
}

#[test]
fn what_this_version_cannot_do_is_refused_and_never_ignored() {
    for key in super::template::LATER {
        let text = changed("    enabled: true\n", &format!("    enabled: true\n    {key}: {{}}\n"));
        let told = Folder::with(&[("a.yaml", &text)]).load().expect_err(key).to_string();
        assert!(told.contains(&format!("templates[0].{key}")), "{told}");
        assert!(
            told.contains("not supported by this version yet") && told.contains("removed"),
            "{told}"
        );
    }
}

#[test]
fn a_name_is_taken_by_one_template_over_all_files() {
    let told = Folder::with(&[("a.yaml", GOOD), ("b.yaml", GOOD)]).load().expect_err("twice");
    assert_eq!(told.0.len(), 1, "{told}");
    assert!(told.0[0].file.ends_with("b.yaml") && told.to_string().contains("a.yaml has already"));
}

#[test]
fn the_problems_of_all_files_come_at_once() {
    let one = changed("enabled:", "enable:");
    let two = changed("required: 2", "required: 0").replace("operator", "viewer");
    let files = [("a.yaml", one.as_str()), ("b.yaml", &two), ("c.yaml", "["), ("d.yaml", "")];
    let problems = Folder::with(&files).load().expect_err("four").0;
    let names: Vec<&str> = problems.iter().filter_map(|p| p.file.rsplit('/').next()).collect();
    assert_eq!(names, ["a.yaml", "b.yaml", "c.yaml", "d.yaml"]);
}

#[test]
fn a_catalog_that_is_not_there_is_a_problem() {
    let told = load(Path::new("/nowhere/at/all"), &[]).expect_err("none").to_string();
    assert!(told.contains("no readable directory"), "{told}");
}

#[test]
fn a_template_is_written_so_that_it_reads_back_as_itself() {
    let tools: [Arc<str>; 2] = ["warehouse".into(), "wiki".into()];
    let everything = serde_json::json!({
        "name": "all", "enabled": true, "title": "All", "scopes": ["eu"], "accesses": ["warehouse:operator"],
        "durations": ["PT30M", "PT1H"], "default_duration": "PT1H", "pending_for": "PT8H",
        "requesters": { "groups": ["engineering"] }, "require_justification": true,
        "justification": { "pattern": "INC-[0-9]+", "message": "Name it" },
        "fields": [
            { "name": "ticket", "type": "text", "max": 5, "required": true },
            { "name": "site", "type": "select", "options": ["north"] },
            { "name": "sure", "type": "checkbox" }, { "name": "count", "type": "number" },
        ],
        "steps": [{ "approvers": { "groups": ["leads"] }, "required": 2 }, { "approvers": { "any": true } }],
        "self_approval": true, "auto_approve": { "when": "true" },
        "notify": { "policy": "round_robin", "count": 2 },
        "escalation": { "after": "PT15M", "groups": ["bosses"] },
        "extension": { "max": 2, "steps": ["PT30M"] }, "warn_before_end": "PT5M",
        "break_glass": { "groups": ["on-call"], "duration": "PT30M", "review_within": "P1D" },
        "conflicts_with": ["wiki:editor"],
        "eligible": { "groups": ["a"], "subjects": ["b"], "until": "2027-01-31T00:00:00Z", "approval": true },
    });
    let serde_json::Value::Object(body) = everything else { panic!("an object") };
    let template = read_one("all", body.clone(), &tools).expect("good");
    let shown = written(&template);
    let keys = |map: &serde_json::Map<_, _>| map.keys().cloned().collect::<Vec<String>>();
    assert_eq!(keys(&shown), keys(&body), "nothing is left out");
    assert_eq!(read_one("all", shown, &tools), Ok(template));
    let mut least = body;
    least.retain(|key, _| ["accesses", "durations", "steps"].contains(&key.as_str()));
    let template = read_one("all", least, &tools).expect("good");
    assert_eq!(read_one("all", written(&template), &tools), Ok(template));
}

#[test]
fn the_version_of_a_template_in_a_file_changes_with_its_content_alone() {
    let version = |text: &str| {
        Folder::with(&[("a.yaml", text)]).load().expect("good").templates["operator"].version()
    };
    let first = version(GOOD);
    assert_eq!(first.len(), 16);
    assert_eq!(version(&format!("# a comment\n{GOOD}")), first);
    assert_ne!(version(&changed("INC-", "TKT-")), first);
}

/// To write it anew: `UPDATE_SCHEMA=1 cargo test the_committed_schema`.
#[test]
fn the_committed_schema_of_the_catalog_is_the_one_that_the_types_give() {
    let fresh = serde_json::to_string_pretty(&super::file::schema()).expect("JSON") + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/catalog.schema.json");
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &fresh).expect("written");
    }
    let committed = std::fs::read_to_string(path).unwrap_or_default();
    assert!(committed == fresh, "run this test with UPDATE_SCHEMA=1");
}

/// The reader's own list of keys, from what it says about an unknown one in every mapping.
#[test]
fn the_schema_of_the_catalog_has_exactly_the_keys_that_the_reader_knows() {
    let text = "
zz: 1
templates:
  - zz: 1
    name: a
    accesses: [\"warehouse:a\"]
    durations: [PT1H]
    requesters: { zz: 1, groups: [a] }
    justification: { zz: 1, pattern: a, message: a }
    fields: [{ zz: 1, name: a, type: text, options: [a] }, { zz: 1, name: b, type: select, options: [a] }]
    steps: [{ zz: 1, approvers: { zz: 1, groups: [a] } }]
    auto_approve: { zz: 1, when: a }
    notify: { zz: 1, policy: all }
    escalation: { zz: 1, after: PT1M, groups: [a] }
    extension: { zz: 1, max: 1, steps: [PT1M] }
    break_glass: { zz: 1, groups: [a], duration: PT1M, review_within: PT1M }
    eligible: { zz: 1, groups: [a] }
";
    let problems = Folder::with(&[("a.yaml", text)]).load().expect_err("unknown keys").0;
    let schema = super::file::schema();
    let mut seen = 0;
    for problem in problems.iter().filter(|problem| problem.path.ends_with("zz")) {
        let words = problem.expected.strip_prefix("one of the keys ").expect("a list of keys");
        let known: BTreeSet<&str> = words.split(", ").collect();
        let place = problem.path.trim_end_matches("zz").trim_end_matches('.');
        let properties = properties(&schema, place);
        if place.contains("fields[") {
            // Which of the others belong to a field depends on its type.
            assert!(known.is_subset(&properties), "{place}");
        } else {
            assert_eq!(properties, known, "{place}");
        }
        seen += 1;
    }
    assert_eq!(seen, 14);
}

#[test]
fn the_shipped_catalogs_and_what_is_written_fit_the_schema() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let validator = jsonschema::validator_for(&super::file::schema()).expect("a schema");
    for folder in ["config/catalog", "examples/company/catalog"] {
        for entry in std::fs::read_dir(root.join(folder)).expect("a folder") {
            let text = std::fs::read_to_string(entry.expect("a file").path()).expect("text");
            let value: serde_json::Value = serde_saphyr::from_str(&text).expect("YAML");
            let wrong: Vec<String> =
                validator.iter_errors(&value).map(|it| it.to_string()).collect();
            assert!(wrong.is_empty(), "{folder}: {wrong:?}");
        }
    }
    let good = Folder::with(&[("a.yaml", GOOD)]).load().expect("good");
    let all: Vec<_> = good.templates.values().map(|template| written(template)).collect();
    let shown = serde_json::json!({ "templates": all });
    assert!(validator.is_valid(&shown), "{shown}");
}

fn properties<'a>(schema: &'a serde_json::Value, path: &str) -> BTreeSet<&'a str> {
    let mut at = schema;
    for step in path.split('.').filter(|step| !step.is_empty()) {
        let name = step.split('[').next().expect("a name");
        at = &object(schema, at)["properties"][name];
        if step.contains('[') {
            at = &at["items"];
        }
    }
    let members = object(schema, at)["properties"].as_object();
    members.expect(path).keys().map(String::as_str).collect()
}

/// Follows references, and takes the alternative that is a mapping.
fn object<'a>(
    schema: &'a serde_json::Value,
    mut at: &'a serde_json::Value,
) -> &'a serde_json::Value {
    loop {
        if let Some(name) = at["$ref"].as_str() {
            at = schema.pointer(name.trim_start_matches('#')).expect("a definition");
        } else if let Some(choices) = at["anyOf"].as_array() {
            at = choices.iter().find(|choice| choice["$ref"].is_string()).expect("a mapping");
        } else {
            return at;
        }
    }
}
