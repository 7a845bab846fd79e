//! Sets after sets: the engine and several PDPs answer the same requests.

use std::path::{Path, PathBuf};

use serde_json::{Value as Json, json};
use tempfile::TempDir;
use tidegate::policy::embedded::api::CheckRequest;
use tidegate::policy::embedded::{Engine, Options as EngineOptions};

use super::compare::{Common, Decision, common, decision};
use super::pdp::{self, Pdp};
use super::policies::{self, Knobs, Set};
use super::report::Report;
use super::rng::Rng;
use super::{failure, faults, known, order, requests, shrink};

pub struct Options {
    pub seed: u64,
    pub decisions: usize,
    pub pdps: usize,
}

/// One place where the engine says something else than every PDP.
#[derive(Clone, Debug)]
pub struct Difference {
    pub resource: usize,
    /// Absent where it is about the resource as a whole.
    pub action: Option<String>,
    pub what: String,
    pub ours: String,
    pub theirs: Vec<String>,
    /// What is said about an action: by the engine, and by each PDP.
    pub sides: Vec<Decision>,
    /// What each PDP says about the resource as a whole, where that is the difference.
    pub commons: Vec<Common>,
    /// The engine allows what a PDP denies.
    pub is_open: bool,
}

/// A set that the engine and the PDPs have loaded.
pub struct Loaded {
    pub folder: TempDir,
    pub engine: Engine,
    pub pdps: Vec<Pdp>,
}

/// How many more PDPs are asked before an answer is taken for one that none gives.
const MORE_PDPS: usize = 24;
const FEW: usize = 4;

/// A status of 400 stands for every refusal.
pub type Answer = (u16, Json);

pub fn run(options: &Options) -> Report {
    let binary = pdp::binary();
    let mut report = Report::default();
    let mut rng = Rng::new(options.seed);
    while report.decisions < options.decisions && report.new.len() < 6 {
        let (kinds, count) = *rng.pick(&[(1, 15), (2, 30), (6, 80), (12, 120)]);
        faults::compare(&binary, &mut rng, 4, &mut report);
        let mut set = policies::generate(&mut rng, kinds);
        report.sets += 1;
        let loaded = match load(&binary, &mut set, options.pdps, &mut report) {
            Ok(loaded) => loaded,
            Err(why) => {
                if let Some(id) = known::refusal_of_the_pdp(&why) {
                    *report.known.entry(id).or_default() += 1;
                    continue;
                }
                report.new.push(shrink::write_refused(&set, &why));
                continue;
            }
        };
        let requests: Vec<Json> = (0..count).map(|_| requests::generate(&mut rng, kinds)).collect();
        let (more, turned) = (Vec::new(), None);
        let mut round =
            Round { binary: &binary, set: &set, loaded, more, turned, report: &mut report };
        round.run(&requests);
        report.tell_progress();
    }
    report
}

/// # Errors
/// One of both refuses what the other one takes, for a reason that is not documented.
fn load(binary: &Path, set: &mut Set, pdps: usize, report: &mut Report) -> Result<Loaded, String> {
    loop {
        let folder = tempfile::tempdir().expect("a folder");
        set.write(folder.path());
        match engine(folder.path(), &set.knobs) {
            Ok(engine) => {
                let pdps = start(binary, folder.path(), &set.knobs, pdps)?;
                return Ok(Loaded { folder, engine, pdps });
            }
            Err(problems) => {
                let mut drop: Vec<usize> = Vec::new();
                for problem in &problems.0 {
                    let reason = known::refusal(&problem.message);
                    let reason = reason.ok_or_else(|| format!("the engine refuses: {problem}"))?;
                    *report.refused.entry(reason).or_default() += 1;
                    let name = problem.file.file_stem().unwrap_or_default().to_string_lossy();
                    drop.push(name[1..].parse().expect("the number of a document"));
                }
                let mut index = 0;
                set.documents.retain(|_| {
                    index += 1;
                    !drop.contains(&(index - 1))
                });
            }
        }
    }
}

pub fn engine(
    folder: &Path,
    knobs: &Knobs,
) -> Result<Engine, tidegate::policy::embedded::PolicyProblems> {
    let globals = policies::globals();
    let mut options =
        EngineOptions::default().with_configured_globals(globals.as_object().expect("globals"));
    options.lenient_scope_search = knobs.lenient;
    knobs.version.clone_into(&mut options.default_policy_version);
    knobs.scope.clone_into(&mut options.default_scope);
    Engine::load_with(folder, options)
}

