//! SPIFFE: identities, trust domains, and what matches identities.

use super::super::error::EvalError;
use super::super::library::{Context, Overload, global, member};
use super::super::types::Type::{self, Bool, String as Text};
use super::super::value::{Opaque, Value};
use std::any::Any;
use std::sync::Arc;

const ID: &str = "cerbos.lib.spiffeID";
const TRUST_DOMAIN: &str = "cerbos.lib.spiffeTrustDomain";
const MATCHER: &str = "cerbos.lib.spiffeMatcher";
const SCHEME: &str = "spiffe://";

/// `spiffe://domain/path`
#[derive(Clone, Debug, PartialEq, Eq)]
struct Id {
    domain: Arc<str>,
    /// Empty, or with its slash.
    path: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TrustDomain(Arc<str>);

#[derive(Debug)]
enum Matcher {
    Any,
    OneOf(Vec<Id>),
    MemberOf(TrustDomain),
}

impl Opaque for Id {
    fn type_name(&self) -> &'static str {
        ID
    }

    /// Also equal to its text.
    fn equals(&self, other: &Value) -> Option<bool> {
        match other {
            Value::Null => Some(false),
            Value::String(text) => Some(**text == *self.text()),
            other => other.as_opaque().map(|other| self == other),
        }
    }

    fn in_variable(&self, _: &Value) -> Option<Value> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Opaque for TrustDomain {
    fn type_name(&self) -> &'static str {
        TRUST_DOMAIN
    }

    /// Also equal to its name, and to the text of an identity in it.
    fn equals(&self, other: &Value) -> Option<bool> {
        match other {
            Value::Null => Some(false),
            Value::String(text) => Some(Self::parse(text).is_some_and(|other| *self == other)),
            other => other.as_opaque().map(|other| self == other),
        }
    }

    fn in_variable(&self, _: &Value) -> Option<Value> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Opaque for Matcher {
    fn type_name(&self) -> &'static str {
        MATCHER
    }

    fn equals(&self, _: &Value) -> Option<bool> {
        Some(false)
    }

    fn in_variable(&self, _: &Value) -> Option<Value> {
        None
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix(SCHEME)?;
        let end = rest.find('/').unwrap_or(rest.len());
        let (domain, path) = rest.split_at_checked(end)?;
        (is_domain(domain) && is_path(path))
            .then(|| Self { domain: domain.into(), path: path.into() })
    }

    fn text(&self) -> String {
        format!("{SCHEME}{}{}", self.domain, self.path)
    }
}

impl TrustDomain {
    /// A name, or the text of an identity in it.
    fn parse(text: &str) -> Option<Self> {
        if text.contains(":/") {
            return Id::parse(text).map(|id| Self(id.domain));
        }
        is_domain(text).then(|| Self(text.into()))
    }
}

impl Matcher {
    fn matches(&self, id: &Id) -> bool {
        match self {
            Self::Any => true,
            Self::OneOf(ids) => ids.contains(id),
            Self::MemberOf(domain) => id.domain == domain.0,
        }
    }
}

fn is_domain(name: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_');
    !name.is_empty() && name.bytes().all(is_allowed)
}

fn is_path(path: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
    path.split('/')
        .skip(1)
        .all(|segment| !matches!(segment, "" | "." | "..") && segment.bytes().all(is_allowed))
}

