//! Request, token and subject of a kept decision.

use serde_json::Value;

use super::super::record::SHOWN_BYTES;
use super::super::route::{Fit, fit};
use super::Entry;
use crate::config::{AccessMode, Rule};
use crate::domain::iso8601;
use crate::explain::{RequestShown, RuleShown, SubjectShown, TokenOutcome, TokenShown};
use crate::problem::ProblemCode;

/// The path that rules, grants and policy saw.
#[must_use]
pub fn path(entry: &Entry) -> &str {
    entry.record.upstream_path.as_ref().unwrap_or(&entry.record.target)
}

/// Whether the path was too long to be kept whole.
#[must_use]
pub fn is_cut(entry: &Entry) -> bool {
    path(entry).len() > SHOWN_BYTES
}

pub fn request(entry: &Entry) -> RequestShown {
    let record = &entry.record;
    let text = |value: &Option<std::sync::Arc<str>>| value.as_ref().map(ToString::to_string);
    RequestShown {
        method: record.method.to_string(),
        host: record.host.to_string(),
        target: record.target.to_string(),
        upstream_path: text(&record.upstream_path),
        tool: text(&record.tool),
        route: text(&record.route),
        action: text(&record.action),
        resource: text(&record.resource),
        object_id: text(&record.object_id),
        rules: rules(entry),
    }
}

/// The rules in order, up to the first that fits.
fn rules(entry: &Entry) -> Vec<RuleShown> {
    // A target that breaks the rules for targets never gets as far.
    let refused = entry.record.reason == ProblemCode::BadRequest.code();
    let Some(tool) = entry.grounds.tool.as_ref().filter(|_| !refused) else { return Vec::new() };
    let mut shown = Vec::new();
    for rule in tool.rules() {
        let found = fit(rule, &entry.record.method, path(entry));
        shown.push(rule_shown(rule, found));
        if found == Fit::Fits {
            break;
        }
    }
    shown
}

fn rule_shown(rule: &Rule, found: Fit) -> RuleShown {
    let verdict = match found {
        Fit::Fits => "matched",
        Fit::OtherMethod => "other method",
        Fit::OtherPath => "other path",
    };
    RuleShown {
        methods: rule.methods.iter().map(ToString::to_string).collect(),
        path: rule.path.as_str().to_owned(),
        access: access_word(rule.access).to_owned(),
        action: rule.action.to_string(),
        verdict: verdict.to_owned(),
    }
}

/// As the configuration writes it.
#[must_use]
pub const fn access_word(access: AccessMode) -> &'static str {
    match access {
        AccessMode::Public => "public",
        AccessMode::Authenticated => "authenticated",
        AccessMode::Policy => "policy",
        AccessMode::Grant => "grant",
    }
}

pub fn token(entry: &Entry) -> TokenShown {
    let Some(identity) = &entry.grounds.identity else { return refused(entry) };
    let proof = &identity.proof;
    let kind = proof.kind.as_ref();
    TokenShown {
        outcome: TokenOutcome::Verified,
        detail: None,
        issuer: Some(identity.person.subject.issuer.to_string()),
        algorithm: proof.algorithm.map(|algorithm| format!("{algorithm:?}")),
        key_id: proof.key_id.as_ref().map(ToString::to_string),
        kind: kind.map(ToString::to_string),
        audiences: audiences(identity.claims.get("aud")),
        expires_at: Some(iso8601::time(identity.expires_at)),
    }
}

fn refused(entry: &Entry) -> TokenShown {
    let is = |code: ProblemCode| entry.record.reason == code.code();
    let outcome = if is(ProblemCode::NoCredential) || is(ProblemCode::InvalidToken) {
        TokenOutcome::Refused
    } else if is(ProblemCode::KeysUnavailable) {
        TokenOutcome::NotChecked
    } else {
        return TokenShown::default();
    };
    let detail = Some(entry.record.detail.to_string());
    TokenShown { outcome, detail, ..TokenShown::default() }
}

/// A text or a list of texts (RFC 7519, section 4.1.3).
fn audiences(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(all)) => {
            all.iter().filter_map(Value::as_str).map(str::to_owned).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => {
            Vec::new()
        }
    }
}

pub fn subject(entry: &Entry) -> Option<SubjectShown> {
    let person = &entry.grounds.identity.as_ref()?.person;
    Some(SubjectShown {
        name: person.subject.name.to_string(),
        issuer: person.subject.issuer.to_string(),
        groups: person.groups.iter().map(ToString::to_string).collect(),
    })
}
