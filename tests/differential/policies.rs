//! Policy sets: every kind of policy, over few names so that they meet.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value as Json, json};
use tidegate::policy::embedded::cel::{Declarations, Environment, Value};

use super::expressions::Expressions;
use super::rng::Rng;
use super::yaml;

#[derive(Clone)]
pub struct Set {
    pub documents: Vec<Json>,
    pub schemas: Vec<(String, Json)>,
    pub knobs: Knobs,
    /// Stands behind the last document, in its file.
    pub tail: String,
}

/// How the engines are configured.
#[derive(Clone)]
pub struct Knobs {
    pub lenient: bool,
    pub version: &'static str,
    pub scope: &'static str,
}

impl Knobs {
    /// As the PDP comes.
    pub const USUAL: Self = Self { lenient: false, version: "default", scope: "" };
}

pub const ROLES: [&str; 6] = ["r0", "r1", "r2", "r3", "x:r", "y:r"];
pub const ACTIONS: [&str; 6] = ["a", "b", "a:x", "a:y", "a:x:y", "b:x"];
pub const SCOPES: [&str; 5] = ["", "s", "s.t", "s.t.u", "w"];
pub const VERSIONS: [&str; 2] = ["default", "v1"];
pub const PRINCIPALS: [&str; 4] = ["p0", "p1", "p2", "p3"];
const CONSENT: &str = "SCOPE_PERMISSIONS_REQUIRE_PARENTAL_CONSENT_FOR_ALLOWS";
pub const API: &str = "api.cerbos.dev/v1";

/// What conditions read as globals.
pub fn globals() -> Json {
    json!({"g1": "a", "g2": 3, "g3": ["a", "b"]})
}

/// The kind with a number; some have a separator.
pub fn kind(number: usize) -> String {
    if number % 5 == 4 { format!("ns:k{number}") } else { format!("k{number}") }
}

impl Set {
    pub fn write(&self, folder: &Path) {
        fs::create_dir_all(folder.join("_schemas")).expect("a folder");
        for (index, document) in self.documents.iter().enumerate() {
            let path = folder.join(format!("p{index:03}.yaml"));
            let is_last = index + 1 == self.documents.len();
            let tail = if is_last { self.tail.as_str() } else { "" };
            fs::write(path, yaml::document(document) + tail).expect("a policy");
        }
        for (name, schema) in &self.schemas {
            fs::write(folder.join("_schemas").join(name), schema.to_string()).expect("a schema");
        }
    }
}

pub fn generate(rng: &mut Rng, kinds: usize) -> Set {
    let permissions = SCOPES
        .iter()
        .map(|scope| match rng.below(3) {
            // The root has policies that cannot write any.
            0 if !scope.is_empty() => Some(CONSENT),
            1 if !scope.is_empty() => Some("SCOPE_PERMISSIONS_OVERRIDE_PARENT"),
            _ => None,
        })
        .collect();
    let mut writer = Writer {
        expressions: Expressions::new(1),
        declarations: declarations(),
        permissions,
        unique: 0,
        conditions: Default::default(),
        documents: Vec::new(),
        kinds,
        rng,
    };
    writer.shared();
    for number in 0..kinds {
        writer.resource_policies(number);
    }
    for principal in PRINCIPALS.iter().take(3) {
        writer.principal_policies(principal);
    }
    for role in ROLES {
        if writer.rng.percent(60) {
            writer.role_policies(role);
        }
    }
    let documents = writer.documents;
    let schemas = vec![
        (
            "r.json".to_owned(),
            json!({"type": "object", "properties": {"i": {"type": "integer"}, "s": {"type": "string"}}}),
        ),
        (
            "p.json".to_owned(),
            json!({"type": "object", "properties": {"d": {"type": "number"}}, "required": ["s"]}),
        ),
    ];
    let knobs = Knobs {
        lenient: rng.percent(20),
        version: if rng.percent(15) { "v1" } else { "default" },
        scope: if rng.percent(10) { "s" } else { "" },
    };
    Set { documents, schemas, knobs, tail: String::new() }
}

/// The names that every policy may use.
fn declarations() -> Declarations {
    let mut all = Declarations::new();
    for (slot, name) in ["e1", "e2", "l1", "l2"].into_iter().enumerate() {
        all.declare_variable(name, slot);
    }
    all.declare_constant("c1", Value::from_json(&json!("a")));
    all.declare_constant("c2", Value::from_json(&json!([1, "b", null])));
    all.declare_constant("k1", Value::from_json(&json!(5)));
    all
}

struct Writer<'r> {
    rng: &'r mut Rng,
    expressions: Expressions,
    declarations: Declarations,
    permissions: Vec<Option<&'static str>>,
    unique: usize,
    /// Some are used again, by other policies.
    /// Those that stand as they are written, and those that the PDP turns round.
    conditions: [Vec<Json>; 2],
    documents: Vec<Json>,
    kinds: usize,
}

