//! Asks the store what has become of the access of open exchanges: at once when word comes that a
//! partition moved, once a second in case no word came. One read per partition; a subject is read
//! only when the head of its partition moved.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::task::spawn_local;
use tokio::time::{Instant, sleep_until};

use crate::domain::ids::Partition;
use crate::domain::subject::SubjectKey;
use crate::domain::time::Timestamp;
use crate::gateway::body::Progress;
use crate::gateway::core::Core;
use crate::gateway::ports::{Decide, Live, LiveSet, Ports};
use crate::store::StoreFault;
use crate::telemetry::events::gateway::StoreReadFailed;

use super::again::{Again, ask_again};
use super::{LOOK_AGAIN, Leases};

pub async fn check<P: Ports>(core: Rc<Core<P>>) {
    let leases = Rc::clone(&core.leases);
    let mut moved = core.shared.moves.listen();
    let mut listening = true;
    // Twice within the grace, however short that is.
    let every = LOOK_AGAIN.min(core.shared.limits.stream_grace / 2).max(Duration::from_millis(1));
    let mut next = Instant::now() + every;
    let mut rules = (core.ports.policy().set(), core.shared.catalog.load_full());
    loop {
        let watching = leases.is_watching();
        tokio::select! {
            () = leases.asking.notified() => (),
            () = sleep_until(next), if watching => {
                next = Instant::now() + every;
                leases.ask_all();
            }
            word = moved.recv(), if watching && listening => match word {
                Ok(partition) => leases.ask(partition),
                Err(RecvError::Lagged(_)) => leases.ask_all(),
                Err(RecvError::Closed) => listening = false,
            },
        }
        while let Some(lagged) = heard(&mut moved, &leases) {
            if lagged {
                leases.ask_all();
            }
        }
        // The catalog says which roles only grants give.
        let (policies, catalog) = (core.ports.policy().set(), core.shared.catalog.load());
        if rules.0 != policies || !Arc::ptr_eq(&rules.1, &catalog) {
            rules = (policies, Arc::clone(&catalog));
            leases.doubt_all();
            leases.ask_all();
        }
        for partition in leases.take_asked() {
            spawn_local(read_head(Rc::clone(&core), partition));
        }
        for (subject, open) in by_subject(leases.take_near()) {
            spawn_local(look_beyond(Rc::clone(&core), subject, open));
        }
    }
}

/// Takes one more word, if there is one; whether some were lost.
fn heard(moved: &mut tokio::sync::broadcast::Receiver<Partition>, leases: &Leases) -> Option<bool> {
    match moved.try_recv() {
        Ok(partition) => {
            leases.ask(partition);
            Some(false)
        }
        Err(TryRecvError::Lagged(_)) => Some(true),
        Err(TryRecvError::Empty | TryRecvError::Closed) => None,
    }
}

fn by_subject(exchanges: Vec<Rc<Progress>>) -> FxHashMap<SubjectKey, Vec<Rc<Progress>>> {
    let mut subjects: FxHashMap<SubjectKey, Vec<Rc<Progress>>> = FxHashMap::default();
    for exchange in exchanges {
        let Some(subject) = exchange.held.permit().identity().map(|it| it.key) else { continue };
        subjects.entry(subject).or_default().push(exchange);
    }
    subjects
}

/// The partition counts as read however this ends.
struct Reading<'a>(&'a Leases, Partition);

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        self.0.was_read(self.1);
    }
}

async fn read_head<P: Ports>(core: Rc<Core<P>>, partition: Partition) {
    let _reading = Reading(&core.leases, partition);
    let sent = Instant::now();
    let base = match core.ports.live().base(partition).await {
        Ok(base) => base,
        Err(fault) => return failed(&core, &fault),
    };
    let mut moved = core.leases.learned(partition, base.head, sent);
    moved.retain(|exchange| exchange.held.begin_check());
    for (subject, open) in by_subject(moved) {
        let open = open.into_iter().map(Checked).collect();
        spawn_local(check_subject(Rc::clone(&core), partition, subject, open));
    }
}

fn failed<P: Ports>(core: &Core<P>, fault: &StoreFault) {
    StoreReadFailed(fault).emit(&core.shared.metrics);
}

/// An exchange that is asked for by nobody else, until this is dropped.
struct Checked(Rc<Progress>);

impl Drop for Checked {
    fn drop(&mut self) {
        self.0.held.end_check();
    }
}

async fn check_subject<P: Ports>(
    core: Rc<Core<P>>,
    partition: Partition,
    subject: SubjectKey,
    open: Vec<Checked>,
) {
    let Ok(_room) = core.leases.room.acquire().await else { return };
    let sent = Instant::now();
    let view = match core.ports.live().read(subject).await {
        Ok(view) => Rc::new(view),
        Err(fault) => return failed(&core, &fault),
    };
    let seen = view.seen();
    for exchange in open {
        if exchange.0.held.is_same(seen) && !view.is_suspended() {
            exchange.0.held.goes_on(seen, sent);
            continue;
        }
        // Each by itself: a policy that answers one slowly keeps nobody else waiting.
        let (core, view) = (Rc::clone(&core), Rc::clone(&view));
        spawn_local(async move {
            check_one(&core, &exchange, &view, sent).await;
            drop(exchange);
            core.leases.was_seen_at(partition, seen.head);
        });
    }
    core.leases.was_seen_at(partition, seen.head);
}

async fn check_one<P: Ports>(
    core: &Core<P>,
    exchange: &Checked,
    view: &<P::Live as Live>::View,
    sent: Instant,
) {
    let held = &exchange.0.held;
    match ask_again(core, held, view, core.shared.clock.now()).await {
        Again::Stays(grants) => held.stays(&grants, view.seen(), sent),
        Again::Ends(cause, since) if is_open(&exchange.0) => held.cut(cause, since),
        Again::Ends(..) | Again::Unsure => (),
    }
}

/// What will permit these exchanges when what permits them now has ended.
async fn look_beyond<P: Ports>(core: Rc<Core<P>>, subject: SubjectKey, open: Vec<Rc<Progress>>) {
    let open: Vec<(Rc<Progress>, Timestamp)> = open
        .into_iter()
        .filter_map(|exchange| exchange.held.begin_beyond().map(|end| (Rc::clone(&exchange), end)))
        .collect();
    if open.is_empty() {
        return;
    }
    let Ok(_room) = core.leases.room.acquire().await else { return };
    let view = match core.ports.live().read(subject).await {
        Ok(view) => Rc::new(view),
        Err(fault) => {
            for (exchange, _) in &open {
                exchange.held.beyond_is_unknown();
            }
            return failed(&core, &fault);
        }
    };
    for (exchange, end) in open {
        let (core, view) = (Rc::clone(&core), Rc::clone(&view));
        spawn_local(async move {
            match ask_again(&core, &exchange.held, &view, end).await {
                Again::Stays(grants) => exchange.held.ends_later(&grants, view.seen()),
                // The clock cuts it, unless something moves before.
                Again::Ends(..) => (),
                Again::Unsure => exchange.held.beyond_is_unknown(),
            }
        });
    }
}

/// Whether anybody but the check still has to do with it.
fn is_open(exchange: &Rc<Progress>) -> bool {
    Rc::strong_count(exchange) > 1
}