/// # Errors
/// The PDP refuses the policies.
pub fn start(
    binary: &Path,
    folder: &Path,
    knobs: &Knobs,
    count: usize,
) -> Result<Vec<Pdp>, String> {
    let engine = json!({
        "strictEvaluation": true, "globals": policies::globals(),
        "lenientScopeSearch": knobs.lenient, "defaultPolicyVersion": knobs.version,
        "defaultScope": knobs.scope,
    });
    let mut pdps: Vec<Pdp> = (0..count).map(|_| Pdp::start(binary, folder, &engine)).collect();
    for pdp in &mut pdps {
        pdp.listening().map_err(|why| format!("the PDP refuses: {why}"))?;
    }
    Ok(pdps)
}

pub fn ours(engine: &Engine, request: &Json) -> Answer {
    let answer = CheckRequest::parse(request.to_string().as_bytes())
        .and_then(|request| engine.check(&request));
    match answer {
        Ok(answer) => (200, serde_json::to_value(answer).expect("JSON")),
        Err(refused) => (400, json!(refused.message)),
    }
}

struct Round<'r> {
    binary: &'r Path,
    set: &'r Set,
    loaded: Loaded,
    /// Started, a few at a time, when an answer has to be asked for again.
    more: Vec<Pdp>,
    /// The policies with lists turned round, for every other few of them.
    turned: Option<TempDir>,
    report: &'r mut Report,
}

impl Round<'_> {
    fn run(&mut self, requests: &[Json]) {
        let texts: Vec<String> = requests.iter().map(ToString::to_string).collect();
        let theirs: Vec<Vec<Answer>> = std::thread::scope(|scope| {
            let ask = |pdp: &mut Pdp| texts.iter().map(|text| pdp.check(text)).collect();
            let asked: Vec<_> =
                self.loaded.pdps.iter_mut().map(|pdp| scope.spawn(move || ask(pdp))).collect();
            asked.into_iter().map(|it| it.join().expect("answers")).collect()
        });
        for (index, request) in requests.iter().enumerate() {
            let theirs: Vec<Answer> = theirs.iter().map(|all| all[index].clone()).collect();
            self.compare(request, &theirs);
        }
    }

    fn compare(&mut self, request: &Json, theirs: &[Answer]) {
        let parts = if theirs.iter().any(|it| it.0 == 500) { singles(request) } else { Vec::new() };
        if parts.len() > 1 {
            // One value that the PDP cannot take fails the whole call: what else stands in it is
            // asked by itself.
            for part in parts {
                let text = part.to_string();
                let theirs: Vec<_> =
                    self.loaded.pdps.iter_mut().map(|pdp| pdp.check(&text)).collect();
                self.compare(&part, &theirs);
            }
            return;
        }
        let ours = ours(&self.loaded.engine, request);
        for difference in differences(request, &ours, theirs, self.report) {
            self.judge(request, &ours, &difference);
        }
    }

    fn judge(&mut self, request: &Json, ours: &Answer, difference: &Difference) {
        if difference.is_open {
            self.report.open += 1;
        } else if let Some(id) =
            known::difference(&self.loaded.engine, self.set, (request, &ours.1), difference)
        {
            *self.report.known.entry(id).or_default() += 1;
            return;
        } else if self.is_said_by_another(request, ours, difference) {
            self.report.disagreed += 1;
            self.report.found_again += 1;
            return;
        } else if let Some(id) = order::of_one_effect(self.set, request, difference) {
            *self.report.unseen.entry(id).or_default() += 1;
            return;
        }
        let folder = shrink::write(self.binary, self.set, request, difference);
        if let Some(action) = &difference.action
            && let Some(why) =
                failure::of(&self.loaded.engine, request, difference.resource, action)
        {
            eprintln!("{}: the engine failed: {why}", folder.display());
        }
        self.report.new.push(folder);
    }

    /// The PDP is not a function of its input: other processes may give the engine's answer. Of
    /// some, the policies have been written with those lists turned round whose order means nothing:
    /// what was rare among the others is common there.
    fn is_said_by_another(&mut self, request: &Json, ours: &Answer, it: &Difference) -> bool {
        let text = request.to_string();
        let says = |pdp: &mut Pdp| {
            (0..3).any(|_| {
                let answer = pdp.check(&text);
                answer.0 == ours.0
                    && match &it.action {
                        Some(action) => {
                            decision(&answer.1, it.resource, action)
                                == decision(&ours.1, it.resource, action)
                        }
                        None => common(&answer.1, it.resource) == common(&ours.1, it.resource),
                    }
            })
        };
        if self.loaded.pdps.iter_mut().chain(&mut self.more).any(says) {
            return true;
        }
        while self.more.len() < MORE_PDPS {
            let folder = if (self.more.len() / FEW).is_multiple_of(2) {
                self.loaded.folder.path()
            } else {
                let turned = || {
                    let folder = tempfile::tempdir().expect("a folder");
                    order::turned_round(self.set).write(folder.path());
                    folder
                };
                self.turned.get_or_insert_with(turned).path()
            };
            let started = start(self.binary, folder, &self.set.knobs, FEW).expect("more PDPs");
            let first = self.more.len();
            self.more.extend(started);
            if self.more[first..].iter_mut().any(says) {
                return true;
            }
        }
        false
    }
}

