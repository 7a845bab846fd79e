//! What is asked: principals, resources, scopes and attributes, some of them awkward.

use serde_json::{Map, Value as Json, json};

use super::policies::{ACTIONS, PRINCIPALS, ROLES, kind};
use super::rng::Rng;

pub fn generate(rng: &mut Rng, kinds: usize) -> Json {
    let mut roles = rng.some(&ROLES, 4);
    if rng.percent(3) {
        roles.push(roles[0]);
    }
    let mut principal = json!({
        "id": if rng.percent(20) { "nobody" } else { *rng.pick(&PRINCIPALS) },
        "roles": roles, "attr": attributes(rng),
    });
    place(rng, &mut principal);
    let resources: Vec<Json> = (0..=rng.below(7)).map(|index| entry(rng, kinds, index)).collect();
    json!({"requestId": "f", "includeMeta": true, "principal": principal, "resources": resources})
}

fn entry(rng: &mut Rng, kinds: usize, index: usize) -> Json {
    let mut actions: Vec<&str> = rng.some(&ACTIONS, 6);
    if rng.percent(5) {
        actions.push("other");
    }
    let kind = if rng.percent(3) { "unknown".to_owned() } else { kind(rng.below(kinds)) };
    let mut resource = json!({"kind": kind, "id": format!("d{index}"), "attr": attributes(rng)});
    place(rng, &mut resource);
    json!({"actions": actions, "resource": resource})
}

fn place(rng: &mut Rng, subject: &mut Json) {
    if rng.percent(40) {
        let scopes = ["s", "s.t", "s.t.u", "w", ".s", "s.t.other", "else", "w.x", "."];
        let index = if rng.percent(75) { rng.below(4) } else { rng.below(scopes.len()) };
        subject["scope"] = scopes[index].into();
    }
    if rng.percent(15) {
        subject["policyVersion"] = (*rng.pick(&["default", "v1", "v9"])).into();
    }
    if rng.percent(1) {
        subject["scope"] = "a..b".into();
    }
}

/// Names say which type conditions expect; often there is another one, or none.
pub fn attributes(rng: &mut Rng) -> Json {
    let mut attr = Map::new();
    for name in ["s", "i", "d", "b", "l", "q", "m", "t", "u", "n"] {
        let of = match rng.below(100) {
            0..76 => name,
            76..88 => *rng.pick(&["s", "i", "d", "b", "l", "q", "m", "t", "u", "n"]),
            _ => continue,
        };
        attr.insert(name.to_owned(), value(rng, of));
    }
    attr.into()
}

fn value(rng: &mut Rng, of: &str) -> Json {
    let choices = match of {
        "s" => json!([
            "a",
            "",
            "a.b.c",
            "a.b",
            "Ab c",
            "12",
            "é",
            "10.0.0.7",
            "a:b",
            "r1",
            "x\u{1F600}y"
        ]),
        "i" => json!([0, 1, -3, 2, 7, 2_147_483_648_u64, 9_007_199_254_740_993_u64, 1.0]),
        "d" => json!([0.5, -2.5, 1e21, 0.1, 3, -0.0, 1e-7]),
        "b" => json!([true, false]),
        "l" => json!([[], [1, 2, 2], ["a", 1, null], [[1], [2]], [1.5, "b"], [{"a": 1}], [true]]),
        "q" => json!([[], ["a"], ["a", "b"], ["b", "a", "c"], ["r1", "a"]]),
        "m" => {
            json!([{}, {"a": 1}, {"a": {"a": "x"}, "b": [1]}, {"a": null}, {"b": "a", "a": "b"}])
        }
        "t" => json!([
            "2024-01-01T00:00:00Z",
            "2025-06-30T23:59:59.123+05:30",
            "2024",
            "2024-12-31T22:00:00-03:00"
        ]),
        "u" => json!(["1h", "90s", "-1.5s", "1x", "0s"]),
        _ => return Json::Null,
    };
    let choices = choices.as_array().expect("a list");
    rng.pick(choices).clone()
}
