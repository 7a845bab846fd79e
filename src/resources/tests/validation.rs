use serde_json::json;

use super::*;

fn with_checks(checks: Vec<CheckConfig>) -> ProviderConfig {
    let documents = [
        ("open", json!({ "state": "open", "due": "2020-01-01T00:00:00Z" })),
        ("archived", json!({ "state": "archived" })),
        ("deleted", json!({ "state": "open", "deleted_at": "yesterday" })),
        ("both", json!({ "state": "archived", "deleted_at": "yesterday" })),
        ("stateless", json!({})),
        ("odd", json!({ "state": { "archived": true } })),
    ];
    ProviderConfig { validate: checks, ..provider(vec![fixed(&documents)]) }
}

#[tokio::test]
async fn what_is_gone_is_not_found_and_what_is_archived_is_denied_in_the_order_of_the_conditions() {
    let mut archived = check("R.attr.state != 'archived'", Otherwise::Denied);
    archived.message = Some("the document is archived".into());
    let gone = check("!has(R.attr.deleted_at)", Otherwise::NotFound);
    let providers = open(with_checks(vec![gone, archived]));
    assert_eq!(told(&providers, "open").await["state"], "open");
    assert_eq!(told(&providers, "deleted").await, "not found");
    assert_eq!(told(&providers, "both").await, "not found");
    let archived = ask(&providers, "archived").await.expect_err("archived");
    assert_eq!(archived, NotProvided::Denied("the document is archived".to_owned()));
}

#[tokio::test]
async fn a_condition_without_a_value_or_with_another_than_true_denies() {
    for (condition, id) in [
        ("R.attr.state != 'archived'", "stateless"),
        ("R.attr.state.size() > 3 || R.attr.state > 1.0", "odd"),
        ("R.attr.state", "open"),
        ("[1, 2, 3].exists(i, R.attr.missing == i)", "open"),
    ] {
        let providers = open(with_checks(vec![check(condition, Otherwise::Denied)]));
        assert_eq!(told(&providers, id).await, "denied", "{condition}");
    }
    // Also where a false condition would say "not found": that it is there is the lesser secret.
    let providers = open(with_checks(vec![check("R.attr.x == 1", Otherwise::NotFound)]));
    assert_eq!(told(&providers, "open").await, "denied");
}

#[tokio::test]
async fn conditions_see_id_kind_scope_and_time() {
    for (condition, expected) in [
        ("R.id == 'open' && R.kind == 'document' && R.scope == 'team-a'", true),
        ("timestamp(R.attr.due) < now()", true),
        ("timestamp(R.attr.due) > now()", false),
        ("now() == timestamp('2026-11-22T09:30:00Z')", true),
    ] {
        let providers = open(with_checks(vec![check(condition, Otherwise::Denied)]));
        assert_eq!(told(&providers, "open").await != "denied", expected, "{condition}");
    }
}

#[tokio::test]
async fn the_default_is_not_judged() {
    let checks = vec![check("R.attr.state != 'archived'", Otherwise::Denied)];
    let default = Some(object(&json!({ "owner": "" })));
    let providers = open(ProviderConfig { default, ..with_checks(checks) });
    assert_eq!(told(&providers, "none").await, json!({ "owner": "" }));
    assert_eq!(told(&providers, "archived").await, "denied");
}

#[test]
fn what_cannot_be_a_condition_over_the_resource_is_told_with_its_place() {
    let checks = [
        ("R.attr.state ==", "line 1"),
        ("R.atr.state == 1", "atr"),
        ("1 + 1", "neither true nor false"),
        ("'a' in P.roles", "looks at more than the resource"),
        ("request.auxData.jwt.sub == 'a'", "looks at more than the resource"),
        ("G.x == 1", "x"),
        ("V.x == 1", "x"),
    ];
    let configs = checks.iter().map(|(text, _)| check(text, Otherwise::Denied)).collect();
    let clock = ManualClock::at(START);
    let metrics = Metrics::unregistered();
    let refused = Providers::open(&[with_checks(configs)], &(clock as _), &metrics);
    let problems = refused.err().expect("refused");
    assert_eq!(problems.len(), checks.len(), "{problems:#?}");
    for (index, ((_, word), problem)) in checks.iter().zip(&problems).enumerate() {
        let place = format!("policy.providers[0].validate[{index}].require: ");
        assert!(problem.starts_with(&place) && problem.contains(word), "{problem}");
    }
}
