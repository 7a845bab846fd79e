//! Expressions alone: which ones load, what they say as outputs, and what they decide as the
//! conditions of ALLOW and DENY rules.

mod answers;
mod report;
mod templates;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use tidegate::policy::embedded::cel::{Declarations, Environment};

pub use report::Report;

use super::campaign::folder;
use super::expressions::Expressions;
use super::rng::Rng;
use super::{known, pdp, yaml};

pub struct Options {
    pub seed: u64,
    pub expressions: usize,
    pub pdps: usize,
}

/// So many expressions share a policy.
const PER_POLICY: usize = 40;
/// So many are loaded by one PDP.
const PER_ROUND: usize = 2_000;

pub fn run(options: &Options) -> Report {
    let binary = pdp::binary();
    let mut rng = Rng::new(options.seed);
    let mut report = Report::default();
    while report.expressions < options.expressions && report.new.len() < 100 {
        let count = PER_ROUND.min(options.expressions - report.expressions);
        let all: Vec<String> = (0..count).map(|_| expression(&mut rng)).collect();
        report.expressions += count;
        let both = loading(&binary, all, &mut report);
        report.loaded += both.len();
        answers::compare(&binary, &both, options.pdps, &mut rng, &mut report);
    }
    if !report.new.is_empty() {
        let folder = folder("cel-");
        fs::write(folder.join("differences.txt"), report.new.join("\n\n")).expect("a file");
        println!("differences: {}", folder.display());
    }
    report
}

fn expression(rng: &mut Rng) -> String {
    let depth = 1 + rng.below(3);
    let wanted = if rng.percent(40) { 'b' } else { 'x' };
    Expressions::new(4).with(templates::LEAVES, templates::TEMPLATES).write(wanted, depth, rng)
}

/// What both take; what only one of them takes is told.
fn loading(binary: &Path, all: Vec<String>, report: &mut Report) -> Vec<String> {
    let folder = tempfile::tempdir().expect("a folder");
    for (index, text) in all.iter().enumerate() {
        let path = folder.path().join(format!("p{index:05}.yaml"));
        fs::write(path, policy(index, std::slice::from_ref(text))).expect("a policy");
    }
    let said = pdp::compile(binary, folder.path()).unwrap_or_default();
    let theirs: BTreeSet<&str> = said.split('p').filter_map(|part| part.get(..10)).collect();
    let mut both = Vec::new();
    for (index, text) in all.into_iter().enumerate() {
        let is_refused = theirs.contains(&*format!("{index:05}.yaml"));
        match (Environment::cerbos().compile(&text, &Declarations::new()), is_refused) {
            (Ok(_), false) => both.push(text),
            (Err(_), true) => report.refused += 1,
            (Ok(_), true) => report.new.push(format!("only the PDP refuses: {text}")),
            (Err(error), false) => match known::refusal_of_an_expression(&error.message) {
                Some(reason) => *report.refused_alone.entry(reason).or_default() += 1,
                None => report.new.push(format!("refused ({}): {text}", error.message)),
            },
        }
    }
    both
}

/// Actions by number: `e` has the output, `a` is allowed when the expression holds, `d` is denied
/// when it does.
fn policy(number: usize, expressions: &[String]) -> String {
    let rule = |action: String, effect: &str| json!({"actions": [action], "effect": effect, "roles": ["*"]});
    let rules: Vec<Json> = expressions
        .iter()
        .enumerate()
        .flat_map(|(index, text)| {
            let condition = json!({"match": {"expr": text}});
            let mut said = rule(format!("e{index}"), "EFFECT_ALLOW");
            said["output"] = json!({"when": {"ruleActivated": text}});
            let mut allowed = rule(format!("a{index}"), "EFFECT_ALLOW");
            allowed["condition"] = condition.clone();
            let mut denied = rule(format!("d{index}"), "EFFECT_DENY");
            denied["condition"] = condition;
            [said, allowed, denied, rule(format!("d{index}"), "EFFECT_ALLOW")]
        })
        .collect();
    let policy = json!({"resource": format!("c{number}"), "version": "default", "rules": rules});
    yaml::document(&json!({"apiVersion": "api.cerbos.dev/v1", "resourcePolicy": policy}))
}
