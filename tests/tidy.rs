//! The structure of the code: layers, sizes, and words that must not stand in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which modules of the crate a layer may import. A module that is not listed is a failure: a new
/// one has to find its place here.
const LAYERS: &[(&str, &[&str])] = &[
    ("domain", &["domain"]),
    ("problem", &[]),
    ("clock", &["domain"]),
    ("entropy", &["domain"]),
    ("shutdown", &[]),
    ("config", &["config", "domain"]),
    ("catalog", &["catalog", "config", "domain", "policy"]),
    ("telemetry", &["telemetry", "domain", "entropy", "clock", "problem", "store"]),
    ("cloudevents", &["domain", "store", "telemetry"]),
    ("tls", &["tls", "config", "domain", "iso8601"]),
    ("http_client", &["tls"]),
    ("strict_json", &[]),
    ("json_weight", &[]),
    ("digest_map", &[]),
    (
        "resources",
        &[
            "resources",
            "domain",
            "config",
            "clock",
            "http_client",
            "strict_json",
            "json_weight",
            "policy",
            "telemetry",
        ],
    ),
    (
        "directory",
        &["directory", "domain", "config", "clock", "http_client", "strict_json", "telemetry"],
    ),
    ("explain", &["explain", "domain"]),
    (
        "identity",
        &[
            "identity",
            "domain",
            "policy",
            "config",
            "problem",
            "clock",
            "http_client",
            "strict_json",
            "json_weight",
            "digest_map",
            "telemetry",
            "tls",
        ],
    ),
    ("policy", &["policy", "domain", "config", "json_weight", "tls"]),
    ("store", &["store", "domain", "config", "clock", "digest_map", "entropy", "tls"]),
    (
        "gateway",
        &[
            "gateway",
            "tls",
            "explain",
            "domain",
            "identity",
            "policy",
            "resources",
            "store",
            "config",
            "problem",
            "clock",
            "entropy",
            "telemetry",
        ],
    ),
    (
        "approvals",
        &[
            "approvals",
            "catalog",
            "strict_json",
            "tls",
            "explain",
            "domain",
            "identity",
            "policy",
            "store",
            "config",
            "problem",
            "clock",
            "entropy",
            "telemetry",
            "cloudevents",
            "json_weight",
        ],
    ),
    (
        "outbox",
        &[
            "outbox",
            "domain",
            "store",
            "clock",
            "entropy",
            "config",
            "telemetry",
            "cloudevents",
            "http_client",
        ],
    ),
    ("admin", &["admin", "telemetry", "clock"]),
    ("dev_idp", &["dev_idp", "domain", "clock", "entropy", "problem"]),
    ("sample_tool", &[]),
    (
        "cli",
        &[
            "cli",
            "app",
            "config",
            "catalog",
            "domain",
            "http_client",
            "clock",
            "telemetry",
            "policy",
            "dev_idp",
            "sample_tool",
            "entropy",
            "store",
            "identity",
            "problem",
        ],
    ),
    (
        "app",
        &[
            "app",
            "tls",
            "admin",
            "approvals",
            "catalog",
            "clock",
            "cloudevents",
            "config",
            "directory",
            "domain",
            "entropy",
            "explain",
            "gateway",
            "identity",
            "outbox",
            "policy",
            "resources",
            "shutdown",
            "problem",
            "store",
            "telemetry",
        ],
    ),
];

fn sources() -> Vec<(PathBuf, String)> {
    sources_in(&["src"])
}

fn sources_in(folders: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                found.push((path, text));
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for folder in folders {
        walk(&root.join(folder), &mut found);
    }
    for (path, _) in &mut found {
        *path = path.strip_prefix(root).expect("below the root").to_path_buf();
    }
    found
}

/// The top-level module of a source file: `src/store/seal.rs` -> `store`.
fn layer(path: &Path) -> String {
    let part = path.components().nth(1).expect("below src").as_os_str().to_string_lossy();
    part.trim_end_matches(".rs").to_owned()
}

