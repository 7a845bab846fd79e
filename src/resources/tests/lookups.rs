use serde_json::json;

use super::server::Server;
use super::*;
use crate::resources::Origin;

#[tokio::test]
async fn the_first_source_that_has_the_resource_tells() {
    let second = Server::json("200 OK", r#"{"from": "second"}"#).await;
    let first = fixed(&[("doc-1", json!({ "from": "first" }))]);
    let providers = open(provider(vec![first, SourceConfig::Http(http(&second.origin()))]));
    assert_eq!(told(&providers, "doc-1").await, json!({ "from": "first" }));
    assert!(second.asked().is_empty());
    let found = ask(&providers, "doc-2").await.expect("found");
    assert_eq!(found.from, Origin::Source { index: 1, kind: "http" });
    assert_eq!(found.from.to_string(), "source 1 (http)");
}

#[tokio::test]
async fn a_source_that_fails_is_not_passed_over_for_another_one_or_the_default() {
    let broken = Server::json("500 Internal Server Error", "{}").await;
    let mut config = provider(vec![
        SourceConfig::Http(http(&broken.origin())),
        fixed(&[("doc-1", json!({ "owner": "mallory" }))]),
    ]);
    config.default = Some(object(&json!({ "owner": "" })));
    let providers = open(config);
    assert_eq!(told(&providers, "doc-1").await, "unreachable");
    assert_eq!(told(&providers, "doc-2").await, "unreachable");
    broken.now_says("404 Not Found", "");
    assert_eq!(told(&providers, "doc-1").await, json!({ "owner": "mallory" }));
    let default = ask(&providers, "doc-2").await.expect("the default");
    assert_eq!((default.from, default.from.to_string().as_str()), (Origin::Default, "default"));
}

#[tokio::test]
async fn what_no_source_has_is_not_found_unless_there_is_a_default() {
    let providers = open(provider(vec![fixed(&[])]));
    assert_eq!(told(&providers, "doc-1").await, "not found");
    assert!(providers.know("document") && !providers.know("tool"));
    let other = Wanted { kind: "other", ..wanted("doc-1") };
    assert!(matches!(providers.attributes(&other).await, Err(NotProvided::Unreachable(_))));
}

#[tokio::test]
async fn an_id_with_an_escape_is_refused_as_it_could_stand_for_two_resources() {
    let mut config = provider(vec![fixed(&[("doc-1", json!({}))])]);
    config.default = Some(Attributes::new());
    let providers = open(config);
    for id in ["doc%2d1", "doc%2D1", "%2f", "100%"] {
        assert_eq!(told(&providers, id).await, "unclear", "{id}");
    }
}

#[tokio::test]
async fn a_key_is_made_from_the_id_and_one_without_the_prefix_is_nowhere() {
    let mut config = provider(vec![fixed(&[("notes/doc-1", json!({ "a": 1 }))])]);
    config.key.template = template(&[LookupPart::Tool, text("/"), LookupPart::Id]);
    config.key.lower_case = true;
    assert_eq!(told(&open(config), "DOC-1").await, json!({ "a": 1 }));
    let mut config = provider(vec![fixed(&[("1", json!({})), ("", json!({}))])]);
    config.key.strip_prefix = Some("doc-".into());
    let providers = open(config);
    assert_eq!(told(&providers, "doc-1").await, json!({}));
    for id in ["1", "doc-", "Doc-1", "doc-doc-1"] {
        assert_eq!(told(&providers, id).await, "not found", "{id}");
    }
    let long = "x".repeat(1025);
    let providers = open(provider(vec![fixed(&[(long.as_str(), json!({}))])]));
    assert_eq!(told(&providers, &long).await, "not found");
}

#[tokio::test]
async fn a_source_says_nothing_of_the_request_and_its_scope_is_a_text() {
    let said = json!({ "tool": 1, "method": 2, "path": 3, "host": 4, "scope": "team-b", "a": 5 });
    let providers = open(provider(vec![fixed(&[("doc-1", said)])]));
    let provided = ask(&providers, "doc-1").await.expect("found");
    assert_eq!(provided.known.scope.as_deref(), Some("team-b"));
    assert_eq!(*provided.known.attributes, object(&json!({ "scope": "team-b", "a": 5 })));
    for scope in [json!(null), json!(["team-a"]), json!(7)] {
        let config = provider(vec![fixed(&[("doc-1", json!({ "scope": scope }))])]);
        let clock = ManualClock::at(START);
        let refused = Providers::open(&[config], &(clock as _), &Metrics::unregistered());
        let problems = refused.err().expect("refused");
        assert_eq!(
            problems,
            ["policy.providers[0].sources[0]: doc-1: the attribute scope is no text"]
        );
    }
}

#[test]
fn a_description_has_nothing_secret_in_it() {
    let mut place = redis(6379);
    place.login.password = Some("canary".into());
    let mut config = provider(vec![
        SourceConfig::Redis(place),
        SourceConfig::Http(http("http://127.0.0.1:1")),
        fixed(&[("doc-1", json!({ "secret": "canary" }))]),
    ]);
    config.validate = vec![check("R.attr.state == 'open'", Otherwise::Denied)];
    let described = open(config).describe();
    assert!(!described.to_string().contains("canary"));
    assert_eq!(described[0]["sources"][0]["redis"]["key"], "doc:{key}");
    assert_eq!(described[0]["sources"][1]["http"]["url"], "http://127.0.0.1:1/documents/{key}");
    assert_eq!(described[0]["validate"][0]["otherwise"], "denied");
}
