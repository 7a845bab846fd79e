//! `tidegate policy eval`.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use super::pdp::Pdp;
use super::{fed, policy, root, text, write};

const POLICY: &str = "apiVersion: api.cerbos.dev/v1
resourcePolicy:
  resource: doc
  version: default
  rules:
    - name: own
      actions: [edit]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: R.attr.owner == P.id } }
      output: { when: { ruleActivated: '\"yours\"' } }
    - actions: [deploy]
      effect: EFFECT_ALLOW
      roles: [user]
      condition: { match: { expr: G.environment == \"test\" } }
";

fn policies() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "doc.yaml", POLICY);
    folder
}

fn request(owner: &str) -> Value {
    json!({
        "requestId": "r1",
        "principal": { "id": "alice", "roles": ["user"] },
        "resources": [{
            "actions": ["edit", "deploy"],
            "resource": { "kind": "doc", "id": "d1", "attr": { "owner": owner } },
        }],
    })
}

fn eval(folder: &Path, more: &[&str], input: &[u8]) -> (Vec<Value>, Output) {
    let mut command = policy(&["eval", "--policies"]);
    command.arg(folder).args(more);
    let output = fed(command, input.to_vec());
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let answers = lines.map(|line| serde_json::from_slice(line).expect("JSON")).collect();
    (answers, output)
}

/// What the conformance cases ask, with and without meta.
fn cases() -> Vec<Value> {
    let mut found = Vec::new();
    let folder = root().join("tests/conformance/cerbos/engine");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).expect("cases").map(|it| it.expect("a file").path()).collect();
    files.sort();
    for file in files {
        let content = std::fs::read_to_string(&file).expect("a case");
        let case: Value = serde_saphyr::from_str(&content).expect("YAML");
        for input in case["inputs"].as_array().into_iter().flatten() {
            // The PDP takes tokens there, and verifies them.
            if input.get("auxData").is_some() {
                continue;
            }
            for meta in [true, false] {
                let (actions, resource) = (&input["actions"], &input["resource"]);
                found.push(json!({
                    "requestId": file.file_name().expect("a name").to_string_lossy(),
                    "includeMeta": meta,
                    "principal": input["principal"],
                    "resources": [{ "actions": actions, "resource": resource }],
                }));
            }
        }
    }
    found
}

/// Without what has no meaning or order: the id of the call, the order of derived roles, the words
/// about what is wrong with attributes.
fn comparable(mut answer: Value) -> Value {
    if answer["code"].is_number() {
        return json!({ "code": answer["code"] });
    }
    answer.as_object_mut().expect("an object").remove("cerbosCallId");
    for result in answer["results"].as_array_mut().expect("results") {
        if let Some(roles) = result.pointer_mut("/meta/effectiveDerivedRoles") {
            roles.as_array_mut().expect("roles").sort_by_key(ToString::to_string);
        }
        if let Some(errors) = result.get_mut("validationErrors") {
            let place = |it: &Value| format!("{} {}", it["source"], it["path"]);
            let mut places: Vec<_> = errors.as_array().expect("errors").iter().map(place).collect();
            places.sort();
            places.dedup();
            *errors = places.into();
        }
    }
    answer
}

/// Requests that have something wrong, or unusual, with them.
fn odd_requests() -> Vec<String> {
    let with = |pointer: &str, value: Value| {
        let mut odd = request("alice");
        let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
        odd.pointer_mut(parent).expect("a parent")[key] = value;
        odd.to_string()
    };
    let resource = request("alice")["resources"][0].clone();
    let actions = |count: usize| (0..count).map(|n| format!("a{n}")).collect::<Vec<_>>();
    vec![
        with("/principal/id", json!("")),
        with("/principal/roles", json!([])),
        with("/principal/roles", json!(["a", "a"])),
        with("/principal/scope", json!("a..b")),
        with("/principal/policyVersion", json!("a-b")),
        with("/principal/attr", json!({ "": 1 })),
        with("/principal/attr", Value::Null),
        with("/principal/unknown", json!(1)),
        with("/unknown", json!(1)),
        with("/includeMeta", json!("true")),
        with("/requestId", Value::Null),
        with("/requestContext", json!({ "annotations": { "why": "because" } })),
        with("/requestContext", json!({ "unknown": 1 })),
        with("/resources", json!([])),
        with("/resources", json!(vec![resource.clone(); 50])),
        with("/resources", json!(vec![resource; 51])),
        with("/auxData", json!({})),
        r#"{"principal":{"id":"a","roles":["user"],"attr":{"x":{"y":1,"y":2}}},"resources":[{"actions":["edit"],"resource":{"kind":"doc","id":"1"}}]}"#.to_owned(),
        json!({ "principal": { "id": "a", "roles": ["user"] }, "resources": [{ "actions": actions(50), "resource": { "kind": "doc", "id": "1" } }] }).to_string(),
        json!({ "principal": { "id": "a", "roles": ["user"] }, "resources": [{ "actions": actions(51), "resource": { "kind": "doc", "id": "1" } }] }).to_string(),
        "{}".to_owned(),
        "[]".to_owned(),
        "{".to_owned(),
        "nothing of the kind".to_owned(),
    ]
}

