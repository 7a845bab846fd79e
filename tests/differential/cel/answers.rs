//! The same questions to the engine and the PDPs.

use std::fs;
use std::path::Path;

use serde_json::{Value as Json, json};
use tidegate::policy::embedded::Engine;

use super::super::campaign::{Answer, engine, ours, start};
use super::super::compare::{Decision, decision};
use super::super::pdp::Pdp;
use super::super::policies::Knobs;
use super::super::rng::Rng;
use super::super::{known, requests};
use super::{PER_POLICY, Report, policy};

/// So often every expression is asked, with other attributes.
const ROUNDS: usize = 3;
/// So often each PDP is asked again.
const AGAIN: usize = 6;
/// So many more processes are asked where one answer differs.
const MORE: usize = 4;

pub fn compare(binary: &Path, all: &[String], pdps: usize, rng: &mut Rng, report: &mut Report) {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, some) in all.chunks(PER_POLICY).enumerate() {
        let path = folder.path().join(format!("c{number}.yaml"));
        fs::write(path, policy(number, some)).expect("a policy");
    }
    let engine = engine(folder.path(), &Knobs::USUAL).expect("expressions that load");
    let pdps = start(binary, folder.path(), &Knobs::USUAL, pdps).expect("expressions that load");
    let more = More { binary, folder: folder.path() };
    let mut asked = Asked { engine, pdps, more, errors: Vec::new(), report };
    for (number, some) in all.chunks(PER_POLICY).enumerate() {
        for _ in 0..ROUNDS {
            let (principal, attr) = (requests::attributes(rng), requests::attributes(rng));
            asked.errors = vec![None; some.len()];
            for letter in ["e", "a", "d"] {
                let ask = |actions: Vec<String>| {
                    json!({"includeMeta": true,
                        "principal": {"id": "p", "roles": ["r1", "r2"], "attr": principal},
                        "resources": [{"actions": actions, "resource":
                            {"id": "d", "kind": format!("c{number}"), "attr": attr}}]})
                };
                asked.all(letter, some, ask);
            }
        }
    }
}

struct Asked<'r> {
    engine: Engine,
    pdps: Vec<Pdp>,
    more: More<'r>,
    /// Why the engine fails, as the outputs tell.
    errors: Vec<Option<String>>,
    report: &'r mut Report,
}

/// Processes that are started when one answer differs.
struct More<'r> {
    binary: &'r Path,
    folder: &'r Path,
}

impl Asked<'_> {
    fn all(&mut self, letter: &str, some: &[String], ask: impl Fn(Vec<String>) -> Json) {
        let name = |index: usize| format!("{letter}{index}");
        let whole = ask((0..some.len()).map(name).collect());
        let (own, theirs) = (ours(&self.engine, &whole), self.ask(&whole));
        let is_whole = theirs.iter().all(|answer| answer.0 == 200);
        for (index, text) in some.iter().enumerate() {
            let action = name(index);
            let single = ask(vec![action.clone()]);
            let said = own.1["results"][0]["outputs"].as_array().into_iter().flatten();
            if let Some(error) = said.filter(|it| it["action"] == action).find_map(error_of) {
                self.errors[index] = Some(error.to_owned());
            }
            let error = self.errors[index].clone();
            if is_whole {
                self.one((text, error.as_deref()), &action, &single, &own, &theirs);
            } else {
                // A value that is no JSON fails the whole call of the PDP.
                let (own, theirs) = (ours(&self.engine, &single), self.ask(&single));
                self.one((text, error.as_deref()), &action, &single, &own, &theirs);
            }
        }
    }

    fn ask(&mut self, request: &Json) -> Vec<Answer> {
        ask(&mut self.pdps, request)
    }

    /// What processes say that nobody has asked yet: the order of a constant map is another one in
    /// each.
    fn ask_more(&self, request: &Json) -> Vec<Answer> {
        let kind = request["resources"][0]["resource"]["kind"].as_str().expect("a kind");
        let file = format!("{kind}.yaml");
        let folder = tempfile::tempdir().expect("a folder");
        fs::copy(self.more.folder.join(&file), folder.path().join(&file)).expect("a policy");
        let mut pdps = start(self.more.binary, folder.path(), &Knobs::USUAL, MORE).expect("PDPs");
        (0..AGAIN).flat_map(|_| ask(&mut pdps, request)).collect()
    }

    fn one(
        &mut self,
        (text, error): (&str, Option<&str>),
        action: &str,
        single: &Json,
        own: &Answer,
        theirs: &[Answer],
    ) {
        let own = decision(&own.1, 0, action);
        let failed = own.outputs.iter().any(|(_, value)| *value == json!({"error": true}));
        if theirs.iter().any(|answer| answer.0 != 200) {
            if failed {
                self.known("a value that is no JSON fails the whole call of the PDP");
            } else {
                self.report
                    .new
                    .push(format!("{text}\n  {single}\n  engine {own:?}\n  PDP {theirs:?}"));
            }
            return;
        }
        let mut others: Vec<_> = theirs.iter().map(|it| decision(&it.1, 0, action)).collect();
        if others.iter().any(|it| *it != own) {
            for _ in 0..AGAIN {
                let again = self.ask(single);
                others.extend(again.iter().map(|it| decision(&it.1, 0, action)));
            }
        }
        let is_denied = others.iter().any(|it| it.effect != "EFFECT_ALLOW");
        if own.effect == "EFFECT_ALLOW" && is_denied {
            self.report.open += 1;
        } else if others.iter().all(|it| *it == own) {
            return match (&own.outputs.is_empty(), failed, &*own.effect) {
                (true, _, "EFFECT_ALLOW") => self.report.allowed += 1,
                (true, _, _) => self.report.denied += 1,
                (false, true, _) => self.report.failures += 1,
                (false, false, _) => self.report.values += 1,
            };
        } else if let Some(id) = known::value(text, error, &own, &others) {
            return self.known(id);
        } else {
            let more = self.ask_more(single);
            others.extend(more.iter().map(|it| decision(&it.1, 0, action)));
            let is_denied = others.iter().any(|it| it.effect != "EFFECT_ALLOW");
            if own.effect == "EFFECT_ALLOW" && is_denied {
                self.report.open += 1;
            } else if disagree(&others) && (says_less(&own, &others) || known::makes_lists(text)) {
                self.report.disagreed += 1;
                return;
            }
        }
        let differing = others.iter().find(|it| **it != own);
        let error = error.unwrap_or_default();
        let all = format!("{text}\n  {single}\n  engine {own:?} {error}\n  PDP {differing:?}");
        self.report.new.push(all);
    }

    fn known(&mut self, id: &'static str) {
        *self.report.known.entry(id).or_default() += 1;
    }
}

fn disagree(others: &[Decision]) -> bool {
    others.iter().any(|it| *it != others[0])
}

/// Among answers that differ the engine gives one of them, and denies when one does.
fn says_less(own: &Decision, others: &[Decision]) -> bool {
    let is_denied = others.iter().any(|it| it.effect != "EFFECT_ALLOW");
    others.contains(own) || (is_denied && own.effect != "EFFECT_ALLOW")
}

fn ask(pdps: &mut [Pdp], request: &Json) -> Vec<Answer> {
    let text = &request.to_string();
    std::thread::scope(|scope| {
        let asked: Vec<_> =
            pdps.iter_mut().map(|pdp| scope.spawn(move || pdp.check(text))).collect();
        asked.into_iter().map(|it| it.join().expect("an answer")).collect()
    })
}

fn error_of(output: &Json) -> Option<&str> {
    output["error"].as_str().filter(|error| !error.is_empty())
}
