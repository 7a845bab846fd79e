//! Hostile and split bytes.

use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

use super::super::super::super::backend::RawLive;
use super::super::super::reply::Refusal;
use super::super::ask::{Answer, Shape, write_command};
use super::super::codec::{Broken, LONGEST_VALUE, Parts, measure};
use crate::domain::ids::CommitId;

type Found = Result<Result<Answer, Refusal>, Broken>;

fn answer(shape: Shape, reply: &[u8]) -> Found {
    assert_eq!(measure(reply), Ok(Some(reply.len())), "{:?}", String::from_utf8_lossy(reply));
    shape.answer(Parts::new(Bytes::copy_from_slice(reply)))
}

#[test]
fn three_values_answer_a_live_read_and_nothing_else_does() {
    let reply = b"*3\r\n$1\r\nh\r\n$-1\r\n$0\r\n\r\n";
    let Ok(Ok(Answer::Live(RawLive { head, markers, live }))) = answer(Shape::Live, reply) else {
        panic!("three values");
    };
    assert_eq!(head.as_deref(), Some(&b"h"[..]));
    assert_eq!((markers, live), (None, Some(Bytes::new())));
    let others: [&[u8]; 8] = [
        b"*2\r\n$1\r\nh\r\n$-1\r\n",
        b"*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n",
        b"*3\r\n$-1\r\n$-1\r\n:1\r\n",
        b"*3\r\n$-1\r\n$-1\r\n-ERR no\r\n",
        b"*3\r\n$-1\r\n$-1\r\n*0\r\n",
        b"$-1\r\n",
        b"+OK\r\n",
        b":3\r\n",
    ];
    for reply in others {
        assert!(answer(Shape::Live, reply).is_err(), "{:?}", String::from_utf8_lossy(reply));
    }
    let refused = answer(Shape::Live, b"-LOADING the data\r\n");
    assert!(matches!(refused, Ok(Err(Refusal::Loading))));
}

#[test]
fn one_value_answers_a_single_read_and_nothing_else_does() {
    assert!(matches!(answer(Shape::One, b"$-1\r\n"), Ok(Ok(Answer::One(None)))));
    let found = answer(Shape::One, b"$2\r\n\r\n\r\n");
    assert!(matches!(found, Ok(Ok(Answer::One(Some(value)))) if value == b"\r\n"[..]));
    for reply in [&b"*1\r\n$1\r\na\r\n"[..], b"+a\r\n", b":1\r\n"] {
        assert!(answer(Shape::One, reply).is_err());
    }
}

#[test]
fn an_entry_of_the_log_shows_its_commit() {
    let entry = |id: &str, fields: &[&str]| {
        let mut reply = b"*1\r\n*2\r\n".to_vec();
        reply.extend(format!("${}\r\n{id}\r\n", id.len()).bytes());
        let fields: Vec<&[u8]> = fields.iter().map(|field| field.as_bytes()).collect();
        write_command(&mut reply, &fields);
        answer(Shape::CommitAt(5), &reply)
    };
    let hex = "00112233445566778899aabbccddeeff";
    let id = CommitId(u128::from_str_radix(hex, 16).unwrap().to_be_bytes());
    let commit = |found: Found| match found {
        Ok(Ok(Answer::CommitAt(commit))) => commit,
        other => panic!("{other:?}"),
    };
    assert_eq!(commit(entry("5-0", &["c", hex])), Some(id));
    assert_eq!(commit(entry("5-0", &["c", hex, "e0", "x", "e1", "y"])), Some(id));
    assert_eq!(commit(answer(Shape::CommitAt(5), b"*0\r\n")), None);
    // Not of the commit that is remembered, whatever it is.
    for value in ["", "00", &hex.to_uppercase(), &hex.replace('0', "g"), &format!("{hex}0")] {
        assert_eq!(commit(entry("5-0", &["c", value])), None, "{value}");
    }
    assert_eq!(commit(entry("5-0", &["e0", hex, "c", hex])), None);
    // Not an answer to this question at all.
    assert!(entry("6-0", &["c", hex]).is_err());
    assert!(entry("5-0", &["c"]).is_err());
    assert!(entry("5-0", &[]).is_err());
    assert!(answer(Shape::CommitAt(5), b"*2\r\n*0\r\n*0\r\n").is_err());
}