/// What a difference in the derived roles of a resource is called.
pub const DERIVED_ROLES: &str = "derived roles";

/// The whole call, whatever else stands in it.
const FAILED: &str = "the PDP fails with an error of its own, and nothing is allowed here";

/// Every difference of one request; what agrees is counted.
pub fn differences(
    request: &Json,
    ours: &Answer,
    theirs: &[Answer],
    report: &mut Report,
) -> Vec<Difference> {
    let mut found = Vec::new();
    if ours.0 != 200 || theirs.iter().any(|it| it.0 != 200) {
        report.decisions += 1;
        if theirs.iter().all(|it| it.0 == ours.0) {
            report.agreed += 1;
            report.bad_requests += 1;
        } else if ours.0 == 200 && !allows(&ours.1) && theirs.iter().all(|it| it.0 == 500) {
            *report.known.entry(FAILED).or_default() += 1;
        } else {
            found.push(Difference {
                resource: 0,
                action: None,
                what: "status".to_owned(),
                ours: format!("{ours:?}"),
                theirs: theirs.iter().map(|it| format!("{it:?}")).collect(),
                sides: Vec::new(),
                commons: Vec::new(),
                is_open: allows(&ours.1) && theirs.iter().any(|it| it.0 != 200),
            });
        }
        return found;
    }
    for (resource, entry) in request["resources"].as_array().into_iter().flatten().enumerate() {
        for action in entry["actions"].as_array().into_iter().flatten() {
            let action = action.as_str().expect("an action");
            found.extend(action_difference(resource, action, ours, theirs, report));
        }
        let own = common(&ours.1, resource);
        let others: Vec<_> = theirs.iter().map(|it| common(&it.1, resource)).collect();
        if others.iter().all(|it| *it != own) {
            let what = if others.iter().any(|it| it.invalid != own.invalid) {
                "schema"
            } else {
                DERIVED_ROLES
            };
            found.push(Difference {
                resource,
                action: None,
                what: what.to_owned(),
                ours: format!("{own:?}"),
                theirs: others.iter().map(|it| format!("{it:?}")).collect(),
                sides: Vec::new(),
                commons: others,
                is_open: false,
            });
        }
    }
    found
}

/// The request once for each action of each resource.
fn singles(request: &Json) -> Vec<Json> {
    let mut singles = Vec::new();
    for entry in request["resources"].as_array().into_iter().flatten() {
        for action in entry["actions"].as_array().into_iter().flatten() {
            let mut single = request.clone();
            single["resources"] = json!([{"actions": [action], "resource": entry["resource"]}]);
            singles.push(single);
        }
    }
    singles
}

fn allows(answer: &Json) -> bool {
    let results = answer["results"].as_array().into_iter().flatten();
    let mut effects = results.filter_map(|it| it["actions"].as_object()).flat_map(|it| it.values());
    effects.any(|effect| effect == "EFFECT_ALLOW")
}

fn action_difference(
    resource: usize,
    action: &str,
    ours: &Answer,
    theirs: &[Answer],
    report: &mut Report,
) -> Option<Difference> {
    report.decisions += 1;
    let own = decision(&ours.1, resource, action);
    let others: Vec<_> = theirs.iter().map(|it| decision(&it.1, resource, action)).collect();
    let is_denied = others.iter().any(|it| it.effect != "EFFECT_ALLOW");
    let is_open = own.effect == "EFFECT_ALLOW" && is_denied;
    let agree = others.iter().all(|it| *it == others[0]);
    if agree && own == others[0] {
        report.agreed += 1;
        *report.effects.entry(own.effect).or_default() += 1;
        return None;
    }
    let effect = if is_denied { "EFFECT_DENY" } else { "EFFECT_ALLOW" };
    if !agree && own.effect == effect {
        report.disagreed += 1;
        return None;
    }
    let first = &others[0];
    let what = if own.effect != first.effect {
        "effect"
    } else if own.policy != first.policy {
        "policy"
    } else if own.scope != first.scope {
        "scope"
    } else {
        "outputs"
    };
    Some(Difference {
        resource,
        action: Some(action.to_owned()),
        what: what.to_owned(),
        ours: format!("{own:?}"),
        theirs: others.iter().map(|it| format!("{it:?}")).collect(),
        sides: std::iter::once(own).chain(others).collect(),
        commons: Vec::new(),
        is_open,
    })
}

pub fn folder(name: &str) -> PathBuf {
    let root = std::env::temp_dir().join("tidegate-differences");
    std::fs::create_dir_all(&root).expect("a folder");
    let made = tempfile::Builder::new().prefix(name).tempdir_in(root).expect("a folder");
    made.keep()
}
