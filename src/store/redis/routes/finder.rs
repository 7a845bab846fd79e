//! Looks for the primaries in the background: at the beginning, when somebody met a node that is not
//! what it was, and every few seconds.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::config::{RedisAddress, RedisLogin, RedisNodes};
use crate::domain::ids::PartitionCount;
use crate::entropy;

use super::super::connect::Connector;
use super::ask::ask;
use super::{Known, Table, cluster, sentinel};

/// Without a reason to look.
const EVERY: Duration = Duration::from_secs(3);
/// Between two looks, however many reasons there are.
const LEAST: Duration = Duration::from_millis(100);
/// A node that has not answered by then is not waited for alone.
const HEAD_START: Duration = Duration::from_millis(100);

pub struct Finder {
    pub known: Arc<Known>,
    pub connector: Connector,
    pub nodes: RedisNodes,
    pub partitions: PartitionCount,
    /// Of the Sentinels: the latest fail-over that we followed.
    seen: u64,
    /// Where the next round begins.
    turn: usize,
}

impl Finder {
    pub fn new(
        known: Arc<Known>,
        connector: Connector,
        nodes: RedisNodes,
        partitions: PartitionCount,
    ) -> Self {
        Self { known, connector, nodes, partitions, seen: 0, turn: 0 }
    }

    pub async fn run(mut self) {
        loop {
            let found = match self.nodes.clone() {
                RedisNodes::Standalone(_) => return,
                RedisNodes::Sentinel { master, nodes, login } => {
                    self.ask_sentinels(&master, &nodes, &login).await
                }
                RedisNodes::Cluster(nodes) => self.ask_cluster(&nodes).await,
            };
            let pause = if found.is_ok() { EVERY } else { LEAST * 5 };
            match found {
                Ok(table) => self.known.learn(table),
                // What was known last may still be true, and whoever finds it is not refuses.
                Err(why) => self.known.fault.store(Some(Arc::new(why))),
            }
            tokio::time::sleep(jittered(LEAST)).await;
            tokio::select! {
                () = self.known.stale.notified() => {}
                () = tokio::time::sleep(jittered(pause)) => {}
            }
        }
    }

    async fn ask_sentinels(
        &mut self,
        master: &str,
        nodes: &[RedisAddress],
        login: &RedisLogin,
    ) -> Result<Table, String> {
        let mut asking = JoinSet::new();
        for node in nodes {
            let (connector, login, node) = (self.brief(), login.clone(), node.clone());
            let questions = sentinel::questions(master);
            asking.spawn(async move { ask(&connector, &login, &node, &questions).await });
        }
        let (mut opinions, mut why) = (Vec::new(), None);
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok(Ok(answers)) => opinions.extend(sentinel::opinion(&answers)),
                Ok(Err(told)) => why = Some(told),
                Err(_cancelled) => {}
            }
        }
        for candidate in sentinel::candidates(&opinions, self.seen, nodes.len()) {
            let address = &candidate.primary;
            let role = [redis::cmd("ROLE")];
            match ask(&self.brief(), &self.connector.login, address, &role).await {
                Ok(answers) if sentinel::is_primary(&answers) => {
                    self.seen = candidate.epoch;
                    return Ok(Table::of_one(address, self.partitions));
                }
                Ok(_) => why = Some(format!("{}:{}: no primary", address.host, address.port)),
                Err(told) => why = Some(told),
            }
        }
        Err(why.unwrap_or_else(|| format!("no Sentinel knows {master}")))
    }

    /// Whoever answers first; the others get a head start each, so that one that hangs costs little.
    async fn ask_cluster(&mut self, configured: &[RedisAddress]) -> Result<Table, String> {
        let mut nodes = self.known.table.load().nodes.clone();
        for node in configured {
            if !nodes.contains(node) {
                nodes.push(node.clone());
            }
        }
        self.turn = self.turn.wrapping_add(1) % nodes.len().max(1);
        nodes.rotate_left(self.turn);
        let mut asking = JoinSet::new();
        for (place, node) in (0..).zip(nodes) {
            let connector = self.connector.clone();
            let partitions = self.partitions;
            asking.spawn(async move {
                tokio::time::sleep(HEAD_START * place).await;
                let question = [redis::cmd("CLUSTER").arg("SLOTS").to_owned()];
                let answers = ask(&connector, &connector.login, &node, &question).await?;
                let answer = answers.first().ok_or("no answer")?;
                let (nodes, of) = cluster::table(answer, &node, partitions)?;
                Ok::<_, String>(Table { nodes, of, version: 0 })
            });
        }
        let mut why = None;
        while let Some(answer) = asking.join_next().await {
            match answer {
                Ok(Ok(table)) => return Ok(table),
                Ok(Err(told)) => why = Some(told),
                Err(_cancelled) => {}
            }
        }
        Err(why.unwrap_or_else(|| "no node of the Cluster is known".to_owned()))
    }

    /// One that hangs holds up a whole round of Sentinels.
    fn brief(&self) -> Connector {
        let mut connector = self.connector.clone();
        connector.deadline /= 2;
        connector
    }
}

/// Three quarters to five quarters, so that many gateways do not ask at once.
fn jittered(span: Duration) -> Duration {
    let [drawn] = entropy::bytes::<1>().unwrap_or([128]);
    span * 3 / 4 + span * u32::from(drawn) / 512
}