#[test]
fn what_is_out_of_bounds_is_refused_before_it_is_there() {
    let too_long = format!("${}\r\n", LONGEST_VALUE + 1);
    let hopeless: [&[u8]; 18] = [
        too_long.as_bytes(),
        b"$-2\r\n",
        b"$01\r\n",
        b"$+1\r\n",
        b"$-0\r\n",
        b"$\r\n",
        b"$ 1\r\n",
        b"$99999999999999999999\r\n",
        b"*-1\r\n",
        b"*16385\r\n",
        b"*1\r\n*1\r\n*1\r\n*1\r\n",
        b"$1\r\naXY",
        b"$1\rX",
        b":1x\r\n",
        b"x",
        b"\r\n",
        b"$123456789012345678901234567890",
        b"_\r\n",
    ];
    for bytes in hopeless {
        assert_eq!(measure(bytes), Err(Broken), "{:?}", String::from_utf8_lossy(bytes));
    }
    assert_eq!(measure(&[b'+'; 5000]), Err(Broken));
    assert_eq!(measure(b"*1\r\n*16383\r\n"), Err(Broken));
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"*3\r\n".to_vec()),
        Just(b"*1\r\n".to_vec()),
        Just(b"*2\r\n".to_vec()),
        Just(b"$-1\r\n".to_vec()),
        Just(b"$3\r\nabc\r\n".to_vec()),
        Just(b"$3\r\n5-0\r\n".to_vec()),
        Just(b":7\r\n".to_vec()),
        Just(b"-ERR x\r\n".to_vec()),
        Just(b"+OK\r\n".to_vec()),
        proptest::collection::vec(any::<u8>(), 0..12),
    ];
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_bytes_are_measured_without_harm_and_stay_inside(bytes in pieces()) {
        let mut rest = &bytes[..];
        while let Ok(Some(length)) = measure(rest) {
            prop_assert!(length > 0 && length <= rest.len());
            for shape in [Shape::Live, Shape::One, Shape::CommitAt(5)] {
                let reply = Bytes::copy_from_slice(&rest[..length]);
                if let Ok(Ok(Answer::Live(_))) = shape.answer(Parts::new(reply)) {
                    prop_assert_eq!(shape, Shape::Live);
                    prop_assert!(rest.starts_with(b"*3\r\n"));
                }
            }
            rest = &rest[length..];
        }
    }

    #[test]
    fn parts_of_unmeasured_bytes_do_no_harm(bytes in pieces()) {
        for shape in [Shape::Live, Shape::One, Shape::CommitAt(5)] {
            let _any = shape.answer(Parts::new(Bytes::copy_from_slice(&bytes)));
        }
    }

    #[test]
    fn replies_are_the_same_however_they_are_split(
        values in proptest::collection::vec(
            proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)), 3..30),
        cuts in proptest::collection::vec(1_usize..9, 1..9),
    ) {
        let mut wire = Vec::new();
        let values: Vec<_> = values.chunks_exact(3).collect();
        for three in &values {
            wire.extend(b"*3\r\n");
            for value in *three {
                match value {
                    None => wire.extend(b"$-1\r\n"),
                    Some(value) => {
                        wire.extend(format!("${}\r\n", value.len()).bytes());
                        wire.extend(value);
                        wire.extend(b"\r\n");
                    }
                }
            }
        }
        let (mut buffer, mut found, mut rest) = (BytesMut::new(), Vec::new(), &wire[..]);
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            buffer.extend_from_slice(now);
            rest = later;
            while let Some(length) = measure(&buffer).unwrap() {
                let reply = buffer.split_to(length).freeze();
                let Ok(Ok(Answer::Live(raw))) = Shape::Live.answer(Parts::new(reply)) else {
                    panic!("a live value");
                };
                found.push([raw.head, raw.markers, raw.live]);
            }
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(found.len(), values.len());
        for (found, sent) in found.iter().zip(&values) {
            for (found, sent) in found.iter().zip(*sent) {
                prop_assert_eq!(found.as_deref(), sent.as_deref());
            }
        }
    }
}