#[test]
fn eval_answers_what_the_real_pdp_answers() {
    let store = root().join("tests/conformance/cerbos/store");
    let pdp = Pdp::start(&store);
    let mut requests: Vec<String> = cases().iter().map(ToString::to_string).collect();
    assert!(requests.len() > 100, "{}", requests.len());
    requests.extend(odd_requests());
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), "globals.yaml", "environment: test\n");
    let globals = folder.path().join("globals.yaml");
    let more = ["--globals", globals.to_str().expect("text")];
    let (answers, output) = eval(&store, &more, requests.join("\n").as_bytes());
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(answers.len(), requests.len());
    for (request, answer) in requests.iter().zip(answers) {
        let wanted = comparable(pdp.check(request.as_bytes()));
        assert_eq!(comparable(answer), wanted, "{request}");
    }
}

#[test]
fn a_line_that_is_no_request_is_answered_with_code_3_and_the_next_one_is_read() {
    let folder = policies();
    let good = request("alice").to_string();
    let long = format!("{{\"requestId\":\"{}\"}}", "x".repeat(17 << 20));
    let lines: [&[u8]; 9] = [
        b"no JSON",
        good.as_bytes(),
        b"",
        b"  \t\r",
        b"\xff\xfe",
        long.as_bytes(),
        b"{\"principal\":{}}",
        b"{} trailing",
        good.as_bytes(),
    ];
    let (answers, output) = eval(folder.path(), &[], &lines.join(&b'\n'));
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(answers.len(), 7, "blank lines are no requests");
    for (index, answer) in answers.iter().enumerate() {
        if matches!(index, 1 | 6) {
            assert_eq!(answer["results"][0]["actions"]["edit"], "EFFECT_ALLOW", "{answer}");
        } else {
            assert_eq!(answer["code"], 3, "{answer}");
            assert!(answer["message"].as_str().is_some_and(|it| !it.is_empty()), "{answer}");
        }
    }
}

#[test]
fn each_answer_comes_before_the_next_request_is_sent() {
    let folder = policies();
    let mut command = policy(&["eval", "--policies"]);
    command.arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    let mut input = child.stdin.take().expect("an input");
    let mut output = BufReader::new(child.stdout.take().expect("an output"));
    for (owner, effect) in [("alice", "EFFECT_ALLOW"), ("bob", "EFFECT_DENY")] {
        writeln!(input, "{}", request(owner)).expect("sent");
        let mut line = String::new();
        output.read_line(&mut line).expect("an answer");
        let answer: Value = serde_json::from_str(&line).expect("JSON");
        assert_eq!(answer["requestId"], "r1");
        assert_eq!(answer["results"][0]["actions"]["edit"], effect, "{answer}");
    }
    drop(input);
    assert!(child.wait().expect("its end").success());
}

#[test]
fn nobody_who_reads_is_a_quiet_end() {
    let folder = policies();
    let mut command = policy(&["eval", "--policies"]);
    command.arg(folder.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("a process");
    drop(child.stdout.take());
    let mut input = child.stdin.take().expect("an input");
    let line = format!("{}\n", request("alice"));
    while input.write_all(line.as_bytes()).is_ok() {}
    drop(input);
    let output = child.wait_with_output().expect("its end");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(text(&output.stderr), "");
}

#[test]
fn globals_come_from_a_file_and_one_that_cannot_be_used_is_a_usage_error() {
    let folder = policies();
    write(folder.path(), ".globals", "environment: test\n");
    write(folder.path(), ".list", "[1, 2]\n");
    let file = |name: &str| folder.path().join(name).to_str().expect("text").to_owned();
    let asked = request("bob").to_string();
    let deploy = |more: &[&str]| {
        let (answers, _) = eval(folder.path(), more, asked.as_bytes());
        answers[0]["results"][0]["actions"]["deploy"].clone()
    };
    assert_eq!(deploy(&["--globals", &file(".globals")]), "EFFECT_ALLOW");
    assert_eq!(deploy(&[]), "EFFECT_DENY");
    for bad in [".list", ".absent"] {
        let (answers, output) = eval(folder.path(), &["--globals", &file(bad)], b"");
        assert_eq!((output.status.code(), answers.len()), (Some(64), 0), "{bad}");
        assert!(text(&output.stderr).contains(bad), "{}", text(&output.stderr));
    }
}

#[test]
fn policies_that_do_not_load_are_told_with_file_rule_and_column() {
    let folder = policies();
    let broken = POLICY.replace("R.attr.owner == P.id", "R.attr.owner == owner()");
    write(folder.path(), "other.yaml", &broken.replace("resource: doc", "resource: other"));
    let (answers, output) = eval(folder.path(), &[], request("alice").to_string().as_bytes());
    let told = text(&output.stderr);
    assert_eq!((output.status.code(), answers.len()), (Some(65), 0), "{told}");
    for part in ["other.yaml:", "rule 'own'", "column 22"] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[test]
fn a_directory_that_is_missing_is_a_usage_error() {
    for verb in ["eval", "test"] {
        let output = fed(policy(&[verb]), Vec::new());
        assert_eq!(output.status.code(), Some(64));
        let output = fed(policy(&[verb, "--policies", "/nowhere/at/all"]), Vec::new());
        assert_eq!(output.status.code(), Some(64));
        assert!(text(&output.stderr).contains("/nowhere/at/all"));
    }
}
