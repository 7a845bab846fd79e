//! The state of one check: what conditions and variables said is remembered for its other actions
//! and roles.

use std::rc::Rc;

use smallvec::SmallVec;

use super::cel::{Budget, EvalError, NoVariables, Program, Variables};
use super::input::{Computed, Input, Runtime, Values};
use super::set::{Condition, Derived, Output, Rule, Set, VariablesId};

/// What an output said, as the PDP tells it.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputEntry {
    pub src: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val: Option<serde_json::Value>,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// What a row said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// Its derived role is not effective.
    Nothing,
    No,
    Yes,
}

pub(super) struct State<'c> {
    pub set: &'c Set,
    pub input: &'c Input<'c>,
    pub values: &'c Values<'c>,
    /// The effective derived roles of the scope that was last looked at, as in the PDP.
    pub runtime: Rc<Runtime>,
    pub no_roles: Rc<Runtime>,
    pub outputs: Vec<OutputEntry>,
    pub budget: Budget,
    known: SmallVec<[(u32, bool); 16]>,
    derived: SmallVec<[(u32, Result<bool, EvalError>); 4]>,
    variables: Vec<Rc<Computed<'c>>>,
}

impl<'c> State<'c> {
    pub fn new(set: &'c Set, input: &'c Input<'c>, values: &'c Values<'c>) -> Self {
        let no_roles = Rc::default();
        Self {
            set,
            input,
            values,
            runtime: Rc::clone(&no_roles),
            no_roles,
            outputs: Vec::new(),
            budget: Budget::STANDARD,
            known: SmallVec::new(),
            derived: SmallVec::new(),
            variables: Vec::new(),
        }
    }

    /// Whether a row applies: its derived role first, then the condition of its rule.
    ///
    /// # Errors
    /// One of them could not be evaluated: the action must be denied.
    pub fn row(
        &mut self,
        rule: &'c Rule,
        derived: Option<&'c Derived>,
        key: u32,
    ) -> Result<Said, EvalError> {
        if rule.condition.is_none() && derived.is_none_or(|it| it.condition.is_none()) {
            return Ok(Said::Yes);
        }
        // The PDP computes the variables of a policy when it first looks at a row of it.
        self.variables(rule.variables, false);
        if let Some((_, said)) = self.known.iter().find(|(known, _)| *known == key) {
            return Ok(if *said { Said::Yes } else { Said::No });
        }
        if let Some(derived) = derived
            && !self.derived_role(derived, false)?
        {
            self.known.push((key, false));
            return Ok(Said::Nothing);
        }
        let holds = match &rule.condition {
            Some(condition) => self.holds(condition, rule.variables, false)?,
            None => true,
        };
        self.known.push((key, holds));
        Ok(if holds { Said::Yes } else { Said::No })
    }

    /// # Errors
    /// Its condition could not be evaluated.
    pub fn derived_role(&mut self, role: &'c Derived, for_roles: bool) -> Result<bool, EvalError> {
        let Some(condition) = &role.condition else { return Ok(true) };
        let Some(key) = role.key else { return self.holds(condition, role.variables, for_roles) };
        if let Some((_, said)) = self.derived.iter().find(|(known, _)| *known == key) {
            return said.clone();
        }
        let said = self.holds(condition, role.variables, false);
        self.derived.push((key, said.clone()));
        said
    }

    /// Left to right, and no further than needed.
    ///
    /// # Errors
    /// An expression that was needed has no value.
    pub fn holds(
        &mut self,
        condition: &'c Condition,
        variables: VariablesId,
        for_roles: bool,
    ) -> Result<bool, EvalError> {
        match condition {
            Condition::HasRole(role) => Ok(self.values.has_role(role)),
            Condition::Expression(program) => {
                let computed = self.variables(variables, for_roles);
                let runtime = Rc::clone(&self.runtime);
                let variables: &dyn Variables = match &computed {
                    Some(it) => &**it,
                    None => &NoVariables,
                };
                let inputs = self.values.inputs(program, &runtime, variables);
                program.holds(&inputs, &mut self.budget)
            }
            Condition::All(of) => {
                for condition in of {
                    if !self.holds(condition, variables, for_roles)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Condition::Any(of) => self.any(of, variables, for_roles),
            Condition::NoneOf(of) => self.any(of, variables, for_roles).map(|any| !any),
        }
    }

    fn any(
        &mut self,
        of: &'c [Condition],
        variables: VariablesId,
        for_roles: bool,
    ) -> Result<bool, EvalError> {
        for condition in of {
            if self.holds(condition, variables, for_roles)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// What a rule says besides its effect.
    pub fn output(&mut self, rule: &'c Rule, output: Option<&'c Output>, action: &str) {
        let value = match output {
            None => return,
            Some(Output::Program(program)) => self.said(rule, program),
            Some(Output::Fails(error)) => Err(error.to_string()),
            Some(Output::Principal) => Ok(self.values.principal_json()),
            Some(Output::Resource) => Ok(self.values.resource_json()),
        };
        let (val, error) = match value {
            Ok(json) => (Some(json), String::new()),
            Err(error) => (None, error),
        };
        let entry =
            OutputEntry { src: rule.source.to_string(), val, action: action.to_owned(), error };
        self.outputs.push(entry);
    }

    fn said(&mut self, rule: &'c Rule, program: &'c Program) -> Result<serde_json::Value, String> {
        let computed = self.variables(rule.variables, false);
        let runtime = Rc::clone(&self.runtime);
        let variables: &dyn Variables = match &computed {
            Some(it) => &**it,
            None => &NoVariables,
        };
        let inputs = self.values.inputs(program, &runtime, variables);
        let value = program.evaluate(&inputs, &mut self.budget);
        let value = value.map_err(|error| error.message().to_owned())?;
        value.to_json().ok_or_else(|| "the value cannot be shown as JSON".to_owned())
    }

    fn variables(&mut self, id: VariablesId, for_roles: bool) -> Option<Rc<Computed<'c>>> {
        let programs = &self.set.variables.get(id.0 as usize)?.programs;
        if programs.is_empty() {
            return None;
        }
        let known = self.variables.iter().find(|it| it.id == id && it.for_roles == for_roles);
        if let Some(known) = known {
            return Some(Rc::clone(known));
        }
        let runtime = Rc::clone(&self.runtime);
        let made = Rc::new(Computed::new(id, for_roles, programs, self.values, runtime));
        self.variables.push(Rc::clone(&made));
        Some(made)
    }
}
