//! `tidegate store reconcile`: asks the gateways what they remember, and repairs the store by it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::super::serve::{not_started, on_runtime, refused};
use super::super::{Exit, output};
use crate::app;
use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::store::StoreFault;
use crate::store::reconcile::{Answers, Asking, Gateway, Outcome, Reconciler, Repaired};

/// Longer answers than this nobody waits for.
const LONGEST_WAIT: Duration = Duration::from_mins(10);

#[derive(Clone, Debug, clap::Args)]
pub struct ReconcileArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How long answers of gateways are collected.
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = wait)]
    pub wait: Duration,
    /// How many gateways are running: with fewer answers nothing is done.
    #[arg(long, value_name = "COUNT")]
    pub gateways: Option<usize>,
    /// Go on although no gateway answers: what they remember is then not made good.
    #[arg(long, conflicts_with = "gateways")]
    pub without_gateways: bool,
}

fn wait(text: &str) -> Result<Duration, String> {
    let wait =
        config::units::duration(text).filter(|wait| !wait.is_zero() && *wait <= LONGEST_WAIT);
    wait.ok_or_else(|| "expected a time like 500ms, 2s or 1m, at most 10m".to_owned())
}

#[must_use]
pub fn run(args: &ReconcileArgs) -> Exit {
    match config::load(&args.config, &|name| std::env::var(name).ok()) {
        Ok(loaded) => on_runtime(reconcile(loaded.config, args)),
        Err(problems) => refused(&problems.texts()),
    }
}

async fn reconcile(config: Config, args: &ReconcileArgs) -> Exit {
    let opened = match app::open_to_reconcile(&config, Arc::new(SystemClock)).await {
        Ok(opened) => opened,
        Err(error) => {
            let exit = not_started(&error);
            if error.is_in_use() {
                eprintln!("one process owns an embedded store; stop it first: no other can help");
            }
            return exit;
        }
    };
    let answers = if opened.is_shared {
        match asked(&*opened.reconciler, args).await {
            Ok(answers) => answers,
            Err(exit) => return exit,
        }
    } else {
        println!("one process owns an embedded store: there is nobody to ask");
        Answers::default()
    };
    match opened.reconciler.repair(&answers).await {
        Ok(outcomes) => report(&outcomes),
        Err(fault) => faulted(&fault),
    }
}

/// Asks, prints who answered, and decides whether that is enough to go on.
async fn asked(reconciler: &dyn Reconciler, args: &ReconcileArgs) -> Result<Answers, Exit> {
    let asking = Asking { wait: args.wait, enough: args.gateways };
    let answers = reconciler.ask(asking).await.map_err(|fault| faulted(&fault))?;
    for gateway in &answers.gateways {
        println!("{}", output::visible(&told(gateway)));
    }
    match too_little(&answers, args) {
        None => Ok(answers),
        Some(why) => {
            eprintln!("tidegate: {}", output::visible(&why));
            Err(Exit::Refused)
        }
    }
}

/// What one gateway said, in one line.
fn told(gateway: &Gateway) -> String {
    let closed: Vec<String> = gateway.closed().map(|partition| partition.to_string()).collect();
    let closed = if closed.is_empty() { "none".to_owned() } else { closed.join(" ") };
    let remembered = gateway.revocations.len();
    format!("{} answered: closed {closed}; revocations {remembered}", gateway.instance)
}

/// Why nothing is done. Whoever did not answer may be the one that knows.
fn too_little(answers: &Answers, args: &ReconcileArgs) -> Option<String> {
    if !answers.incomplete.is_empty() {
        let from: BTreeSet<&str> = answers.incomplete.iter().map(String::as_str).collect();
        let from = from.into_iter().collect::<Vec<_>>().join(", ");
        return Some(format!("the answer of {from} is not whole; try again with a longer --wait"));
    }
    let count = answers.gateways.len();
    match args.gateways {
        Some(wanted) if count < wanted => Some(format!(
            "{count} of {wanted} gateways answered; those that are missing may remember \
             revocations that the store has lost"
        )),
        None if count == 0 && !args.without_gateways => Some(
            "no gateway answered, and only they remember what the store has lost: revoked access \
             could count again. If none is running, say --without-gateways"
                .to_owned(),
        ),
        Some(_) | None => None,
    }
}

