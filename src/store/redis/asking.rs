//! Asks the node that holds a partition, over links that belong to one exchange at a time; once more
//! where a retry means the same.

use std::sync::Arc;
use std::time::Duration;

use redis::{Cmd, Value};

use super::super::StoreFault;
use super::link::{Trouble, only};
use super::pool::{Ask, Lease, Pool};
use super::publish::Listeners;
use super::{Shared, acknowledge, script};
use crate::config::RedisAddress;
use crate::domain::ids::Partition;

/// Reads take turns on so many links to each node.
const READING_LINKS: usize = 8;
/// How long a retry waits for newer routes.
const LOOK_FOR_ROUTES: Duration = Duration::from_millis(100);
/// A record's own time decides; the server's clock may run fast by this and delete nothing live.
const SWEEP_SLACK: Duration = Duration::from_secs(24 * 60 * 60);

pub struct RedisBackend {
    pub(super) shared: Arc<Shared>,
    reads: Pool,
    pub(super) commits: Pool,
    pub(super) listeners: Listeners,
    pub(super) slack: Duration,
}

/// What may happen when the clocks differ.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Skewed {
    Refuse,
    GoOn,
}

impl RedisBackend {
    #[must_use]
    pub fn new(shared: Arc<Shared>) -> Self {
        Self::sweeping_after(shared, SWEEP_SLACK)
    }

    /// Records are swept no earlier than `slack` after they may be.
    pub(super) fn sweeping_after(shared: Arc<Shared>, slack: Duration) -> Self {
        let links = acknowledge::links(shared.config.acknowledge);
        Self {
            reads: Pool::new(shared.clone(), READING_LINKS),
            commits: Pool::new(shared.clone(), links),
            listeners: Listeners::new(shared.clone()),
            shared,
            slack,
        }
    }

    /// Asks the node that holds `partition`; once more when it turns out not to, or when the
    /// connection broke: what is asked means the same when it is asked twice.
    pub(super) async fn ask(
        &self,
        pool: &Pool,
        partition: Partition,
        ask: Ask<'_>,
        skewed: Skewed,
    ) -> Result<(Lease, Vec<Value>), StoreFault> {
        match self.ask_once(pool, partition, ask, skewed).await {
            Err(trouble) if trouble.is_about_routes() => {
                self.wait_for_routes().await;
                Ok(self.ask_once(pool, partition, ask, skewed).await?)
            }
            answer => Ok(answer?),
        }
    }

    pub(super) async fn ask_once(
        &self,
        pool: &Pool,
        partition: Partition,
        ask: Ask<'_>,
        skewed: Skewed,
    ) -> Result<(Lease, Vec<Value>), Trouble> {
        self.shared.gate.pass().map_err(Trouble::Fault)?;
        let address = self.address_of(partition).map_err(Trouble::Fault)?;
        let answer = async {
            let mut lease = pool.lease(&address).await?;
            let bound = self.shared.options.clock_skew;
            if skewed == Skewed::Refuse && lease.link.skew > bound {
                return Err(Trouble::Fault(StoreFault::ClockSkew(lease.link.skew)));
            }
            // One command has one reply; of more, each is looked at by whoever sent them.
            let asked = lease.ask(&self.shared, ask).await.and_then(|replies| {
                let refused = match replies.as_slice() {
                    [reply] => super::link::refusal_of(reply),
                    _ => None,
                };
                refused.map_or(Ok(replies), Err)
            });
            match asked {
                Ok(replies) => Ok((lease, replies)),
                Err(trouble) => {
                    if !trouble.is_about_routes() {
                        lease.give_back();
                    }
                    Err(trouble)
                }
            }
        };
        let answer = answer.await;
        if answer.as_ref().is_err_and(Trouble::is_about_routes) {
            self.shared.routes.went_stale();
        }
        answer
    }

    pub(super) fn address_of(&self, partition: Partition) -> Result<RedisAddress, StoreFault> {
        let table = self.shared.routes.table();
        let nobody = || StoreFault::Unreachable(format!("no node is known to hold {partition}"));
        table.address_of(partition).cloned().ok_or_else(nobody)
    }

    /// Until there is another table, but not for long.
    pub(super) async fn wait_for_routes(&self) {
        let version = self.shared.routes.table().version;
        let newer = async {
            while self.shared.routes.table().version == version {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let _ = tokio::time::timeout(LOOK_FOR_ROUTES, newer).await;
    }

    /// One command that changes no more when it is sent twice; its reply.
    pub(super) async fn command(
        &self,
        partition: Partition,
        command: &Cmd,
    ) -> Result<Value, StoreFault> {
        let ask = Ask::Commands(std::slice::from_ref(command));
        let (lease, replies) = self.ask(&self.reads, partition, ask, Skewed::GoOn).await?;
        lease.give_back();
        Ok(only(replies)?)
    }

    pub(super) async fn script(
        &self,
        partition: Partition,
        script: &script::Script,
        call: &Cmd,
    ) -> Result<Value, StoreFault> {
        let ask = Ask::Script(script, call);
        let (lease, replies) = self.ask(&self.reads, partition, ask, Skewed::GoOn).await?;
        lease.give_back();
        Ok(only(replies)?)
    }

    /// A key that belongs to no partition is on one node of a Cluster; the others say so.
    pub(super) async fn ask_somewhere(&self, command: &Cmd) -> Result<Value, Trouble> {
        let nodes = self.shared.routes.table().nodes.clone();
        let mut last = Trouble::Broken("no node is known".into());
        // Twice: an idle link may have died since it was used.
        for address in nodes.iter().chain(&nodes) {
            let ask = Ask::Commands(std::slice::from_ref(command));
            let asked = self.reads.ask_at(address, ask).await.and_then(|(lease, replies)| {
                lease.give_back();
                only(replies)
            });
            match asked {
                Err(elsewhere) if elsewhere.is_about_routes() => last = elsewhere,
                answer => return answer,
            }
        }
        Err(last)
    }

    pub(super) fn reads(&self) -> &Pool {
        &self.reads
    }

    pub(super) fn listen(&self) {
        self.listeners.start();
    }
}
