//! `tidegate store show SUBJECT`.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::super::Exit;
use super::super::output::{Format, Output, table};
use super::{StoreTools, asked};
use crate::app::{Held, SubjectReport};
use crate::domain::access::{Narrowing, PathPattern};
use crate::domain::grant::{EndedWhy, Tombstone};
use crate::domain::request::Request;
use crate::iso8601::time;

#[derive(Clone, Debug, clap::Args)]
pub struct ShowArgs {
    /// The subject's name, as the API shows it.
    pub subject: String,
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    pub(in super::super) output: Format,
}

pub(super) fn run(args: &ShowArgs, tools: StoreTools) -> Exit {
    asked(&args.config, args.output, |config| (tools.show)(config, &args.subject), shown)
}

fn shown(report: &SubjectReport) -> Output {
    let json = json!({
        "subject": report.subject.name,
        "issuer": report.subject.issuer,
        "partition": report.partition,
        "version": report.version,
        "suspended": report.suspended,
        "grants": report.grants.iter().map(held).collect::<Vec<_>>(),
        "ended": report.ended.iter().map(tombstone).collect::<Vec<_>>(),
        "pending": report.pending.iter().map(pending).collect::<Vec<_>>(),
    });
    let text = lines(report, &json);
    Output { json, text }
}

fn held(Held { grant, does_not_count }: &Held) -> Value {
    json!({
        "id": grant.id.to_string(),
        "tool": grant.access.tool,
        "role": grant.access.role,
        "template": grant.template,
        "request": grant.request.to_string(),
        "not_before": grant.not_before.map(time),
        "expires_at": time(grant.expires_at),
        "confirmed": grant.confirmed,
        "narrowing": grant.narrowings.iter().map(narrowing).collect::<Vec<_>>(),
        "counts": does_not_count.is_none(),
        "why_not": does_not_count,
    })
}

fn narrowing(narrowing: &Narrowing) -> Value {
    let paths: Vec<&str> = narrowing.paths.iter().map(PathPattern::as_str).collect();
    json!({ "methods": narrowing.methods, "paths": paths })
}

fn tombstone(tombstone: &Tombstone) -> Value {
    let why = match tombstone.why {
        EndedWhy::Expired => "expired",
        EndedWhy::Revoked => "revoked",
        EndedWhy::Released => "released",
    };
    let (id, tool) = (tombstone.grant.to_string(), &tombstone.tool);
    json!({ "id": id, "tool": tool, "why": why, "at": time(tombstone.at) })
}

fn pending(request: &Request) -> Value {
    json!({
        "id": request.id.to_string(),
        "template": request.template.name,
        "created_at": time(request.created_at),
        "pending_until": time(request.pending_until),
        "approvals": request.approvals.len(),
    })
}

fn lines(report: &SubjectReport, json: &Value) -> Vec<String> {
    let SubjectReport { subject, partition, version, .. } = report;
    let mut lines = vec![format!("{} of {}", subject.name, subject.issuer)];
    lines.push(match version {
        0 => format!("partition {partition:02}, never seen"),
        version => format!("partition {partition:02}, version {version}"),
    });
    if report.suspended {
        lines.push("SUSPENDED".to_owned());
    }
    let items = |list: &str| json.get(list).and_then(Value::as_array).cloned().unwrap_or_default();
    let mut part = |title: &str, rows: Vec<String>| {
        lines.push(String::new());
        lines.push(title.to_owned());
        lines.extend(rows.into_iter().map(|row| format!("  {row}")));
    };
    let mut grants = items("grants");
    grants.iter_mut().for_each(for_people);
    part(
        &format!("grants: {}", grants.len()),
        rows(
            ["GRANT", "TOOL", "ROLE", "TEMPLATE", "EXPIRES", "NARROWED TO", "COUNTS"],
            &grants,
            ["id", "tool", "role", "template", "expires_at", "narrowed", "standing"],
        ),
    );
    let ended = items("ended");
    part(
        &format!("ended within a day: {}", ended.len()),
        rows(["GRANT", "TOOL", "WHY", "AT"], &ended, ["id", "tool", "why", "at"]),
    );
    let pending = items("pending");
    part(
        &format!("pending requests: {}", pending.len()),
        rows(
            ["REQUEST", "TEMPLATE", "ASKED", "UNTIL"],
            &pending,
            ["id", "template", "created_at", "pending_until"],
        ),
    );
    lines
}

fn rows<const N: usize>(head: [&str; N], items: &[Value], keys: [&str; N]) -> Vec<String> {
    if items.is_empty() { Vec::new() } else { table(head, items, keys) }
}

/// Adds the two columns that only people read.
fn for_people(grant: &mut Value) {
    let why_not = grant.get("why_not").and_then(Value::as_str);
    let standing = why_not.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
    let narrowed = grant.get("narrowing").and_then(Value::as_array).map_or(String::new(), |all| {
        let one = |one: &Value| {
            let words = |key| super::super::output::word(one, key);
            format!("{} {}", words("methods"), words("paths")).trim().to_owned()
        };
        all.iter().map(one).collect::<Vec<_>>().join(" and ")
    });
    if let Some(members) = grant.as_object_mut() {
        members.insert("standing".to_owned(), standing.into());
        members.insert("narrowed".to_owned(), narrowed.into());
    }
}
