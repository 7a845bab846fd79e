//! Good requests with a few bytes changed anywhere but in their mark.

use std::ops::Range;

use super::super::draft::{Draft, Fate, mark};
use super::super::rng::Rng;

const BYTES: &[u8] = b"\r\n\x00 \t:;,/\\.%#?&=\"'_-+*@0129aAzZ\x7f\x80\xff";

pub fn mutants(rng: &mut Rng, draft: &mut Draft) -> (Fate, Vec<u8>) {
    if rng.percent(30) {
        draft.field("transfer-encoding", "chunked");
        draft.without("content-length");
        draft.body = b"3\r\nabc\r\n0\r\n\r\n".to_vec();
    }
    let mut bytes = draft.bytes();
    for _ in 0..=rng.below(3) {
        let kept = places(&bytes, &mark(draft.number));
        let free = |at: &usize| !kept.iter().any(|range| range.contains(at));
        let Some(at) = (0..50).map(|_| rng.below(bytes.len())).find(free) else { break };
        match rng.below(6) {
            0 => bytes[at] = *rng.pick(BYTES),
            1 => bytes[at] ^= 1 << rng.below(8),
            2 => bytes.insert(at, *rng.pick(BYTES)),
            3 => {
                bytes.remove(at);
            }
            4 => double_line(&mut bytes, at),
            _ => {
                let other = rng.below(bytes.len());
                if free(&other) {
                    bytes.swap(at, other);
                }
            }
        }
    }
    (Fate::UNSURE, bytes)
}

/// Where the mark stands: in the target and in the request id.
fn places(bytes: &[u8], mark: &str) -> Vec<Range<usize>> {
    let starts = memchr::memmem::find_iter(bytes, mark.as_bytes());
    starts.map(|start| start..start + mark.len()).collect()
}

fn double_line(bytes: &mut Vec<u8>, at: usize) {
    let start = memchr::memrchr(b'\n', &bytes[..at]).map_or(0, |found| found + 1);
    let end = memchr::memchr(b'\n', &bytes[at..]).map_or(bytes.len(), |found| at + found + 1);
    let line = bytes[start..end].to_vec();
    bytes.splice(start..start, line);
}
