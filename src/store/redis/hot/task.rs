//! The life of one connection: made, served until it breaks, and made again after a pause.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::super::super::StoreFault;
use super::super::Shared;
use super::link::{Link, State};
use super::wire::Wire;
use crate::config::RedisAddress;
use crate::entropy;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(700);
/// A connection that served for so long was no failed attempt.
const LASTING: Duration = Duration::from_secs(1);

/// Ends only by being aborted; nothing stays under way then.
pub async fn run(link: Rc<Link>, shared: Arc<Shared>, address: RedisAddress) {
    let _ends = Ends(&link);
    let mut failures = 0_u32;
    loop {
        let (fault, served) = attempt(&link, &shared, &address).await;
        // Whoever knows the nodes may know that another one has taken over.
        shared.routes.went_stale();
        let lasted = served.is_some_and(|since| since.elapsed() >= LASTING);
        failures = if lasted { 0 } else { failures.saturating_add(1) };
        // The state first: who is woken by the failure and asks again has to find it.
        link.set(if lasted { State::Connecting } else { State::Down(fault.clone()) });
        link.fail(&fault);
        sleep(pause(failures)).await;
    }
}

/// Why it ended, and since when it had served if it did.
async fn attempt(
    link: &Link,
    shared: &Shared,
    address: &RedisAddress,
) -> (StoreFault, Option<Instant>) {
    match shared.connector.dial(address).await {
        Ok(stream) => Wire::new(link, shared, stream).serve().await,
        Err(error) => (StoreFault::Unreachable(format!("no connection: {error}")), None),
    }
}

/// Twice as long after every failure, and somewhere below that, so that gateways spread out.
fn pause(failures: u32) -> Duration {
    let longest = FIRST_PAUSE.saturating_mul(1 << failures.min(5)).min(LONGEST_PAUSE);
    // Without randomness nobody is spared, but nothing is believed either.
    let share = entropy::bytes()
        .map_or(1.0, |bytes| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX));
    longest.mul_f64(0.1 + 0.9 * share)
}

/// However the task ends, nobody waits for it.
struct Ends<'a>(&'a Link);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        let fault = StoreFault::Unreachable("this connection was given up".into());
        self.0.set(State::Down(fault.clone()));
        self.0.fail(&fault);
    }
}
