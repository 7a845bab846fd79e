//! Every decision of the proxy can be explained by the id in its response.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::client::Answer;
use crate::harness::gateway::{binary, signal};
use crate::harness::tokens::{ISSUER, now};
use crate::harness::{World, eventually, oracle};

const HOST: &str = "warehouse.localhost";

fn id(answer: &Answer) -> String {
    answer.header("tidegate-decision-id").expect("an id").to_owned()
}

/// The explanation of `answer` as `reader` gets it.
fn explained(world: &World, reader: &str, answer: &Answer) -> Value {
    let found = world.api(reader).get(&format!("/decisions/{}", id(answer)));
    assert_eq!(found.status, 200, "{found:?} of {answer:?}");
    let explanation = found.json();
    assert_eq!(explanation["id"], id(answer).as_str());
    explanation
}

fn get(world: &World, path: &str, user: &str) -> Answer {
    world.proxy().get(HOST, path, Some(&world.token(user)))
}

/// A grant of `reader` for `user` as bob approves it.
fn approved(world: &World, user: &str, decision: &Value) {
    let request = world.api(user).submit("reader");
    let path = format!("/requests/{}/approve", request["id"].as_str().expect("an id"));
    let answer = world.api("bob").post(&path, decision);
    assert_eq!(answer.status, 200, "{answer:?}");
}