pub(super) fn overloads() -> Vec<Overload> {
    let (id, domain, matcher) =
        (|| Type::Opaque(ID), || Type::Opaque(TRUST_DOMAIN), || Type::Opaque(MATCHER));
    vec![
        global("spiffeID", [Text], id(), |context, args| {
            Ok(Value::opaque(identity(context, only(args)?)?))
        }),
        global("spiffeTrustDomain", [Text], domain(), |context, args| {
            Ok(Value::opaque(trust_domain(context, only(args)?)?))
        }),
        global("spiffeMatchAny", [], matcher(), |_, _| Ok(Value::opaque(Matcher::Any))),
        global("spiffeMatchExact", [id()], matcher(), match_exact),
        global("spiffeMatchExact", [Text], matcher(), match_exact),
        global("spiffeMatchOneOf", [Type::list(id())], matcher(), match_one_of),
        global("spiffeMatchOneOf", [Type::list(Text)], matcher(), match_one_of),
        global("spiffeMatchTrustDomain", [domain()], matcher(), match_trust_domain),
        global("spiffeMatchTrustDomain", [Text], matcher(), match_trust_domain),
        member("isMemberOf", [id(), domain()], Bool, is_member_of),
        member("path", [id()], Text, |_, args| {
            Ok(Value::String(Arc::clone(&opaque::<Id>(only(args)?)?.path)))
        }),
        member("trustDomain", [id()], domain(), |_, args| {
            Ok(Value::opaque(TrustDomain(Arc::clone(&opaque::<Id>(only(args)?)?.domain))))
        }),
        // The PDP calls the function `id` here, which gives back what it is given.
        member("id", [domain()], Text, |_, args| only(args).cloned()),
        member("name", [domain()], Text, |_, args| {
            Ok(Value::String(Arc::clone(&opaque::<TrustDomain>(only(args)?)?.0)))
        }),
        member("matchesID", [matcher(), id()], Bool, matches_id),
        member("matchesID", [matcher(), Text], Bool, matches_id),
    ]
}

fn only<'v>(args: &[&'v Value]) -> Result<&'v Value, EvalError> {
    match args {
        [only] => Ok(only),
        _ => Err(EvalError::no_such_overload()),
    }
}

fn opaque<T: Opaque + 'static>(value: &Value) -> Result<&T, EvalError> {
    value.as_opaque().ok_or_else(EvalError::no_such_overload)
}

/// An identity, or the text of one.
fn identity(context: &mut Context<'_>, value: &Value) -> Result<Id, EvalError> {
    match value {
        Value::String(text) => {
            context.charge(1)?;
            context.produce(text.len())?;
            Id::parse(text).ok_or_else(|| EvalError::new("the string is no SPIFFE ID"))
        }
        other => opaque(other).cloned(),
    }
}

fn trust_domain(context: &mut Context<'_>, value: &Value) -> Result<TrustDomain, EvalError> {
    match value {
        Value::String(text) => {
            context.produce(text.len())?;
            TrustDomain::parse(text)
                .ok_or_else(|| EvalError::new("the string is no SPIFFE trust domain"))
        }
        other => opaque(other).cloned(),
    }
}

fn match_exact(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let id = identity(context, only(args)?)?;
    Ok(Value::opaque(Matcher::OneOf(vec![id])))
}

fn match_one_of(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let values = only(args)?.as_list().ok_or_else(EvalError::no_such_overload)?;
    context.produce(values.len().saturating_mul(size_of::<Id>()))?;
    let mut ids = Vec::with_capacity(values.len());
    for value in values {
        ids.push(identity(context, value)?);
    }
    Ok(Value::opaque(Matcher::OneOf(ids)))
}

fn match_trust_domain(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    Ok(Value::opaque(Matcher::MemberOf(trust_domain(context, only(args)?)?)))
}

fn is_member_of(_: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [id, domain] = args else { return Err(EvalError::no_such_overload()) };
    let domain: &TrustDomain = opaque(domain)?;
    Ok(Value::Bool(opaque::<Id>(id)?.domain == domain.0))
}

fn matches_id(context: &mut Context<'_>, args: &[&Value]) -> Result<Value, EvalError> {
    let [matcher, id] = args else { return Err(EvalError::no_such_overload()) };
    let id = identity(context, id)?;
    let matcher: &Matcher = opaque(matcher)?;
    if let Matcher::OneOf(ids) = matcher {
        context.charge(ids.len())?;
    }
    Ok(Value::Bool(matcher.matches(&id)))
}
