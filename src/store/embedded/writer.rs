//! The one thread that writes: it takes what is queued, writes it in one transaction with one
//! fsync, shows it, and answers.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use bytes::Bytes;
use redb::{Database, Durability, ReadableDatabase, WriteTransaction};
use tokio::sync::{broadcast, oneshot};

use crate::clock::SharedClock;
use crate::domain::ids::Partition;
use crate::domain::uses::Use;
use crate::store::StoreFault;
use crate::store::backend::{Outcome, Put, Rebase, SetChange, WriteSet};
use crate::store::keys::{Key, Member};

use super::batch::Batch;
use super::state::{Changes, State};
use super::tables::{Snapshot, failed};

/// So many commits share one fsync at most.
const MOST_IN_A_BATCH: usize = 256;

type Reply<T> = oneshot::Sender<Result<T, StoreFault>>;

pub enum Job {
    Commit(Box<WriteSet>, Reply<Outcome>),
    Rebase(Box<Rebase>, Reply<Option<u64>>),
    /// Outside any commit; `None` deletes.
    Put {
        key: Key,
        value: Option<Bytes>,
        durable: bool,
        reply: Reply<()>,
    },
    CountUp {
        key: Key,
        reply: Reply<u64>,
    },
    /// As a put that is not durable, if the value is the one that was found.
    Swap {
        key: Key,
        found: Option<Bytes>,
        value: Bytes,
        reply: Reply<bool>,
    },
    Trim {
        partition: Partition,
        up_to: u64,
        reply: Reply<()>,
    },
    Forget {
        keys: Vec<Key>,
        places: Vec<(Key, Member)>,
        reply: Reply<()>,
    },
    AddUses {
        uses: Vec<(Key, Use)>,
        reply: Reply<()>,
    },
    /// Stands for a library that panics on a damaged page.
    #[cfg(test)]
    Panic(Reply<()>),
}

/// What a job came to, before the transaction is durable.
enum Done {
    Commit(Partition, Outcome, Reply<Outcome>),
    Rebase(Partition, Option<u64>, Reply<Option<u64>>),
    Put(Reply<()>),
    /// `None`: what stands there is no number.
    CountUp(Option<u64>, Reply<u64>),
    Swap(bool, Reply<bool>),
}

pub struct Writer {
    database: Arc<Database>,
    state: Arc<State>,
    clock: SharedClock,
    moved: broadcast::Sender<Partition>,
}

impl Writer {
    pub fn start(
        database: Arc<Database>,
        state: Arc<State>,
        clock: SharedClock,
        moved: broadcast::Sender<Partition>,
    ) -> std::io::Result<(Sender<Job>, JoinHandle<()>)> {
        let (sender, receiver) = channel();
        let writer = Self { database, state, clock, moved };
        let thread = std::thread::Builder::new().name("tidegate-store".into());
        Ok((sender, thread.spawn(move || writer.run(&receiver))?))
    }

    /// Ends when nobody can send any more.
    fn run(&self, jobs: &Receiver<Job>) {
        let _panic = BreaksDown(&self.state);
        while let Ok(first) = jobs.recv() {
            let more = jobs.try_iter().take(MOST_IN_A_BATCH - 1);
            let batch: Vec<Job> = std::iter::once(first).chain(more).collect();
            self.write(batch);
        }
    }

    /// When anything fails, the senders of the answers are dropped, which reads as "unreachable".
    /// Before the transaction's own commit nothing has changed then; after it nobody knows.
    fn write(&self, jobs: Vec<Job>) {
        let (done, changes, write) = match self.prepare(jobs) {
            Ok(prepared) => prepared,
            Err(fault) => {
                tracing::error!(%fault, "a write was given up before it changed anything");
                return;
            }
        };
        match self.make_durable(write) {
            Ok(snapshot) => {
                self.state.publish(snapshot, changes);
                for done in done {
                    self.answer(done);
                }
            }
            Err(fault) => {
                tracing::error!(%fault, "a write failed half way; nothing is answered any more");
                self.state.break_down();
            }
        }
    }

    fn make_durable(&self, write: WriteTransaction) -> Result<Snapshot, redb::Error> {
        write.commit()?;
        Snapshot::of(&self.database.begin_read()?)
    }

