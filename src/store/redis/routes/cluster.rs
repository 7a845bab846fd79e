//! Where a Cluster keeps which slot (redis.io, "Redis cluster specification"; `CLUSTER SLOTS`).

use std::collections::BTreeMap;
use std::sync::Arc;

use redis::Value;

use crate::config::RedisAddress;
use crate::domain::ids::{Partition, PartitionCount};

use super::super::super::keys;
use super::ask::{list, text};

const SLOTS: u16 = 16_384;

/// The slot of everything in `partition`: of what stands between the braces of its keys.
#[must_use]
pub fn slot_of(partition: Partition) -> u16 {
    let key = keys::head(partition);
    let key = key.as_str();
    let tag = key.split_once('{').and_then(|(_, rest)| Some(rest.split_once('}')?.0));
    crc16(tag.unwrap_or(key).as_bytes()) % SLOTS
}

/// CRC-16/XMODEM: polynomial 0x1021, nothing reflected, beginning with 0.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ (u16::from(byte) << 8), |crc, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// What one node believes: a range of slots and the address of its primary.
struct Span {
    first: u16,
    last: u16,
    primary: RedisAddress,
}

/// The primaries, and which of them holds each partition, as `asked` told.
///
/// # Errors
/// The answer is not one, or holds no slot of ours: the node belongs to no Cluster.
pub fn table(
    answer: &Value,
    asked: &RedisAddress,
    partitions: PartitionCount,
) -> Result<(Vec<RedisAddress>, Vec<Option<u16>>), String> {
    let spans = spans(answer, asked)
        .ok_or_else(|| format!("{}:{}: strange CLUSTER SLOTS", asked.host, asked.port))?;
    let (mut nodes, mut known) = (Vec::new(), BTreeMap::new());
    let mut of = Vec::with_capacity(usize::from(partitions.get()));
    for number in 0..partitions.get() {
        let slot = slot_of(Partition(number));
        let span = spans.iter().find(|span| (span.first..=span.last).contains(&slot));
        of.push(span.and_then(|span| {
            let next = u16::try_from(nodes.len()).ok()?;
            Some(*known.entry(&span.primary).or_insert_with(|| {
                nodes.push(span.primary.clone());
                next
            }))
        }));
    }
    if nodes.is_empty() {
        return Err(format!("{}:{}: knows of no slots", asked.host, asked.port));
    }
    Ok((nodes, of))
}

fn spans(answer: &Value, asked: &RedisAddress) -> Option<Vec<Span>> {
    list(answer)?.iter().map(|entry| span(list(entry)?, asked)).collect()
}

fn span(entry: &[Value], asked: &RedisAddress) -> Option<Span> {
    let [Value::Int(first), Value::Int(last), primary, ..] = entry else { return None };
    let [host, Value::Int(port), ..] = list(primary)? else { return None };
    // No host, or one that the node does not know itself: the one that was asked.
    let host: Arc<str> = match host {
        Value::Nil => asked.host.clone(),
        host => match text(host)? {
            "" | "?" => asked.host.clone(),
            host => host.into(),
        },
    };
    let port = u16::try_from(*port).ok().filter(|&port| port != 0)?;
    let (first, last) = (u16::try_from(*first).ok()?, u16::try_from(*last).ok()?);
    Some(Span { first, last, primary: RedisAddress { host, port } })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn entry(first: i64, last: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, Value::Int(port), bulk("id"), Value::Array(vec![])]);
        Value::Array(vec![Value::Int(first), Value::Int(last), node])
    }

    fn asked() -> RedisAddress {
        RedisAddress { host: "asked".into(), port: 7 }
    }

    #[test]
    fn the_checksum_is_the_documented_one() {
        assert_eq!(crc16(b"123456789"), 0x31c3);
        assert_eq!(crc16(b""), 0);
    }

    #[test]
    fn every_partition_is_with_the_primary_of_its_slot() {
        let answer = Value::Array(vec![
            entry(0, 8191, bulk("a"), 1),
            entry(8192, 12_000, Value::Nil, 2),
            entry(12_001, 16_383, bulk("a"), 1),
        ]);
        let (nodes, of) = table(&answer, &asked(), PartitionCount::DEFAULT).expect("a table");
        assert_eq!(nodes.len(), 2);
        for (number, index) in (0..).zip(&of) {
            let node = &nodes[usize::from(index.expect("somebody"))];
            let middle = (8192..=12_000).contains(&slot_of(Partition(number)));
            assert_eq!((&*node.host, node.port), if middle { ("asked", 2) } else { ("a", 1) });
        }
    }

    #[test]
    fn slots_that_nobody_holds_have_no_node() {
        let answer = Value::Array(vec![entry(0, 8191, bulk(""), 1)]);
        let (nodes, of) = table(&answer, &asked(), PartitionCount::DEFAULT).expect("a table");
        assert_eq!(&*nodes[0].host, "asked");
        for (number, index) in (0..).zip(&of) {
            assert_eq!(index.is_some(), slot_of(Partition(number)) <= 8191);
        }
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        for answer in [
            Value::Nil,
            Value::Array(vec![]),
            Value::Array(vec![Value::Int(1)]),
            Value::Array(vec![entry(0, 16_383, bulk("a"), 0)]),
            Value::Array(vec![entry(0, 16_383, bulk("a"), 65_536)]),
            Value::Array(vec![entry(-1, 16_383, bulk("a"), 1)]),
            Value::Array(vec![entry(0, 16_383, Value::Int(1), 1)]),
        ] {
            assert!(table(&answer, &asked(), PartitionCount::DEFAULT).is_err(), "{answer:?}");
        }
    }
}