/// Every `name` of `crate::name` and `crate::{name, other::inner}` outside comments.
fn imports(text: &str) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let code = code.collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => found.extend(outermost(list)),
            None => found.push(word(rest)),
        }
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The first words of the entries of a list in braces, up to its end.
fn outermost(list: &str) -> Vec<String> {
    let (mut depth, mut found) = (0, vec![word(list.trim_start())]);
    for (at, letter) in list.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => found.push(word(list[at + 1..].trim_start())),
            _ => (),
        }
    }
    found
}

#[test]
fn lists_of_imports_are_read_too() {
    let text = "use crate::{approvals, store::{self, Load}, gateway};\nuse crate::config::Rule;";
    assert_eq!(imports(text), ["approvals", "store", "gateway", "config"]);
}

#[test]
fn the_security_page_has_every_threat_once_and_names_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("docs/security.md")).expect("the page");
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| T")).collect();
    let numbers: Vec<&str> =
        rows.iter().map(|row| &row[2..row[2..].find(' ').unwrap() + 2]).collect();
    let all: Vec<String> = (1..=112).map(|number| format!("T{number:02}")).collect();
    assert_eq!(numbers, all);
    let code: String = sources_in(&["src", "tests"]).into_iter().map(|(_, text)| text).collect();
    // A name that only stands in a comment proves nothing.
    let functions: BTreeSet<String> = code.split("fn ").skip(1).map(word).collect();
    // Rows without a number are those that the list of threats did not foresee.
    let others = page.lines().filter(|it| it.starts_with("| | ") && !it.starts_with("| | Threat"));
    for row in rows.into_iter().chain(others) {
        let proof = row.trim_end_matches('|').rsplit('|').next().expect("a last cell");
        for test in proof.split('`').skip(1).step_by(2) {
            assert!(functions.contains(test), "no test is called {test}");
        }
        assert!(
            proof.contains('`') || row.contains("not yet") || row.contains("not tested"),
            "{row}"
        );
    }
}

#[test]
fn imports_point_inward() {
    let mut wrong = Vec::new();
    for (path, text) in sources() {
        let layer = layer(&path);
        if matches!(layer.as_str(), "lib" | "main") {
            continue;
        }
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| *name == layer) else {
            wrong.push(format!("{}: the module {layer} has no place in LAYERS", path.display()));
            continue;
        };
        let is_test = path.to_string_lossy().contains("test");
        for import in imports(&text) {
            let known = import == "iso8601" || import == layer;
            if !is_test && !known && !import.is_empty() && !allowed.contains(&import.as_str()) {
                wrong.push(format!("{}: {layer} imports {import}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_domain_is_pure() {
    let banned = ["async fn", "tokio", "tracing", "std::fs", "std::net", "SystemTime", "Instant"];
    for (path, text) in sources().iter().filter(|(path, _)| layer(path) == "domain") {
        for word in banned {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

#[test]
fn the_policy_engine_stands_alone() {
    let engine = |path: &&(PathBuf, String)| path.0.starts_with("src/policy/embedded");
    for (path, text) in sources().iter().filter(engine) {
        for import in imports(text) {
            assert_eq!(import, "policy", "{}", path.display());
        }
    }
}

#[test]
fn unsafe_code_stands_in_one_file() {
    let word = concat!("unsafe", " ");
    let has = |(path, text): (PathBuf, String)| text.contains(word).then_some(path);
    let found: Vec<PathBuf> =
        sources_in(&["src", "crates", "benches"]).into_iter().filter_map(has).collect();
    assert_eq!(found, [Path::new("crates/turn/src/ring.rs")]);
}

#[test]
fn no_file_is_too_long_to_read() {
    for (path, text) in sources_in(&["src", "crates"]) {
        let lines = text.lines().count();
        let limit = if path.to_string_lossy().contains("test") { 800 } else { 400 };
        assert!(lines <= limit, "{} has {lines} lines", path.display());
    }
}

#[test]
fn handlers_of_the_api_cannot_reach_sinks_or_the_gateway() {
    for (path, text) in sources().iter().filter(|(path, _)| layer(path) == "approvals") {
        for import in imports(text) {
            let apart = import == "outbox" || import == "gateway";
            assert!(!apart, "{} imports {import}", path.display());
        }
    }
}

#[test]
fn nothing_is_left_unfinished_or_switched_off() {
    let banned = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("#[ig", "nore")];
    for (path, text) in sources() {
        for word in banned {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}