    fn prepare(
        &self,
        jobs: Vec<Job>,
    ) -> Result<(Vec<Done>, Changes, WriteTransaction), redb::Error> {
        let mut write = self.database.begin_write()?;
        let durable = jobs.iter().any(|job| match job {
            Job::Commit(..) | Job::Rebase(..) => true,
            Job::Put { durable, .. } => *durable,
            // What comes back after a crash goes again, and a number that comes again harms nobody.
            Job::Trim { .. } | Job::Forget { .. } | Job::CountUp { .. } | Job::Swap { .. } => false,
            Job::AddUses { .. } => false,
            #[cfg(test)]
            Job::Panic(_) => true,
        });
        if !durable {
            write.set_durability(Durability::None)?;
        }
        let mut batch = Batch::open(&write)?;
        let mut done = Vec::with_capacity(jobs.len());
        for job in jobs {
            done.push(run_job(&mut batch, job)?);
        }
        if durable {
            batch.sweep(self.clock.now())?;
        }
        let changes = std::mem::take(&mut batch.changes);
        drop(batch);
        Ok((done, changes, write))
    }

    /// Nobody may be waiting any more; that is theirs to know.
    fn answer(&self, done: Done) {
        match done {
            Done::Commit(partition, outcome, reply) => {
                // Open leases hear of it no later than whoever revoked them.
                if matches!(outcome, Outcome::Done { .. }) {
                    let _ = self.moved.send(partition);
                }
                let _ = reply.send(Ok(outcome));
            }
            Done::Rebase(partition, seq, reply) => {
                if seq.is_some() {
                    let _ = self.moved.send(partition);
                }
                let _ = reply.send(Ok(seq));
            }
            Done::Put(reply) => {
                let _ = reply.send(Ok(()));
            }
            Done::CountUp(number, reply) => {
                let _ = reply.send(number.ok_or_else(|| failed("a sequence is not a number")));
            }
            Done::Swap(swapped, reply) => {
                let _ = reply.send(Ok(swapped));
            }
        }
    }
}

/// Dropped while a panic unwinds the writer, it ends reading as well: what could no longer be
/// revoked must not go on being allowed.
struct BreaksDown<'a>(&'a State);

impl Drop for BreaksDown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            tracing::error!("the writer of the store panicked; nothing is answered any more");
            self.0.break_down();
        }
    }
}

fn run_job(batch: &mut Batch<'_>, job: Job) -> Result<Done, redb::Error> {
    match job {
        Job::Commit(write, reply) => {
            let outcome = batch.commit(&write)?;
            Ok(Done::Commit(write.partition, outcome, reply))
        }
        Job::Rebase(rebase, reply) => {
            let seq = batch.rebase(&rebase)?;
            Ok(Done::Rebase(rebase.partition, seq, reply))
        }
        Job::Put { key, value, durable: _, reply } => {
            match value {
                Some(value) => batch.put(&Put { key, value, sweep_at: None })?,
                None => batch.delete(&key)?,
            }
            Ok(Done::Put(reply))
        }
        Job::CountUp { key, reply } => Ok(Done::CountUp(batch.count_up(&key)?, reply)),
        Job::Swap { key, found, value, reply } => {
            Ok(Done::Swap(batch.swap(key, found.as_ref(), value)?, reply))
        }
        Job::Trim { partition, up_to, reply } => {
            batch.trim(partition, up_to)?;
            Ok(Done::Put(reply))
        }
        Job::Forget { keys, places, reply } => {
            keys.iter().try_for_each(|key| batch.delete(key))?;
            for (set, member) in places {
                batch.set(&SetChange { set, member, score: None })?;
            }
            Ok(Done::Put(reply))
        }
        Job::AddUses { uses, reply } => {
            uses.into_iter().try_for_each(|(key, used)| batch.add_use(key, used))?;
            Ok(Done::Put(reply))
        }
        #[cfg(test)]
        Job::Panic(_reply) => panic!("a damaged page"),
    }
}

/// Waits for the answer to a job.
pub async fn answered<T>(
    answer: oneshot::Receiver<Result<T, StoreFault>>,
) -> Result<T, StoreFault> {
    answer.await.unwrap_or_else(|_dropped| Err(failed("the store could not be written")))
}
