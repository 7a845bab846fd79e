//! The clock of a core's leases. It waits for nothing but time, so that no store and no policy can
//! keep an ended exchange open.

use std::rc::Rc;

use tokio::time::{Instant, sleep_until};

use crate::gateway::core::Core;
use crate::gateway::ports::{Live, Ports};

pub async fn keep_time<P: Ports>(core: Rc<Core<P>>) {
    let leases = Rc::clone(&core.leases);
    loop {
        let now = Instant::now();
        leases.grow(now, |subject| core.ports.live().partition(subject));
        leases.look(now);
        match leases.next_wake(now) {
            Some(at) => tokio::select! {
                () = sleep_until(at) => (),
                () = leases.sooner.notified() => (),
            },
            None => leases.sooner.notified().await,
        }
    }
}
