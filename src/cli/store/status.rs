//! `tidegate store status`.

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::super::Exit;
use super::super::output::{Format, Output, table};
use super::{StoreTools, asked};
use crate::app::StoreReport;
use crate::domain::ids::hex;
use crate::store::inspect::{Count, PartitionStatus};

#[derive(Clone, Debug, clap::Args)]
pub struct StatusArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    #[arg(long, value_enum, default_value = "text")]
    pub(in super::super) output: Format,
}

pub(super) fn run(args: &StatusArgs, tools: StoreTools) -> Exit {
    asked(&args.config, args.output, |config| (tools.status)(config), shown)
}

#[derive(Default)]
struct Totals {
    entries: u64,
    open_grants: Count,
    pending_requests: Count,
    timers: Count,
}

fn shown(report: &StoreReport) -> Output {
    let mut totals = Totals::default();
    for one in &report.partitions {
        totals.entries = totals.entries.saturating_add(one.entries);
        totals.open_grants += one.open_grants;
        totals.pending_requests += one.pending_requests;
        totals.timers += one.timers;
    }
    let back_end: Map<String, Value> =
        report.back_end.lines.iter().cloned().map(|(name, value)| (name, value.into())).collect();
    let partitions: Vec<Value> = report.partitions.iter().map(partition).collect();
    let Totals { entries, open_grants, pending_requests, timers } = totals;
    let mut text: Vec<String> =
        report.back_end.lines.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    text.push(format!(
        "{} partitions: {entries} log entries, {open_grants} open grants, \
         {pending_requests} pending requests, {timers} timers",
        report.partitions.len(),
    ));
    text.push(String::new());
    let head =
        ["PARTITION", "EPOCH", "SEQ", "GENERATION", "ENTRIES", "GRANTS", "REQUESTS", "TIMERS"];
    let keys = [
        "partition",
        "epoch",
        "seq",
        "generation",
        "entries",
        "open_grants",
        "pending_requests",
        "timers",
    ];
    text.extend(table(head, &partitions, keys));
    let totals = json!({
        "entries": entries,
        "open_grants": open_grants.to_string(),
        "pending_requests": pending_requests.to_string(),
        "timers": timers.to_string(),
    });
    Output { json: json!({ "store": back_end, "totals": totals, "partitions": partitions }), text }
}

/// Counts are texts, because one that goes on ends with a `+`.
fn partition(one: &PartitionStatus) -> Value {
    json!({
        "partition": one.partition.0,
        "epoch": one.head.epoch,
        "seq": one.head.seq,
        "commit": hex(&one.head.id.0),
        "generation": one.generation,
        "entries": one.entries,
        "open_grants": one.open_grants.to_string(),
        "pending_requests": one.pending_requests.to_string(),
        "timers": one.timers.to_string(),
    })
}
