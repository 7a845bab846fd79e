//! How long refusals and recoveries took, told in one line per fault for `scripts/prove-store --times`.

use std::cell::RefCell;
use std::time::Duration;

thread_local! {
    static REFUSALS: RefCell<Vec<Duration>> = const { RefCell::new(Vec::new()) };
}

pub fn refused_after(took: Duration) {
    REFUSALS.with_borrow_mut(|all| all.push(took));
}

pub fn forget() {
    REFUSALS.with_borrow_mut(Vec::clear);
}

/// Everything in milliseconds, under the name of the test that runs.
pub fn tell(recovered_after: Duration) {
    let mut all = REFUSALS.take();
    all.sort_unstable();
    let (Some(middle), Some(longest)) = (all.get(all.len() / 2), all.last()) else { return };
    let thread = std::thread::current();
    let name = thread.name().and_then(|path| path.rsplit("::").next()).unwrap_or("a test");
    println!(
        "times: {name} | {} | {:.1} | {:.1} | {:.0}",
        all.len(),
        millis(*middle),
        millis(*longest),
        millis(recovered_after)
    );
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
