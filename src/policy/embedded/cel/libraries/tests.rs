//! Every expression of the tables in `confirmed/` against what the PDP 0.55.0 answered. The tables
//! were made by putting each expression into the output of a rule; the principal and the resource
//! have the attributes of `attributes.json`.

use super::super::*;
use serde::Deserialize;
use serde_json::Value as Json;
use std::sync::LazyLock;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Confirmed {
    Value(Json),
    /// It evaluates to an error, or to what no output can show.
    Error,
    /// It does not compile.
    Refused,
}

/// What the PDP answers and we do not, as documented: an error instead denies.
const STRICTER: [&str; 7] = [
    "dyn(1).id()",
    "dyn([hierarchy('a')]) == dyn([1])",
    "dyn(spiffeID(P.attr.spiffe)) in ['spiffe://example.org/ns/prod']",
    "dyn(hierarchy('a')) in ['a']",
    "size(dyn(hierarchy('a.b')))",
    "dyn(spiffeTrustDomain('a')) < dyn('b')",
    "dyn(spiffeTrustDomain('a')) < dyn(spiffeTrustDomain('b'))",
];

static ATTRIBUTES: LazyLock<Value> = LazyLock::new(|| {
    Value::from_json(&serde_json::from_str(include_str!("confirmed/attributes.json")).unwrap())
});

fn run(source: &str, budget: &mut Budget) -> Result<Value, String> {
    let program = Environment::cerbos()
        .compile(source, &Declarations::new())
        .map_err(|error| format!("compile: {error}"))?;
    let principal = Principal {
        id: "john".into(),
        roles: Value::list(vec!["user".into()]),
        attr: ATTRIBUTES.clone(),
        policy_version: "default".into(),
        scope: "".into(),
    };
    let resource = Resource {
        kind: "k".into(),
        id: "r1".into(),
        attr: ATTRIBUTES.clone(),
        policy_version: "default".into(),
        scope: "".into(),
    };
    let (derived_roles, globals) = (Value::list(Vec::new()), Value::map(Map::default()));
    let inputs = Inputs {
        request: &(principal, resource),
        claims: None,
        jwts: None,
        derived_roles: Some(&derived_roles),
        globals: &globals,
        variables: &NoVariables,
        now: Timestamp::parse("2026-01-02T03:04:05Z").unwrap(),
    };
    program.evaluate(&inputs, budget).map_err(|error| error.to_string())
}

/// Numbers as doubles, as outputs have them.
fn normal(json: &Json) -> Json {
    match json {
        Json::Number(number) => Json::from(number.as_f64()),
        Json::Array(values) => values.iter().map(normal).collect(),
        Json::Object(members) => {
            Json::Object(members.iter().map(|(key, value)| (key.clone(), normal(value))).collect())
        }
        other => other.clone(),
    }
}

#[track_caller]
fn check(table: &str) {
    let rows: Vec<(String, Confirmed)> = serde_json::from_str(table).unwrap();
    assert!(rows.len() >= 15);
    let mut wrong = Vec::new();
    for (source, confirmed) in rows {
        let ours = run(&source, &mut Budget::STANDARD.clone());
        let shown = ours.as_ref().ok().and_then(Value::to_json).map(|json| normal(&json));
        let is_right = match &confirmed {
            Confirmed::Value(_) if STRICTER.contains(&source.as_str()) => shown.is_none(),
            Confirmed::Value(value) => shown == Some(normal(value)),
            Confirmed::Error => shown.is_none(),
            Confirmed::Refused => ours.is_err(),
        };
        if !is_right {
            wrong.push(format!("{source}\n    confirmed {confirmed:?}\n    ours {ours:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

macro_rules! tables {
    ($($name:ident)*) => {$(
        #[test]
        fn $name() {
            check(include_str!(concat!("confirmed/", stringify!($name), ".json")));
        }
    )*};
}

/// Each library answers as the PDP does.
mod tables {
    use super::check;

    tables! {
        encoders format generated hierarchy lists math network paths regex spiffe strings time unions
    }
}

/// What a hostile attribute could make a policy do.
#[test]
fn what_functions_make_is_bounded() {
    for source in [
        "lists.range(1000000000).size() > P.attr.n",
        "lists.range(int(P.attr.big / 1e290)).size() > 0",
        "P.attr.words.map(w, lists.range(int(P.attr.n) * 4000)).size() > 0",
        "P.attr.text.replace('', P.attr.text).replace('', P.attr.text).replace('', P.attr.text).\
         replace('', P.attr.text) == ''",
        "regex.replace(P.attr.text.replace('', P.attr.text).replace('', P.attr.text), '', \
         P.attr.text.replace('', P.attr.text)) == ''",
        "lists.range(int(P.attr.n) * 400).map(i, i).distinct().size() > 0",
        "lists.range(int(P.attr.n) * 4000).map(i, P.attr.text).join(P.attr.text) == ''",
        "'%s'.format([lists.range(int(P.attr.n) * 4000).map(i, P.attr.text)]).size() > 0",
        "json.encode(lists.range(int(P.attr.n) * 4000).map(i, P.attr.text)).size() > 0",
        "lists.range(int(P.attr.n) * 400).except(lists.range(int(P.attr.n) * 400)).size() > 0",
        "hierarchy(lists.range(int(P.attr.n) * 4000).map(i, 'a').join('.')).size() > 0",
    ] {
        let error = run(source, &mut Budget::STANDARD.clone()).unwrap_err();
        assert!(error.contains("too many"), "{source}: {error}");
    }
}

#[test]
fn a_long_list_with_equal_keys_is_not_sorted_by_luck() {
    let sorted = |source: &str| run(source, &mut Budget::STANDARD.clone());
    let long = "lists.range(13).map(i, i + int(P.attr.n))";
    assert!(sorted(&format!("{long}.sortBy(x, x % 2)")).unwrap_err().contains("not defined"));
    assert!(sorted(&format!("{long}.sortBy(x, -x)[0] == 17")).is_ok());
    assert!(sorted(&format!("{long}.map(x, x % 2).sort()[6] == 0")).is_ok());
}

#[test]
fn the_time_is_that_of_the_request() {
    for source in [
        "now() == timestamp('2026-01-02T03:04:05Z')",
        "timestamp('2026-01-02T03:00:00Z').timeSince() == duration('245s')",
        "timeSince(timestamp('2026-01-02T03:04:06Z')) == duration('-1s')",
    ] {
        let value = run(source, &mut Budget::STANDARD.clone());
        assert!(matches!(value, Ok(Value::Bool(true))), "{source}: {value:?}");
    }
}
