//! Conditions over what a source said.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use crate::clock::SharedClock;
use crate::config::{CheckConfig, Otherwise};
use crate::domain::time::Timestamp;
use crate::policy::embedded::cel::{
    self, Budget, Declarations, Environment, Inputs, Map, NoVariables, Principal, Program,
    Resource, Type, Value,
};

use super::known::Known;
use super::{NotProvided, Wanted};

/// One condition, ready to be asked.
pub struct Check {
    program: Program,
    otherwise: Otherwise,
    message: Option<Arc<str>>,
    clock: SharedClock,
}

impl Check {
    /// # Errors
    /// It is no CEL, its value cannot be a truth value, or it looks at more than the resource and
    /// the time.
    pub fn compile(config: &CheckConfig, clock: &SharedClock) -> Result<Self, String> {
        let mut names = Declarations::new();
        names.declare_globals([]);
        let program = Environment::cerbos().compile(&config.require, &names);
        let program = program
            .map_err(|it| format!("line {}, column {}: {}", it.line, it.column, it.message))?;
        let reads = program.reads();
        if reads.principal || reads.aux_data || reads.derived_roles {
            return Err("the condition looks at more than the resource (R)".to_owned());
        }
        if !matches!(program.result_type(), Type::Bool | Type::Dyn) {
            return Err("the condition is neither true nor false".to_owned());
        }
        let (otherwise, message) = (config.otherwise, config.message.clone());
        Ok(Self { program, otherwise, message, clock: Arc::clone(clock) })
    }

    /// # Errors
    /// It does not hold. A condition without a value is a denial, as in policies.
    pub fn holds(&self, wanted: &Wanted<'_>, known: &Known) -> Result<(), NotProvided> {
        let asked = || self.evaluate(wanted, known);
        match catch_unwind(AssertUnwindSafe(asked)).unwrap_or(Err(())) {
            Ok(true) => Ok(()),
            Ok(false) => Err(self.refused(wanted.kind)),
            Err(()) => {
                let detail = format!("the attributes of the {} cannot be judged", wanted.kind);
                Err(NotProvided::Denied(detail))
            }
        }
    }

    fn evaluate(&self, wanted: &Wanted<'_>, known: &Known) -> Result<bool, ()> {
        let members = known.attributes.iter();
        let attr = members.map(|(name, value)| (name.clone(), Value::from_json(value)));
        let resource = Resource {
            kind: Value::from(wanted.kind),
            id: Value::from(wanted.id),
            attr: Value::map(Map::of_strings(attr)),
            policy_version: Value::from(""),
            scope: Value::from(wanted.scope),
        };
        let globals = Value::map(Map::default());
        let inputs = Inputs {
            request: &(Principal::nobody(), resource),
            claims: None,
            jwts: None,
            derived_roles: None,
            globals: &globals,
            variables: &NoVariables,
            now: time(self.clock.now()).ok_or(())?,
        };
        self.program.holds(&inputs, &mut Budget::STANDARD.clone()).map_err(|_| ())
    }

    fn refused(&self, kind: &str) -> NotProvided {
        let message = self.message.as_deref().map(str::to_owned);
        match self.otherwise {
            Otherwise::NotFound => {
                NotProvided::NotFound(message.unwrap_or_else(|| format!("there is no such {kind}")))
            }
            Otherwise::Denied => NotProvided::Denied(
                message.unwrap_or_else(|| format!("the {kind} is not available")),
            ),
        }
    }
}

fn time(now: Timestamp) -> Option<cel::Timestamp> {
    let nanos = u32::try_from(now.millis() % 1000).ok()? * 1_000_000;
    cel::Timestamp::from_unix(i64::try_from(now.millis() / 1000).ok()?, nanos)
}
