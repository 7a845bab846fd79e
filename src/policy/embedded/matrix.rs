//! The tables of a test suite: every principal with every resource.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer};
use serde_json::Value as Json;

use super::Effect;
use super::api::{AuxData, Principal, Resource};
use super::fixtures::{Fixtures, Named, unique};
use super::suite::{TestOptions, same};

/// Of all suites of a directory.
pub(super) const MAX_CASES: usize = 100_000;
const MAX_ACTIONS: usize = 500;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Table {
    pub name: String,
    #[serde(default, rename = "description")]
    _description: String,
    #[serde(default)]
    pub skip: bool,
    #[serde(default, alias = "skip_reason")]
    pub skip_reason: String,
    pub input: Input,
    expected: Vec<Expectation>,
    #[serde(default)]
    pub options: Option<TestOptions>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Input {
    #[serde(default)]
    principals: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default, alias = "principal_groups")]
    principal_groups: Vec<String>,
    #[serde(default, alias = "resource_groups")]
    resource_groups: Vec<String>,
    pub actions: Vec<String>,
    #[serde(default, alias = "aux_data")]
    aux_data: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expectation {
    #[serde(default)]
    principal: Option<String>,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    principals: Vec<String>,
    #[serde(default)]
    resources: Vec<String>,
    #[serde(default, alias = "principal_groups")]
    principal_groups: Vec<String>,
    #[serde(default, alias = "resource_groups")]
    resource_groups: Vec<String>,
    actions: Named<Effect>,
    #[serde(default)]
    outputs: Vec<ExpectedOutputs>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedOutputs {
    action: String,
    expected: Vec<ExpectedOutput>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedOutput {
    src: String,
    #[serde(default)]
    val: Json,
}

/// One principal and one resource of a test.
pub(super) struct Element<'s> {
    pub principal: &'s str,
    pub resource: &'s str,
    pub who: &'s Principal,
    pub what: &'s Resource,
    pub aux_data: Option<&'s AuxData>,
    pub expected: Expected,
}

#[derive(Default)]
pub(super) struct Expected {
    pub actions: Named<Effect>,
    /// By action and source.
    pub outputs: Named<Named<Json>>,
}

impl<'de> Deserialize<'de> for Effect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            "EFFECT_ALLOW" => Ok(Self::Allow),
            "EFFECT_DENY" => Ok(Self::Deny),
            other => Err(serde::de::Error::custom(format!("'{other}' is no effect"))),
        }
    }
}

/// # Errors
/// They are more than the suites of a directory may have.
pub(super) fn few(cases: usize) -> Result<(), String> {
    if cases > MAX_CASES { Err(format!("more than {MAX_CASES} cases")) } else { Ok(()) }
}

impl Table {
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Err("a test has a name".to_owned());
        }
        if self.input.actions.is_empty() || self.expected.is_empty() {
            return Err("no actions or expectations".to_owned());
        }
        if self.input.actions.len() > MAX_ACTIONS {
            return Err(format!("more than {MAX_ACTIONS} actions"));
        }
        let Input { principals, resources, principal_groups, resource_groups, actions, .. } =
            &self.input;
        [principals, resources, principal_groups, resource_groups, actions]
            .into_iter()
            .try_for_each(|list| unique(list))?;
        self.expected.iter().try_for_each(Expectation::check)
    }

    /// # Errors
    /// The table names something that does not exist, or contradicts itself.
    pub fn matrix<'s>(&'s self, fixtures: &'s Fixtures) -> Result<Vec<Element<'s>>, String> {
        let input = &self.input;
        self.check()?;
        let mut expected = self.expected(fixtures)?;
        let aux_data = match input.aux_data.as_str() {
            "" => None,
            name => Some(fixtures.aux_data.get(name).ok_or(format!("auxData '{name}' not found"))?),
        };
        let principals = fixtures.principals(None, &input.principals, &input.principal_groups)?;
        let resources = fixtures.resources(None, &input.resources, &input.resource_groups)?;
        few(principals.len() * resources.len() * input.actions.len())?;
        let mut elements = Vec::new();
        for principal in principals {
            let who = fixtures.principals.get(principal);
            let who = who.ok_or_else(|| format!("principal '{principal}' not found"))?;
            for &resource in &resources {
                let what = fixtures.resources.get(resource);
                let what = what.ok_or_else(|| format!("resource '{resource}' not found"))?;
                let expected = expected.remove(&(principal, resource)).unwrap_or_default();
                elements.push(Element { principal, resource, who, what, aux_data, expected });
            }
        }
        match expected.keys().next() {
            Some((principal, resource)) => Err(format!(
                "an expectation for principal '{principal}' and resource '{resource}', which are \
                 not both in the input"
            )),
            None => Ok(elements),
        }
    }

    fn expected<'s>(
        &'s self,
        fixtures: &'s Fixtures,
    ) -> Result<BTreeMap<(&'s str, &'s str), Expected>, String> {
        let mut found: BTreeMap<(&str, &str), Expected> = BTreeMap::new();
        let mut work = 0;
        for it in &self.expected {
            let outputs = it.outputs.iter().map(|output| &output.action);
            if let Some(lost) =
                it.actions.keys().chain(outputs).find(|action| !self.input.actions.contains(action))
            {
                return Err(format!(
                    "an expectation for '{lost}', which is no action of the input"
                ));
            }
            let principals =
                fixtures.principals(it.principal.as_ref(), &it.principals, &it.principal_groups)?;
            let resources =
                fixtures.resources(it.resource.as_ref(), &it.resources, &it.resource_groups)?;
            work += principals.len() * resources.len() * (1 + it.actions.len() + it.outputs.len());
            few(work)?;
            for principal in principals {
                for resource in &resources {
                    found.entry((principal, resource)).or_default().merge(it)?;
                }
            }
        }
        Ok(found)
    }
}

impl Expectation {
    fn check(&self) -> Result<(), String> {
        if self.actions.is_empty() || self.outputs.iter().any(|it| it.expected.is_empty()) {
            return Err("an expectation without actions, or outputs without any".to_owned());
        }
        let Self { principals, resources, principal_groups, resource_groups, .. } = self;
        [principals, resources, principal_groups, resource_groups]
            .into_iter()
            .try_for_each(|list| unique(list))
    }
}

impl Expected {
    fn merge(&mut self, it: &Expectation) -> Result<(), String> {
        for (action, effect) in &it.actions {
            if self.actions.insert(action.clone(), *effect).is_some_and(|old| old != *effect) {
                return Err(format!("contradictory expectations for '{action}'"));
            }
        }
        for output in &it.outputs {
            let known = self.outputs.entry(output.action.clone()).or_default();
            for entry in &output.expected {
                let old = known.insert(entry.src.clone(), entry.val.clone());
                if old.is_some_and(|old| !same(&old, &entry.val)) {
                    return Err(format!("contradictory expectations for output '{}'", entry.src));
                }
            }
        }
        Ok(())
    }
}
