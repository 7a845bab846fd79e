//! The machine, and what processes use of it.

use std::fs;
use std::process::Command;

/// CPU time of this process so far, in seconds.
pub fn own_cpu() -> f64 {
    cpu("self")
}

/// CPU time of all threads of a process so far, in seconds: the scheduler's nanoseconds.
pub fn cpu(process: &str) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("a running process");
    let nanos = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    std::time::Duration::from_nanos(nanos.sum()).as_secs_f64()
}

pub fn about() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("unknown", |it| it.trim_start_matches(['\t', ' ', ':']));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().unwrap_or_default().to_owned();
    format!("{model}, {cores} cores, load average at start {load}")
}

pub fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    text.ok().filter(|it| !it.is_empty()).unwrap_or_else(|| "unknown".to_owned())
}