impl Writer<'_> {
    fn add(&mut self, kind: &str, policy: &Json) {
        self.documents.push(json!({"apiVersion": API, kind: policy}));
    }

    /// What other policies import.
    fn shared(&mut self) {
        self.expressions.names = vec![('s', "G.g1".to_owned()), ('q', "G.g3".to_owned())];
        let first = self.expression('b', 2);
        let second = self.expression('x', 2);
        self.add(
            "exportVariables",
            &json!({"name": "ev", "definitions": {"e1": first, "e2": second}}),
        );
        self.add(
            "exportConstants",
            &json!({"name": "ec", "definitions": {"c1": "a", "c2": [1, "b", null]}}),
        );
        for module in ["dr0", "dr1"] {
            self.names(false);
            let mut definitions = Vec::new();
            for index in 0..3 {
                let parents =
                    if self.rng.percent(15) { vec!["*"] } else { self.rng.some(&ROLES, 2) };
                let mut role = json!({"name": format!("{module}_{index}"), "parentRoles": parents});
                if self.rng.percent(65) {
                    role["condition"] = self.condition(false);
                }
                definitions.push(role);
            }
            let mut policy = json!({"name": module, "definitions": definitions});
            self.declare(&mut policy);
            self.add("derivedRoles", &policy);
        }
    }

    /// Which names conditions of the next policy use.
    fn names(&mut self, is_resource: bool) {
        let mut names: Vec<(char, String)> = [
            ('b', "V.e1"),
            ('x', "V.e2"),
            ('b', "V.l1"),
            ('x', "V.l2"),
            ('s', "C.c1"),
            ('l', "C.c2"),
            ('s', "G.g1"),
            // Else a double here and an integer in the PDP (docs/policies.md).
            ('i', "G.g2"),
            ('q', "G.g3"),
            ('i', "C.k1"),
        ]
        .map(|(of, name)| (of, name.to_owned()))
        .to_vec();
        if is_resource {
            names.push(('q', "runtime.effectiveDerivedRoles".to_owned()));
        }
        self.expressions.names = names;
    }

    fn declare(&mut self, policy: &mut Json) {
        let names = std::mem::take(&mut self.expressions.names);
        let first = self.expression('b', 2);
        self.expressions.names = vec![('b', "V.l1".to_owned()), ('x', "V.e2".to_owned())];
        let second = self.expression('x', 2);
        self.expressions.names = names;
        policy["variables"] = json!({"import": ["ev"], "local": {"l1": first, "l2": second}});
        policy["constants"] = json!({"import": ["ec"], "local": {"k1": 5}});
    }

    /// One that loads. Those that do not are compared by the run over expressions alone.
    fn expression(&mut self, wanted: char, depth: usize) -> String {
        for _ in 0..30 {
            let text = self.expressions.write(wanted, depth, self.rng);
            if Environment::cerbos().compile(&text, &self.declarations).is_ok() {
                return text;
            }
        }
        "R.attr.b".to_owned()
    }

    /// `is_turned`: the PDP keeps it as "deny unless", and would confuse it with "deny if".
    fn condition(&mut self, is_turned: bool) -> Json {
        let known = &self.conditions[usize::from(is_turned)];
        if !known.is_empty() && self.rng.percent(15) {
            return self.rng.pick(known).clone();
        }
        let condition = json!({"match": self.tree(0)});
        if !condition.to_string().contains("runtime.") {
            self.conditions[usize::from(is_turned)].push(condition.clone());
        }
        condition
    }

    /// Groups get a member of their own: the PDP confuses those that differ in nothing else.
    fn tree(&mut self, depth: usize) -> Json {
        if depth == 2 || self.rng.percent(60) {
            let depth = self.rng.below(3);
            return json!({"expr": self.expression('b', depth)});
        }
        let operator = *self.rng.pick(&["all", "any", "none"]);
        let mut of: Vec<Json> = (0..=self.rng.below(3)).map(|_| self.tree(depth + 1)).collect();
        self.unique += 1;
        let sign = if operator == "all" { "!=" } else { "==" };
        let own = json!({"expr": format!("R.id {sign} \"u{}\"", self.unique)});
        of.insert(self.rng.below(of.len() + 1), own);
        json!({operator: {"of": of}})
    }

    fn output(&mut self) -> Json {
        if self.rng.percent(15) {
            return json!({"expr": self.expression('x', 2)});
        }
        let mut when = Map::new();
        if self.rng.percent(80) {
            when.insert("ruleActivated".to_owned(), self.expression('x', 2).into());
        }
        if when.is_empty() || self.rng.percent(50) {
            when.insert("conditionNotMet".to_owned(), self.expression('x', 2).into());
        }
        json!({"when": when})
    }

    fn actions(&mut self, most: usize) -> Vec<&'static str> {
        const ALL: [&str; 10] = ["a", "b", "a:x", "a:y", "a:x:y", "b:x", "*", "a:*", "a:**", "*:x"];
        self.rng.some(&ALL, most)
    }

    fn effect(&mut self) -> &'static str {
        if self.rng.percent(65) { "EFFECT_ALLOW" } else { "EFFECT_DENY" }
    }

    /// Condition, output and name.
    fn extras(&mut self, rule: &mut Json, index: usize, scope: usize) {
        if self.rng.percent(60) {
            let needs_consent = self.permissions[scope] == Some(CONSENT);
            rule["condition"] = self.condition(needs_consent && rule["effect"] == "EFFECT_ALLOW");
        }
        if self.rng.percent(30) {
            rule["output"] = self.output();
        }
        if self.rng.percent(40) {
            rule["name"] = format!("n{index}").into();
        }
    }

    fn place(&mut self, policy: &mut Json, scope: usize) {
        if scope > 0 {
            policy["scope"] = SCOPES[scope].into();
        }
        if let Some(permissions) = self.permissions[scope] {
            policy["scopePermissions"] = permissions.into();
        }
        self.declare(policy);
    }

    /// The root, and some of the scopes below it.
    fn chain(&mut self) -> Vec<usize> {
        match self.rng.below(6) {
            0 | 1 => vec![0],
            2 => vec![0, 1],
            3 => vec![0, 1, 2],
            4 => vec![0, 1, 2, 3],
            _ => vec![0, 4],
        }
    }

    fn resource_policies(&mut self, number: usize) {
        for version in VERSIONS {
            if version != "default" && self.rng.percent(70) {
                continue;
            }
            for scope in self.chain() {
                self.resource_policy(number, version, scope);
            }
        }
    }

    fn resource_policy(&mut self, number: usize, version: &str, scope: usize) {
        self.names(true);
        let mut rules = Vec::new();
        for index in 0..self.rng.below(5) {
            let mut rule = json!({"actions": self.actions(3), "effect": self.effect()});
            let which = self.rng.below(3);
            if which != 0 {
                let globs = ["r0", "r1", "r2", "r3", "x:r", "*", "x:*", "*:r", "r*"];
                rule["roles"] = self.rng.some(&globs, 3).into();
            }
            if which != 1 {
                let all = ["dr0_0", "dr0_1", "dr0_2", "dr1_0", "dr1_1", "dr1_2"];
                rule["derivedRoles"] = self.rng.some(&all, 2).into();
            }
            self.extras(&mut rule, index, scope);
            rules.push(rule);
        }
        let mut policy = json!({
            "resource": kind(number), "version": version, "importDerivedRoles": ["dr0", "dr1"],
            "rules": rules,
        });
        if self.rng.percent(15) {
            let mut schemas = json!({"resourceSchema": {"ref": "cerbos:///r.json"}});
            if self.rng.percent(50) {
                schemas["principalSchema"] = json!({"ref": "cerbos:///p.json"});
                schemas["resourceSchema"]["ignoreWhen"] = json!({"actions": self.actions(2)});
            }
            policy["schemas"] = schemas;
        }
        self.place(&mut policy, scope);
        self.add("resourcePolicy", &policy);
    }

    fn a_kind(&mut self) -> String {
        match self.rng.below(10) {
            0 | 1 => "*".to_owned(),
            2 => (*self.rng.pick(&["k*", "ns:*", "*1", "*:k4", "**"])).to_owned(),
            _ => kind(self.rng.below(self.kinds)),
        }
    }

    fn principal_policies(&mut self, principal: &str) {
        for scope in self.chain() {
            self.names(false);
            let mut rules = Vec::new();
            for _ in 0..self.rng.below(3) {
                let kind = self.a_kind();
                if rules.iter().any(|rule: &Json| rule["resource"] == kind.as_str()) {
                    continue;
                }
                let mut actions = Vec::new();
                for (index, action) in self.actions(3).into_iter().enumerate() {
                    let mut rule = json!({"action": action, "effect": self.effect()});
                    self.extras(&mut rule, index, scope);
                    actions.push(rule);
                }
                rules.push(json!({"resource": kind, "actions": actions}));
            }
            let version = if self.rng.percent(90) { "default" } else { "v1" };
            let mut policy = json!({"principal": principal, "version": version, "rules": rules});
            self.place(&mut policy, scope);
            self.add("principalPolicy", &policy);
        }
    }

    fn role_policies(&mut self, name: &str) {
        let scope = self.rng.below(SCOPES.len());
        // Role policies count as if they wrote no permissions.
        if self.permissions[scope].is_some() {
            return;
        }
        self.names(false);
        let mut rules = Vec::new();
        for index in 0..=self.rng.below(3) {
            let mut rule = json!({"resource": self.a_kind(), "allowActions": self.actions(3)});
            self.extras(&mut rule, index, scope);
            rules.push(rule);
        }
        let mut policy = json!({"role": name, "rules": rules});
        if self.rng.percent(60) {
            policy["parentRoles"] = self.rng.some(&ROLES, 2).into();
        }
        if self.rng.percent(15) {
            policy["version"] = "v1".into();
        }
        self.place(&mut policy, scope);
        self.add("rolePolicy", &policy);
    }
}
