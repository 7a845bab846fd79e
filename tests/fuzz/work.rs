//! Runs cases and holds each to its bounds of time and memory.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tidegate::policy::embedded::Bound;

/// Of one case, whatever it does.
const MEMORY: usize = 256 << 20;
/// CPU time of one case: far above what any takes, also unoptimised.
const TIME: Duration = Duration::from_secs(40);

/// `SplitMix64`: the same seed, the same cases.
pub struct Random(u64);

impl Random {
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut it = self.0;
        it = (it ^ (it >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        it = (it ^ (it >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((it ^ (it >> 31)) >> 1).unwrap_or(0) % end.max(1)
    }
}

/// What suites of a case may do.
pub fn suites() -> Bound {
    Bound { cases: 2_000, until: None }
}

/// The input of a case, and what is done with it.
pub type Case<'c> = (Vec<u8>, Box<dyn FnOnce() + 'c>);

/// Runs a few cases of a fixed seed, or many for `TIDEGATE_FUZZ_SECONDS` with `TIDEGATE_FUZZ_SEED`.
pub fn bounded<'c>(target: &str, mut case: impl FnMut(&mut Random) -> Case<'c>) {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("TIDEGATE_FUZZ_SECONDS");
    let seed = number("TIDEGATE_FUZZ_SEED").unwrap_or(1);
    let end = seconds.map(|it| Instant::now() + Duration::from_secs(it));
    let mut worst = (Duration::ZERO, 0, Vec::new());
    let mut most = 0;
    let mut count = 0;
    while end.map_or(count < 300, |end| Instant::now() < end) {
        let number = seed.wrapping_mul(1_000_003).wrapping_add(count);
        let (input, run) = case(&mut Random(number));
        let (took, memory) = measure(target, &input, run);
        most = most.max(memory);
        if took > worst.0 {
            worst = (took, number, input);
        }
        count += 1;
    }
    let (took, number, input) = worst;
    println!("{target}: {count} cases, most memory {most} bytes, slowest {took:?} (case {number})");
    if end.is_some() {
        std::fs::write(format!("target/fuzz-{target}-slowest"), input).expect("written");
    }
}

/// CPU time and memory of a case; what it was is kept when it does not come back.
pub fn measure(target: &str, input: &[u8], run: impl FnOnce()) -> (Duration, usize) {
    if std::env::var_os("TIDEGATE_FUZZ_SECONDS").is_some() {
        std::fs::write(format!("target/fuzz-{target}-last"), input).expect("written");
    }
    let before = crate::MEMORY.current_usage();
    crate::MEMORY.reset_peak_usage();
    let start = cpu();
    run();
    let took = cpu().saturating_sub(start);
    let memory = crate::MEMORY.peak_usage().saturating_sub(before);
    let shown = || String::from_utf8_lossy(&input[..input.len().min(2_000)]).into_owned();
    assert!(memory <= MEMORY, "{target}: {memory} bytes of memory for\n{}", shown());
    assert!(took <= TIME, "{target}: {took:?} for\n{}", shown());
    (took, memory)
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let nanos = u32::try_from(time.tv_nsec).unwrap_or(0);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanos)
}
