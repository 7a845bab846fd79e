//! The rule of a template by which a request is approved without people: a CEL expression over
//! `request`, `requester` and `now`. Where it has no value, or none that is `true`, people decide.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use super::Attributes;
use super::embedded::cel::{
    Budget, Declarations, Environment, EvalError, Input, Inputs, Map, Program, Timestamp, Type,
    Value, Variables,
};
use crate::domain::subject::Person;
use crate::domain::template::FieldValue;
use crate::domain::time::Timestamp as Now;

/// A rule, ready to be asked.
#[derive(Debug)]
pub struct ApprovalRule(Program);

/// What a rule is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub template: &'a str,
    pub duration: Duration,
    pub justification: &'a str,
    pub fields: &'a BTreeMap<String, FieldValue>,
    pub requester: &'a Person,
    /// Verified claims of the requester.
    pub claims: &'a Attributes,
    pub now: Now,
}

/// The inputs, by the numbers they are declared with.
struct Known([Value; 3]);

impl Variables for Known {
    fn variable(&self, slot: usize, _: &mut Budget) -> Result<&Value, EvalError> {
        self.0.get(slot).ok_or_else(|| EvalError::no_such_key("variable"))
    }
}

impl ApprovalRule {
    /// # Errors
    /// It is no CEL, names what there is not, or its value cannot be a truth value.
    pub fn compile(text: &str) -> Result<Self, String> {
        let compiled = catch_unwind(|| Environment::cerbos().compile(text, &declarations()));
        let program = compiled.map_err(|_| "it cannot be read".to_owned())?;
        let program = program
            .map_err(|it| format!("line {}, column {}: {}", it.line, it.column, it.message))?;
        match program.result_type() {
            Type::Bool | Type::Dyn => Ok(Self(program)),
            other => Err(format!("its value is of type {other}, not bool")),
        }
    }

    /// # Errors
    /// It has no value, or one that is neither true nor false.
    pub fn holds(&self, asked: &Asked<'_>) -> Result<bool, String> {
        catch_unwind(AssertUnwindSafe(|| self.evaluate(asked)))
            .unwrap_or_else(|_| Err("it cannot be evaluated".to_owned()))
    }