/// Prints what was done to each partition.
fn report(outcomes: &[Outcome]) -> Exit {
    let (mut exit, mut repaired) = (Exit::Done, 0);
    for outcome in outcomes {
        match outcome {
            Outcome::Fine(_) => (),
            Outcome::Repaired(done) => {
                repaired += 1;
                println!("{}", output::visible(&line(done)));
            }
            Outcome::Failed(partition, fault) => {
                let line = format!("partition {partition} was not repaired: {fault}");
                eprintln!("tidegate: {}", output::visible(&line));
                exit = worse(exit, exit_of(fault));
            }
        }
    }
    if exit == Exit::Done && repaired == 0 {
        println!("nothing to do: {} partitions are as they were", outcomes.len());
    } else {
        println!("{repaired} of {} partitions repaired", outcomes.len());
    }
    exit
}

fn line(done: &Repaired) -> String {
    let why: Vec<String> = done.why.iter().map(ToString::to_string).collect();
    let Repaired { partition, epoch, seq, kills, suspended, .. } = done;
    let mut line = format!("partition {partition} repaired: {}", why.join(", "));
    for grant in &done.ended {
        line.push_str("; ended again ");
        line.push_str(&grant.to_string());
    }
    format!("{line}; epoch {epoch} from {seq}, kills {kills}, suspended {suspended}")
}

fn faulted(fault: &StoreFault) -> Exit {
    eprintln!("tidegate: {}", output::visible(&fault.to_string()));
    exit_of(fault)
}

fn exit_of(fault: &StoreFault) -> Exit {
    match fault {
        StoreFault::Unreachable(_) | StoreFault::Deadline | StoreFault::Overloaded => {
            Exit::Unreachable
        }
        StoreFault::RolledBack(_)
        | StoreFault::Missing { .. }
        | StoreFault::InvalidRecord { .. }
        | StoreFault::ClockSkew(_) => Exit::Misfit,
    }
}

fn worse(one: Exit, other: Exit) -> Exit {
    if one.code() >= other.code() { one } else { other }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ids::Partition;

    fn args(gateways: Option<usize>, without_gateways: bool) -> ReconcileArgs {
        let (config, wait) = (PathBuf::new(), Duration::from_secs(2));
        ReconcileArgs { config, wait, gateways, without_gateways }
    }

    fn answers(gateways: usize, incomplete: &[&str]) -> Answers {
        Answers {
            gateways: vec![Gateway::default(); gateways],
            incomplete: incomplete.iter().map(|&name| name.to_owned()).collect(),
        }
    }

    #[test]
    fn too_few_answers_change_nothing_unless_none_are_to_be_had() {
        let refuses = |answers: Answers, args| too_little(&answers, &args).is_some();
        assert!(refuses(answers(0, &[]), args(None, false)));
        assert!(!refuses(answers(0, &[]), args(None, true)));
        assert!(!refuses(answers(1, &[]), args(None, false)));
        assert!(refuses(answers(1, &[]), args(Some(2), false)));
        assert!(!refuses(answers(2, &[]), args(Some(2), false)));
        assert!(refuses(answers(2, &["late"]), args(Some(2), false)));
        assert!(refuses(answers(0, &["late"]), args(None, true)));
    }

    #[test]
    fn a_partition_that_stays_closed_is_no_success() {
        let failed = |fault| Outcome::Failed(Partition(1), fault);
        let invalid = StoreFault::InvalidRecord { key: "k".into(), why: "w" };
        assert_eq!(report(&[Outcome::Fine(Partition(0))]), Exit::Done);
        assert_eq!(report(&[failed(StoreFault::Deadline)]), Exit::Unreachable);
        let both = [failed(invalid), failed(StoreFault::Deadline)];
        assert_eq!(report(&both), Exit::Misfit);
    }

    #[test]
    fn a_wait_is_a_time_of_the_configuration() {
        assert_eq!(wait("500ms"), Ok(Duration::from_millis(500)));
        for wrong in ["", "0s", "2", "11m", "PT2S"] {
            assert!(wait(wrong).is_err(), "{wrong}");
        }
    }
}
