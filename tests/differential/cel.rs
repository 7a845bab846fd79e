//! Expressions alone: which ones load, and what they say as an output.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use serde_json::{Value as Json, json};
use tidegate::policy::embedded::cel::{Declarations, Environment};

use super::campaign::{engine, folder, ours, start};
use super::compare::decision;
use super::expressions::Expressions;
use super::rng::Rng;
use super::{known, pdp, requests, yaml};

#[derive(Debug, Default)]
pub struct Report {
    pub expressions: usize,
    pub loaded: usize,
    pub refused: usize,
    pub refused_alone: BTreeMap<&'static str, usize>,
    pub answers: usize,
    pub values: usize,
    pub failures: usize,
    pub known: BTreeMap<&'static str, usize>,
    pub new: Vec<String>,
}

const PER_POLICY: usize = 40;

pub fn run(seed: u64, count: usize) -> Report {
    let binary = pdp::binary();
    let mut rng = Rng::new(seed);
    let mut report = Report { expressions: count, ..Report::default() };
    let all: Vec<String> = (0..count)
        .map(|_| {
            let depth = 1 + rng.below(3);
            Expressions::new(4).write('x', depth, &mut rng)
        })
        .collect();
    let folder_of_all = tempfile::tempdir().expect("a folder");
    for (index, text) in all.iter().enumerate() {
        let path = folder_of_all.path().join(format!("p{index:05}.yaml"));
        fs::write(path, policy(index, std::slice::from_ref(text))).expect("a policy");
    }
    let said = pdp::compile(&binary, folder_of_all.path()).unwrap_or_default();
    let theirs: BTreeSet<&str> = said.split("p").filter_map(|part| part.get(..10)).collect();
    let mut both = Vec::new();
    for (index, text) in all.into_iter().enumerate() {
        let is_refused = theirs.contains(&*format!("{index:05}.yaml"));
        match (Environment::cerbos().compile(&text, &Declarations::new()), is_refused) {
            (Ok(_), false) => both.push(text),
            (Err(_), true) => report.refused += 1,
            (Ok(_), true) => report.new.push(format!("the PDP refuses: {text}")),
            (Err(error), false) => match known::refusal(&error.message) {
                Some(reason) => *report.refused_alone.entry(reason).or_default() += 1,
                None => report.new.push(format!("refused ({}): {text}", error.message)),
            },
        }
    }
    report.loaded = both.len();
    values(&binary, &both, &mut rng, &mut report);
    report
}

fn policy(number: usize, expressions: &[String]) -> String {
    let rules: Vec<Json> = expressions
        .iter()
        .enumerate()
        .map(|(index, text)| {
            json!({"actions": [format!("e{index}")], "effect": "EFFECT_ALLOW", "roles": ["*"],
                "name": format!("e{index}"), "output": {"when": {"ruleActivated": text}}})
        })
        .collect();
    let policy = json!({"resource": format!("c{number}"), "version": "default", "rules": rules});
    yaml::document(&json!({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}))
}

fn values(binary: &std::path::Path, all: &[String], rng: &mut Rng, report: &mut Report) {
    let policies = tempfile::tempdir().expect("a folder");
    for (number, some) in all.chunks(PER_POLICY).enumerate() {
        let path = policies.path().join(format!("c{number}.yaml"));
        fs::write(path, policy(number, some)).expect("a policy");
    }
    let engine = engine(policies.path()).expect("expressions that load");
    let mut pdps = start(binary, policies.path(), 1).expect("expressions that load");
    for (number, some) in all.chunks(PER_POLICY).enumerate() {
        for _ in 0..3 {
            let subject = json!({"id": "d", "kind": format!("c{number}"), "attr": requests::attributes(rng)});
            let principal = json!({"id": "p", "roles": ["r1", "r2"], "attr": requests::attributes(rng)});
            // One action each: a value that is no JSON fails the whole call of the PDP.
            for (index, text) in some.iter().enumerate() {
                let action = format!("e{index}");
                let request = json!({"includeMeta": true, "principal": principal,
                    "resources": [{"actions": [action], "resource": subject}]});
                let theirs = pdps[0].check(&request.to_string());
                let own = decision(&ours(&engine, &request).1, 0, &action);
                report.answers += 1;
                if theirs.0 != 200 {
                    let failed = json!({"error": true});
                    if own.outputs.iter().all(|(_, value)| *value == failed) {
                        *report.known.entry("a value that is no JSON fails the whole call").or_default() += 1;
                    } else {
                        report.new.push(format!("{text}\n  {request}\n  engine {:?}\n  PDP {theirs:?}", own.outputs));
                    }
                    continue;
                }
                let their = decision(&theirs.1, 0, &action);
                if own.outputs == their.outputs {
                    let failed = own.outputs.iter().any(|(_, value)| value.get("error").is_some());
                    if failed { report.failures += 1 } else { report.values += 1 }
                } else if let Some(id) = known::value(text, &own, &their) {
                    *report.known.entry(id).or_default() += 1;
                } else {
                    report.new.push(format!("{text}\n  {request}\n  engine {:?}\n  PDP {:?}", own.outputs, their.outputs));
                }
            }
        }
    }
    if !report.new.is_empty() {
        let folder = folder("cel-");
        fs::write(folder.join("differences.txt"), report.new.join("\n\n")).expect("a file");
        println!("differences: {}", folder.display());
    }
}

impl Report {
    pub fn is_good(&self) -> bool {
        self.new.is_empty()
    }
}
