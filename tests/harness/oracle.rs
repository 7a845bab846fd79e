//! The sink oracle: each request the tool saw has exactly one ALLOW record, earlier by its own time
//! stamp, with the same method, host, target, subject and grants.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use serde_json::Value;

use super::upstream::Seen;

/// What identifies an exchange on both sides.
type Key = [String; 5];

pub fn check(seen: &[Seen], audit: &Path) {
    let mut allowed: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    each_allowed(audit, |event| {
        let at = millis(event["time"].as_str().expect("a time"));
        allowed.entry(key_of_record(&event["data"])).or_default().push(at);
    });
    let mut forwarded: BTreeMap<Key, Vec<u64>> = BTreeMap::new();
    for request in seen {
        forwarded.entry(key_of_request(request)).or_default().push(request.at_millis);
    }
    for (key, mut times) in forwarded {
        let mut records = allowed.remove(&key).unwrap_or_default();
        let (seen, recorded) = (times.len(), records.len());
        assert_eq!(seen, recorded, "{key:?}: {seen} seen, {recorded} ALLOW records");
        times.sort_unstable();
        records.sort_unstable();
        for (at, record) in times.iter().zip(&records) {
            assert!(record <= at, "{key:?} was seen at {at}, before its record of {record}");
        }
    }
}

/// Every event of a sink file. A line that a kill tore is skipped, as every reader has to: its
/// event follows again, whole.
pub fn events(audit: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(audit).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Every ALLOW record of a sink file that may be too large to hold at once.
pub fn each_allowed(audit: &Path, mut look: impl FnMut(&Value)) {
    const KIND: &str = "dev.tidegate.decision.allowed.v1";
    let Ok(file) = File::open(audit) else { return };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let kind = memchr::memmem::Finder::new(KIND);
    for line in lines.filter(|line| kind.find(line).is_some()) {
        if let Ok(event) = serde_json::from_slice::<Value>(&line)
            && event["type"] == KIND
        {
            look(&event);
        }
    }
}

fn millis(time: &str) -> u64 {
    tidegate::iso8601::parse_time(time).expect("a time").millis()
}

fn key_of_record(data: &Value) -> Key {
    let text = |name: &str| data[name].as_str().unwrap_or_default().to_owned();
    let grants = data["grants"].as_array().cloned().unwrap_or_default();
    let grants: Vec<&str> = grants.iter().filter_map(Value::as_str).collect();
    let path = match data["upstream_path"].as_str() {
        Some(path) => path.to_owned(),
        None => text("target"),
    };
    [text("method"), text("host"), path, text("subject"), grants.join(",")]
}

fn key_of_request(seen: &Seen) -> Key {
    let header = |name: &str| seen.header(name).unwrap_or_default().to_owned();
    let path = seen.target.split('?').next().unwrap_or_default().to_owned();
    [
        seen.method.clone(),
        header("host"),
        path,
        header("tidegate-subject"),
        header("tidegate-grants"),
    ]
}