fn tidegate(world: &World, user: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("TIDEGATE_API", format!("http://{}", world.gateway.api));
    command.env_remove("TIDEGATE_TOKEN");
    if let Some(user) = user {
        command.env("TIDEGATE_TOKEN", world.token(user));
    }
    command.output().expect("a process")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_refused_before_anybody_is_known_is_explained_to_auditors_alone() {
    let world = World::start();
    let without = world.proxy().get(HOST, "/", None);
    let garbage = world.proxy().get(HOST, "/", Some("not.a.token"));
    let old = json!({ "iss": ISSUER, "aud": "tidegate", "sub": "alice", "exp": now() - 600 });
    let expired = world.proxy().get(HOST, "/", Some(&world.issuer.mint(&old)));
    let nowhere = world.proxy().get("elsewhere.localhost", "/a/b", None);
    let unlisted = world.proxy().send("DELETE", HOST, "/things/7", &[], b"");
    for (answer, status, reason, token) in [
        (&without, 401, "no-credential", "refused"),
        (&garbage, 401, "invalid-token", "refused"),
        (&expired, 401, "invalid-token", "refused"),
        (&nowhere, 404, "no-route", "not-asked"),
        (&unlisted, 403, "policy-denied", "not-asked"),
    ] {
        assert_eq!((answer.status, answer.problem().as_str()), (status, reason));
        let it = explained(&world, "erin", answer);
        assert_eq!((it["allowed"].as_bool(), it["reason"].as_str()), (Some(false), Some(reason)));
        assert_eq!(it["detail"], answer.json()["detail"], "the same words as in the body");
        assert_eq!(it["token"]["outcome"], token, "{it}");
        assert!(it["policy"].is_null() && it["grants"].is_null() && it["subject"].is_null());
        let hidden = world.api("alice").get(&format!("/decisions/{}", id(answer)));
        assert_eq!((hidden.status, hidden.problem().as_str()), (404, "not-found"));
    }
    let it = explained(&world, "erin", &expired);
    assert_eq!(it["token"]["detail"], "the token has expired");
    let it = explained(&world, "erin", &unlisted);
    let verdicts: Vec<_> = it["request"]["rules"].as_array().expect("rules").iter().collect();
    assert_eq!(verdicts.len(), 5);
    assert!(verdicts.iter().all(|rule| rule["verdict"] == "other method"), "{it}");
}

#[test]
fn a_missing_a_narrowed_a_revoked_and_an_expired_grant_are_told_apart() {
    let world = World::start();
    let none = world.visit("alice");
    assert_eq!(none.json()["detail"], "no live grant for warehouse");
    let it = explained(&world, "alice", &none);
    assert_eq!((&it["reason"], &it["grants"]["considered"]), (&json!("no-grant"), &json!([])));
    let rules = it["request"]["rules"].as_array().expect("rules");
    let verdicts: Vec<_> = rules.iter().filter_map(|rule| rule["verdict"].as_str()).collect();
    assert_eq!(verdicts, ["other path", "other path", "other path", "matched"]);
    let token = &it["token"];
    assert_eq!(
        (&token["outcome"], &token["algorithm"], &token["key_id"], &token["audiences"]),
        (&json!("verified"), &json!("ES256"), &json!("test"), &json!(["tidegate"]))
    );
    assert_eq!(it["subject"]["name"], "alice");

    approved(&world, "nina", &json!({ "methods": ["HEAD"] }));
    let narrowed = world.visit("nina");
    assert_eq!(narrowed.problem(), "no-grant");
    let it = explained(&world, "nina", &narrowed);
    assert_eq!(it["grants"]["considered"][0]["verdict"], "narrowed", "{it}");

    approved(&world, "alice", &json!({}));
    let killed = json!({ "tool": "warehouse", "reason": "incident 7" });
    assert_eq!(world.api("carol").post("/revocations", &killed).status, 200);
    let revoked = world.visit("alice");
    assert_eq!(revoked.problem(), "grant-revoked");
    let it = explained(&world, "alice", &revoked);
    // Before the sweep the grant is still there, and marked; after it only its end is.
    let (live, ended) = (&it["grants"]["considered"][0], &it["grants"]["ended"][0]);
    assert!(live["verdict"] == "revoked" || ended["why"] == "revoked", "{it}");

    let soon = jiff::Timestamp::from_second(i64::try_from(now()).expect("a time") + 2);
    approved(&world, "zoe", &json!({ "expires_at": soon.expect("a time").to_string() }));
    eventually("the grant to end", Duration::from_secs(20), || {
        (world.visit("zoe").status == 403).then_some(())
    });
    // That one may have been admitted a moment before the end, and cut.
    let expired = world.visit("zoe");
    assert_eq!(expired.problem(), "grant-expired");
    let it = explained(&world, "zoe", &expired);
    let (live, ended) = (&it["grants"]["considered"][0], &it["grants"]["ended"][0]);
    assert!(live["verdict"] == "expired" || ended["why"] == "expired", "{it}");
}

#[test]
fn an_allowed_request_shows_the_grant_the_role_and_the_rule_that_let_it_through() {
    let world = World::start();
    world.grant("alice");
    let allowed = get(&world, "/shelf?secret=hush", "alice");
    assert_eq!(allowed.status, 200);
    let it = explained(&world, "alice", &allowed);
    assert_eq!((&it["allowed"], &it["reason"]), (&json!(true), &json!("allowed")));
    let grant = &it["grants"]["considered"][0];
    assert_eq!((&grant["verdict"], &grant["role"]), (&json!("counts"), &json!("viewer")));
    let roles = it["roles"].as_array().expect("roles");
    let viewer = roles.iter().find(|role| role["role"] == "viewer").expect("the role");
    let from = format!("grant {}", grant["id"].as_str().expect("an id"));
    assert_eq!(viewer["from"], json!([from]));
    let policy = &it["policy"];
    assert_eq!(policy["policy"], "resource.tool.vdefault");
    let rule = policy["rule"].as_str().expect("a rule");
    let rows = policy["rows"].as_array().expect("rows");
    let row = rows.iter().find(|row| row["rule"] == rule).expect("the row that decided");
    assert_eq!((&row["effect"], &row["said"]), (&json!("allow"), &json!("applies")));
    assert!(row["file"].as_str().is_some_and(|file| file.ends_with("tool.yaml")), "{row}");
    assert!(row["line"].as_u64().is_some_and(|line| line > 1));
    assert!(policy.get("note").is_none(), "asked again it says the same: {policy}");
    assert!(!it.to_string().contains("hush"));

    for other in ["nina", "bob"] {
        let hidden = world.api(other).get(&format!("/decisions/{}", id(&allowed)));
        assert_eq!((hidden.status, hidden.problem().as_str()), (404, "not-found"), "{other}");
    }
    assert_eq!(explained(&world, "erin", &allowed)["subject"]["name"], "alice");
    assert_eq!(explained(&world, "carol", &allowed)["subject"]["name"], "alice");
}

#[test]
fn what_the_policy_denies_is_told_in_words_with_the_rows_it_looked_at() {
    let world = World::start();
    let unmatched = get(&world, "/policy", "alice");
    let words = "no rule matches action 'read' for roles [user]";
    assert_eq!((unmatched.status, unmatched.json()["detail"].as_str()), (403, Some(words)));
    let it = explained(&world, "alice", &unmatched);
    assert_eq!(
        (&it["detail"], &it["policy"]["policy"]),
        (&json!(words), &json!("resource.tool.vdefault"))
    );
    assert!(it["policy"].get("note").is_none(), "{it}");

    let suspended = get(&world, "/policy", "dave");
    let words = "explicitly denied by role 'suspended'";
    assert_eq!((suspended.status, suspended.json()["detail"].as_str()), (403, Some(words)));
    let it = explained(&world, "erin", &suspended);
    assert_eq!(it["detail"], words);
    assert_eq!(it["policy"]["derived_roles"], json!(["suspended"]));
    let rows = it["policy"]["rows"].as_array().expect("rows");
    let denied = |row: &&Value| row["effect"] == "deny" && row["said"] == "applies";
    assert!(rows.iter().any(|row| denied(&row)), "{it}");
    let own = explained(&world, "dave", &suspended);
    assert_eq!(own["detail"], words, "who is suspended may read why");
    let hidden = world.api("alice").get(&format!("/decisions/{}", id(&suspended)));
    assert_eq!(hidden.status, 404, "and nobody else without that right");

    let other = world.api("alice").get("/decisions/zzzzzzzz-0-1");
    assert_eq!((other.status, other.problem().as_str()), (404, "not-found"));
    assert!(other.json()["detail"].as_str().is_some_and(|it| it.contains("instance zzzzzzzz")));
    let instance = id(&suspended);
    let instance = instance.split('-').next().expect("an instance");
    let unknown = world.api("alice").get(&format!("/decisions/{instance}-0-999999"));
    assert_eq!(unknown.json()["detail"], hidden.json()["detail"]);
}

#[test]
fn a_decision_is_explained_with_the_policies_of_its_time() {
    let policies = tempfile::tempdir().expect("a folder");
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
    for entry in fs::read_dir(shipped).expect("policies").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_policy = entry.path().extension().is_some_and(|extension| extension == "yaml");
        // Their suites would refuse the change.
        if is_policy && !name.ends_with("_test.yaml") {
            fs::copy(entry.path(), policies.path().join(entry.file_name())).expect("copied");
        }
    }
    let folder = policies.path().display().to_string();
    let world = World::with(|config| config.replace(shipped, &folder));
    world.grant("alice");
    let before = world.visit("alice");
    let old = explained(&world, "alice", &before);

    let tool = policies.path().join("tool.yaml");
    let good = fs::read_to_string(&tool).expect("a policy");
    fs::write(&tool, good.replace("actions: [read, view]", "actions: [view]")).expect("written");
    signal(world.gateway.pid(), "HUP");
    let after = eventually("the policy to bind", Duration::from_secs(20), || {
        let answer = world.visit("alice");
        (answer.status == 403).then_some(answer)
    });
    assert_eq!(explained(&world, "alice", &before), old);
    let new = explained(&world, "alice", &after);
    assert_eq!(new["reason"], "policy-denied");
    assert!(new["policy"].get("note").is_none(), "{new}");

    let debug = world.admin("/debug/authz");
    assert!(debug["policy"]["loaded"]["set"].as_u64().is_some_and(|set| set > 1), "{debug}");
    assert_eq!(debug["reload"]["successful"], true);
}

