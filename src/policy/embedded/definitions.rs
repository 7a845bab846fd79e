//! Variables and constants: exported, imported and local.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use serde_saphyr::Spanned;

use super::cel::{Declarations, Program, Value};
use super::expressions::{Cache, Names};
use super::file::{self, Text};
use super::names;
use super::problem::{At, PolicyProblem, Problems};
use super::set::{Variables, VariablesId};

/// What policies may import, by name.
#[derive(Default)]
pub(super) struct Exports<'s> {
    pub variables: FxHashMap<&'s str, (PathBuf, &'s BTreeMap<String, Text>)>,
    pub constants: FxHashMap<&'s str, &'s BTreeMap<String, Spanned<serde_json::Value>>>,
}

/// Sets of names by their content.
pub(super) struct Definitions {
    pub compiled: Vec<Variables>,
    known: FxHashMap<String, Names>,
}

impl Default for Definitions {
    fn default() -> Self {
        let nothing = Names { id: VariablesId(0), declarations: Arc::default() };
        let known = FxHashMap::from_iter([(String::new(), nothing)]);
        Self { compiled: vec![Variables::default()], known }
    }
}

/// One variable with where it was written.
struct Variable<'p> {
    source: &'p Text,
    /// The file of an import.
    file: Option<&'p PathBuf>,
}

impl Definitions {
    /// The names of a policy. Every variable is compiled, used or not.
    pub fn names<'p>(
        &mut self,
        written: (&'p file::Variables, &'p file::Constants, &'p BTreeMap<String, Text>),
        exports: &'p Exports<'_>,
        cache: &mut Cache,
        problems: &mut Problems,
    ) -> Names {
        let constants = constants(written.1, exports, problems);
        let variables = variables(written.0, written.2, exports, problems);
        let key = content(&variables, &constants);
        if let Some(names) = self.known.get(&key) {
            return names.clone();
        }
        let id = VariablesId(u32::try_from(self.compiled.len()).unwrap_or(u32::MAX));
        let mut declarations = Declarations::new();
        for (name, value) in &constants {
            declarations.declare_constant(name, Value::from_json(value));
        }
        for (slot, name) in variables.keys().enumerate() {
            declarations.declare_variable(name, slot);
        }
        let names = Names { id, declarations: Arc::new(declarations) };
        let programs = compile(&variables, &names, cache, problems);
        if let Some(cycle) = cycle(&programs) {
            let name = variables.keys().nth(cycle).copied().unwrap_or_default();
            let at = variables.get(name).map_or(At::NOWHERE, |variable| variable.source.into());
            let message = format!("the variable '{name}' is defined through itself");
            problems.add(at, "variables", message);
        }
        let complete = programs.len() == variables.len();
        let programs = programs.into_values().collect();
        self.compiled.push(Variables { programs });
        if complete {
            self.known.insert(key, names.clone());
        }
        names
    }
}

fn content(
    variables: &BTreeMap<&str, Variable<'_>>,
    constants: &BTreeMap<&str, &serde_json::Value>,
) -> String {
    let variables = variables.iter().map(|(name, it)| format!("v{name:?}{:?}", it.source.value));
    let constants = constants.iter().map(|(name, value)| format!("c{name:?}{value}"));
    variables.chain(constants).collect()
}

fn compile(
    variables: &BTreeMap<&str, Variable<'_>>,
    names: &Names,
    cache: &mut Cache,
    problems: &mut Problems,
) -> BTreeMap<usize, Arc<Program>> {
    let mut programs = BTreeMap::new();
    for (slot, (name, variable)) in variables.iter().enumerate() {
        match cache.program(&variable.source.value, names) {
            Ok(program) => {
                programs.insert(slot, program);
            }
            Err(why) => report(variable, name, why.message, problems),
        }
    }
    programs
}

/// Once for each place, however many policies import it.
fn report(variable: &Variable<'_>, name: &str, message: String, problems: &mut Problems) {
    let At(line, column) = variable.source.into();
    let problem = PolicyProblem {
        file: variable.file.unwrap_or(&problems.file).clone(),
        line,
        column,
        place: format!("variable '{name}'"),
        message,
    };
    if !problems.found.contains(&problem) {
        problems.found.push(problem);
    }
}

/// A variable that needs itself.
fn cycle(programs: &BTreeMap<usize, Arc<Program>>) -> Option<usize> {
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        Open,
        Done,
    }
    let mut marks: FxHashMap<usize, Mark> = FxHashMap::default();
    for start in programs.keys().copied() {
        // An explicit stack: variables may be chained as long as a file is.
        let mut stack = vec![(start, 0)];
        while let Some((slot, next)) = stack.pop() {
            if next == 0 {
                match marks.get(&slot) {
                    Some(Mark::Done) => continue,
                    Some(Mark::Open) => return Some(slot),
                    None => marks.insert(slot, Mark::Open),
                };
            }
            let needs = programs.get(&slot).map_or(&[][..], |it| &it.reads().variables);
            if let Some(needed) = needs.get(next) {
                stack.push((slot, next + 1));
                stack.push((*needed, 0));
            } else {
                marks.insert(slot, Mark::Done);
            }
        }
    }
    None
}

fn constants<'p>(
    written: &'p file::Constants,
    exports: &'p Exports<'_>,
    problems: &mut Problems,
) -> BTreeMap<&'p str, &'p serde_json::Value> {
    let mut found = BTreeMap::new();
    let mut add = |name: &'p String, value: &'p Spanned<serde_json::Value>, at: At| {
        if !names::is_identifier(name) {
            problems.add(at, "constants", format!("'{name}' is no name for a constant"));
        }
        if found.insert(name.as_str(), &value.value).is_some() {
            problems.add(at, "constants", format!("the constant '{name}' is defined twice"));
        }
    };
    let mut missing = Vec::new();
    for import in &written.import {
        match exports.constants.get(import.value.as_str()) {
            Some(exported) => {
                exported.iter().for_each(|(name, value)| add(name, value, import.into()));
            }
            None => missing.push(import),
        }
    }
    written.local.iter().for_each(|(name, value)| add(name, value, value.into()));
    for import in missing {
        let message = format!("the constants '{}' do not exist", import.value);
        problems.add(import.into(), "", message);
    }
    found
}

fn variables<'p>(
    written: &'p file::Variables,
    old: &'p BTreeMap<String, Text>,
    exports: &'p Exports<'_>,
    problems: &mut Problems,
) -> BTreeMap<&'p str, Variable<'p>> {
    let mut found = BTreeMap::new();
    let mut add = |name: &'p String, variable: Variable<'p>, at: At, problems: &mut Problems| {
        if !names::is_identifier(name) {
            problems.add(at, "variables", format!("'{name}' is no name for a variable"));
        }
        if found.insert(name.as_str(), variable).is_some() {
            problems.add(at, "variables", format!("the variable '{name}' is defined twice"));
        }
    };
    for import in &written.import {
        let Some((file, exported)) = exports.variables.get(import.value.as_str()) else {
            let message = format!("the variables '{}' do not exist", import.value);
            problems.add(import.into(), "", message);
            continue;
        };
        for (name, source) in *exported {
            add(name, Variable { source, file: Some(file) }, import.into(), problems);
        }
    }
    for (name, source) in written.local.iter().chain(old) {
        add(name, Variable { source, file: None }, source.into(), problems);
    }
    found
}
