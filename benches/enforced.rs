//! What one enforced request costs within the process, for whoever counts instructions, and how that
//! grows with what there is.
//!
//! ```text
//! enforced prepare FOLDER SHAPE    fills a folder: SHAPE is like `subjects=1000 tools=10`
//! enforced run FOLDER SHAPE TIMES  asks TIMES times, after a warm-up that `measured` is not part of
//! enforced loopback WHAT TIMES     asks the binary TIMES times (`public`, `embedded`, `redis`)
//! ```
//!
//! `scripts/budget` and `scripts/bench-growth` run the second under callgrind, which counts inside
//! `measured` alone; of the third they have the binary run under it (`TIDEGATE_BIN`).

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::format_push_string,
    reason = "a benchmark that is surprised should stop"
)]

#[path = "enforced/mod.rs"]
mod enforced;
#[path = "../tests/harness/mod.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod harness;
#[path = "enforced/loopback.rs"]
mod loopback;
#[path = "../tests/support/servers.rs"]
#[expect(dead_code, reason = "the tests use more of it")]
mod servers;

use std::path::Path;

use enforced::shape::Shape;
use enforced::{OneCore, prepare};
use harness::tokens;

/// The one of the binary: what it costs belongs to the request.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The recent decisions of a core have all been replaced once after so many.
const WARM_UP: usize = 1100;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["prepare", folder, shape] => prepare(Path::new(folder), &Shape::read(shape)),
        ["run", folder, shape, times] => {
            let mut core = OneCore::start(Path::new(folder), &Shape::read(shape));
            core.visit(WARM_UP.max(core.kinds()));
            let times: usize = times.parse().expect("a number");
            let before = cpu_nanos();
            measured(&mut core, times);
            println!("{} ns of CPU", cpu_nanos() - before);
        }
        ["loopback", what, times] => loopback::visit(what, times.parse().expect("a number")),
        // What `cargo bench` says to every benchmark.
        _ => println!("see scripts/budget and scripts/bench-growth"),
    }
}

/// What callgrind counts: its name is what the scripts tell it.
#[inline(never)]
fn measured(core: &mut OneCore, times: usize) {
    core.visit(times);
}

/// Of this thread, on which everything happens; from the scheduler.
fn cpu_nanos() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("it reads");
    text.split(' ').next().and_then(|word| word.parse().ok()).expect("nanoseconds")
}