#[test]
fn the_command_line_tells_it_from_the_api_and_from_the_decision_log() {
    let world = World::start();
    let refused = id(&world.visit("alice"));
    let told = tidegate(&world, Some("alice"), &["explain", &refused]);
    let report = text(&told.stdout);
    assert!(told.status.success(), "{report}{}", text(&told.stderr));
    assert_eq!(report.lines().next(), Some("denied: no live grant for warehouse (no-grant)"));
    for line in ["  request GET warehouse.localhost /", "  token verified", "  grants: none"] {
        assert!(report.lines().any(|found| found == line), "{line}\n{report}");
    }
    let told = tidegate(&world, Some("alice"), &["explain", &refused, "--output", "json"]);
    let json: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    assert_eq!(json["reason"], "no-grant");

    let told = tidegate(&world, Some("nina"), &["explain", &refused]);
    assert_eq!(told.status.code(), Some(1));
    assert!(text(&told.stderr).contains("--log FILE"), "{}", text(&told.stderr));

    let log: PathBuf = world.audit_file();
    let path = log.display().to_string();
    eventually("the record to be written", Duration::from_secs(10), || {
        let events = oracle::events(&log);
        events.iter().any(|event| event["data"]["decision_id"] == refused.as_str()).then_some(())
    });
    let told = tidegate(&world, None, &["explain", &refused, "--log", &path]);
    let report = text(&told.stdout);
    assert!(told.status.success(), "{report}{}", text(&told.stderr));
    assert_eq!(report.lines().next(), Some("denied: no live grant for warehouse (no-grant)"));
    assert!(report.contains("from the decision log"));
    // Who may not ask the API, or asks too late, still finds it in the log.
    let told = tidegate(&world, Some("nina"), &["explain", &refused, "--log", &path]);
    assert!(told.status.success() && text(&told.stderr).contains("404 not-found"));
    let told = tidegate(&world, None, &["explain", "a-1-1", "--log", &path]);
    assert_eq!(told.status.code(), Some(1));
    let told = tidegate(&world, None, &["explain", &refused]);
    assert_eq!(told.status.code(), Some(64), "no token and no log");
}

#[test]
fn the_admin_listener_shows_what_authorisation_works_with() {
    let world = World::start();
    world.visit("alice");
    let shown = world.admin("/debug/authz");
    let policies = shown["policy"]["loaded"]["policies"].as_array().expect("policies");
    let tool = policies.iter().find(|it| it["policy"] == "resource.tool.vdefault");
    let tool = tool.expect("the policy of tools");
    assert!(tool["file"].as_str().is_some_and(|file| file.ends_with("tool.yaml")), "{tool}");
    assert!(tool["rows"].as_u64().is_some_and(|rows| rows > 0));
    assert_eq!(shown["policy"]["engine"], "embedded");
    assert!(shown["reload"].is_null(), "not since the start");
    assert_eq!(shown["tools"][0]["rules"][0]["access"], "public");
    assert_eq!(shown["recent_decisions"]["by_reason"]["no-grant"], 1);
    assert!(shown["roles"]["role_mapping"].is_object());
    assert!(shown["roles"]["role_hierarchy"].is_object());
    assert!(!shown["providers"].is_null());
}