    fn evaluate(&self, asked: &Asked<'_>) -> Result<bool, String> {
        let no_time = || "the time cannot be told".to_owned();
        let now = timestamp(asked.now).ok_or_else(no_time)?;
        let request = request(asked).ok_or("the duration is too long for CEL")?;
        let known = Known([request, requester(asked), Value::Timestamp(now)]);
        let inputs = Inputs { variables: &known, ..Inputs::empty(now) };
        match self.0.evaluate(&inputs, &mut Budget::STANDARD.clone()) {
            Ok(Value::Bool(holds)) => Ok(holds),
            Ok(other) => Err(format!("its value is of type {}, not bool", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn declarations() -> Declarations {
    let attributes = || Type::map(Type::String, Type::Dyn);
    let mut names = Declarations::new();
    names.declare_globals([]);
    let request = vec![
        ("template", Type::String),
        ("duration", Type::Duration),
        ("justification", Type::String),
        ("fields", attributes()),
    ];
    names.declare_input("request", Input { slot: 0, of: attributes(), members: request });
    let requester = vec![
        ("id", Type::String),
        ("email", Type::String),
        ("groups", Type::list(Type::String)),
        ("claims", attributes()),
    ];
    names.declare_input("requester", Input { slot: 1, of: attributes(), members: requester });
    names.declare_input("now", Input { slot: 2, of: Type::Timestamp, members: Vec::new() });
    names
}

fn request(asked: &Asked<'_>) -> Option<Value> {
    let fields = asked.fields.iter().map(|(name, value)| (name.as_str(), field(value)));
    let nanos = i64::try_from(asked.duration.as_nanos()).ok()?;
    Some(Value::map(Map::of_strings([
        ("template", Value::from(asked.template)),
        ("duration", Value::Duration(nanos)),
        ("justification", Value::from(asked.justification)),
        ("fields", Value::map(Map::of_strings(fields))),
    ])))
}

fn field(value: &FieldValue) -> Value {
    match value {
        FieldValue::Bool(it) => Value::from(*it),
        FieldValue::Number(it) => Value::from_json(&serde_json::Value::Number(it.clone())),
        FieldValue::Text(it) => Value::from(it.as_str()),
    }
}

/// Without an e-mail address there is no member `email`.
fn requester(asked: &Asked<'_>) -> Value {
    let Asked { requester, claims, .. } = asked;
    let groups: Vec<Value> = requester.groups.iter().map(|group| Value::from(&**group)).collect();
    let claims = claims.iter().map(|(name, value)| (name.as_str(), Value::from_json(value)));
    let email = requester.email.as_deref().map(|email| ("email", Value::from(email)));
    let members = [
        ("id", Value::from(&*requester.subject.name)),
        ("groups", Value::list(groups)),
        ("claims", Value::map(Map::of_strings(claims))),
    ];
    Value::map(Map::of_strings(members.into_iter().chain(email)))
}

fn timestamp(now: Now) -> Option<Timestamp> {
    let nanos = u32::try_from(now.millis() % 1000).ok()? * 1_000_000;
    Timestamp::from_unix(i64::try_from(now.millis() / 1000).ok()?, nanos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::Subject;

    /// 2027-01-15, a Friday, 08:00 in UTC.
    const EIGHT: Now = Now::from_millis(1_800_000_000_000);

    fn holds(text: &str, change: impl FnOnce(&mut Asked<'_>)) -> Result<bool, String> {
        let named = Person::named(Subject::new("https://idp.test", "alice"));
        let person = Person { groups: vec!["engineering".into()], ..named };
        let ticket = FieldValue::Text("OPS-1".to_owned());
        let boxes = FieldValue::Number(3.into());
        let fields = BTreeMap::from([("ticket".to_owned(), ticket), ("boxes".to_owned(), boxes)]);
        let claims = serde_json::json!({ "site": "north" });
        let mut asked = Asked {
            template: "operate",
            duration: Duration::from_mins(30),
            justification: "INC-1",
            fields: &fields,
            requester: &person,
            claims: claims.as_object().expect("a map"),
            now: EIGHT,
        };
        change(&mut asked);
        ApprovalRule::compile(text).expect("compiles").holds(&asked)
    }

    #[test]
    fn a_rule_sees_group_time_of_day_and_duration() {
        let rule = "'engineering' in requester.groups && request.duration <= duration('30m') \
            && now.getHours() >= 8 && now.getHours('Europe/Berlin') < 18";
        assert_eq!(holds(rule, |_| ()), Ok(true));
        assert_eq!(holds(rule, |it| it.duration = Duration::from_mins(31)), Ok(false));
        let before = Now::from_millis(EIGHT.millis() - 1);
        assert_eq!(holds(rule, |it| it.now = before), Ok(false));
        let late = EIGHT.plus(Duration::from_hours(9));
        assert_eq!(holds(rule, |it| it.now = late), Ok(false));
        let other = "'security' in requester.groups";
        assert_eq!(holds(other, |_| ()), Ok(false));
    }

    #[test]
    fn a_rule_sees_everything_of_the_request_and_its_requester() {
        for rule in [
            "request.template == 'operate'",
            "request.justification.startsWith('INC-')",
            "request.fields.ticket == 'OPS-1' && request.fields.boxes < 4",
            "has(request.fields.ticket) && !has(request.fields.site)",
            "requester.id == 'alice' && requester.claims.site == 'north'",
            "!has(requester.email)",
        ] {
            assert_eq!(holds(rule, |_| ()), Ok(true), "{rule}");
        }
    }

    #[test]
    fn a_rule_without_a_truth_value_is_an_error_and_never_true() {
        for rule in [
            "request.fields.absent == 'x'",
            "requester.email.endsWith('@example.test')",
            "requester.claims.site.size.large",
            "request.fields.ticket",
            "request.fields.boxes",
            "dyn(optional.of(true))",
            "int(request.fields.boxes) / 0 == 0",
        ] {
            assert!(holds(rule, |_| ()).is_err(), "{rule}");
        }
    }

    #[test]
    fn a_rule_that_is_wrong_does_not_compile() {
        for (rule, why) in [
            ("request.duration <", "line 1"),
            ("request.durations <= duration('1h')", "did you mean 'duration'?"),
            ("requester.group == 'x'", "did you mean 'groups'?"),
            ("requestor.id == 'x'", "did you mean 'requester'?"),
            ("P.id == 'x'", "unknown name 'P'"),
            ("R.attr.x == 'x'", "unknown name 'R'"),
            ("V.x == 'x'", "unknown variable"),
            ("G.x == 'x'", "unknown global"),
            ("request.duration", "not bool"),
            ("request.duration <= 30", "not defined"),
            ("", "line 1"),
        ] {
            let found = ApprovalRule::compile(rule).expect_err(rule);
            assert!(found.contains(why), "{rule}: {found}");
        }
    }
}
