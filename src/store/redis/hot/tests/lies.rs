//! Streams out of step with what was asked: everything on them fails, and nobody gets a wrong
//! value.

use std::cell::Cell;
use std::rc::Rc;

use super::fake::{Batch, Fake, all, bulk};
use super::*;

const READS: usize = 5;

/// Two batches of reads, of which the script spoils the second; all of them fail, or all from the
/// spoiled place on, and the next connection serves.
async fn is_cut(spoil: impl Fn(Batch) -> Option<Vec<u8>> + 'static, why: &str) {
    let spoiling = Rc::new(Cell::new(false));
    let script = {
        let spoiling = Rc::clone(&spoiling);
        move |batch: Batch| if spoiling.replace(false) { spoil(batch) } else { Some(all(&batch)) }
    };
    let fake = Fake::start(script).await;
    let source = source(config(fake.port));
    assert!(is_of(&live(&source, 0).await.unwrap(), 0));
    spoiling.set(true);
    let mut answers = Vec::new();
    for number in 0..READS {
        let source = source.clone();
        answers.push(tokio::task::spawn_local(async move { live(&source, number).await }));
    }
    for (number, answer) in answers.into_iter().enumerate() {
        match answer.await.unwrap() {
            Ok(raw) => panic!("{why}: {number} was answered {raw:?}"),
            Err(fault) => assert!(fault.to_string().contains(why), "{why}: {fault}"),
        }
    }
    until(&source, Duration::from_secs(3), |answer| matches!(answer, Ok(raw) if is_of(raw, 0)))
        .await;
    assert_eq!(fake.connections.get(), 2, "{why}");
}

#[test]
fn an_echo_that_is_missing_or_another_cuts_the_connection() {
    on_core(async {
        is_cut(|batch| Some(all(&batch[1..].to_vec())), "out of step").await;
        is_cut(
            |batch| Some([bulk("0123456789abcdef").into_bytes(), all(&batch)].concat()),
            "out of step",
        )
        .await;
        let swapped = |mut batch: Batch| {
            batch.swap(0, 1);
            Some(all(&batch))
        };
        is_cut(swapped, "out of step").await;
        let last = |mut batch: Batch| {
            batch.rotate_left(1);
            Some(all(&batch))
        };
        is_cut(last, "out of step").await;
        let upper = |mut batch: Batch| {
            batch[0].1 = bulk(&"A".repeat(16)).into_bytes();
            Some(all(&batch))
        };
        is_cut(upper, "out of step").await;
    });
}

#[test]
fn replies_of_an_earlier_batch_cut_the_connection() {
    on_core(async {
        let earlier: Rc<RefCell<Vec<u8>>> = Rc::default();
        // A whole batch, answered again instead of the next one.
        let fake = {
            let earlier = Rc::clone(&earlier);
            Fake::start(move |batch| {
                let mut earlier = earlier.borrow_mut();
                if earlier.is_empty() {
                    *earlier = all(&batch);
                }
                Some(earlier.clone())
            })
            .await
        };
        let source = source(config(fake.port));
        assert!(is_of(&live(&source, 1).await.unwrap(), 1));
        let answer = live(&source, 2).await;
        assert!(says(&answer, "out of step"), "{answer:?}");
    });
}

#[test]
fn replies_of_another_shape_cut_the_connection() {
    on_core(async {
        for reply in ["+OK\r\n", "$-1\r\n", ":1\r\n", "*2\r\n$-1\r\n$-1\r\n", "*0\r\n"] {
            let other = move |mut batch: Batch| {
                batch[1].1 = reply.into();
                Some(all(&batch))
            };
            is_cut(other, "another shape").await;
        }
    });
}

#[test]
fn garbage_cuts_the_connection() {
    on_core(async {
        for garbage in ["HTTP/1.1 400 Bad Request\r\n\r\n", "%1\r\n", "$9999999999\r\n", "*-1\r\n"]
        {
            let other = move |mut batch: Batch| {
                batch[1].1 = garbage.into();
                Some(all(&batch))
            };
            is_cut(other, "not a reply").await;
        }
    });
}

#[test]
fn a_stream_that_ends_within_a_reply_fails_what_was_asked() {
    on_core(async {
        is_cut(|_| None, "closed the connection").await;
        let half = |batch: Batch| {
            let honest = all(&batch);
            Some(honest[..40].to_vec())
        };
        is_cut(half, "silent").await;
    });
}

#[test]
fn a_reply_too_many_cuts_the_connection() {
    on_core(async {
        let fake = Fake::start(|batch| {
            let last = batch.last().unwrap().1.clone();
            Some([all(&batch), last].concat())
        })
        .await;
        let source = source(config(fake.port));
        assert!(is_of(&live(&source, 0).await.unwrap(), 0));
        for number in 1..20 {
            if let Ok(raw) = live(&source, number).await {
                assert!(is_of(&raw, number));
            }
        }
        until(&source, Duration::from_secs(3), |_| fake.connections.get() > 1).await;
    });
}

#[test]
fn a_reply_after_its_deadline_is_nobodys() {
    on_core(async {
        let held: Rc<RefCell<Vec<u8>>> = Rc::default();
        let fake = {
            let held = Rc::clone(&held);
            Fake::start(move |batch| {
                let mut held = held.borrow_mut();
                let reply = [std::mem::take(&mut *held), all(&batch)].concat();
                if batch.iter().any(|(command, _)| command.get(3) == Some(&subject(3).to_string()))
                {
                    *held = reply;
                    return Some(Vec::new());
                }
                Some(reply)
            })
            .await
        };
        let timeout = Duration::from_millis(250);
        let source = source(RedisConfig { timeout, ..config(fake.port) });
        until(&source, Duration::from_secs(3), Result::is_ok).await;
        let start = Instant::now();
        assert_eq!(live(&source, 3).await.unwrap_err(), StoreFault::Deadline);
        let took = start.elapsed();
        assert!(took >= timeout && took < Duration::from_millis(400), "{took:?}");
        for number in [4, 5, 6] {
            assert!(is_of(&live(&source, number).await.unwrap(), number));
        }
        assert_eq!(fake.connections.get(), 1);
    });
}

#[test]
fn a_redirection_is_followed_once_within_the_deadline() {
    on_core(async {
        for refusal in ["MOVED 1 127.0.0.1:1", "ASK 1 127.0.0.1:1", "TRYAGAIN x", "CLUSTERDOWN x"] {
            let times = Rc::new(Cell::new(1));
            let script = {
                let times = Rc::clone(&times);
                move |mut batch: Batch| {
                    if times.get() > 0 {
                        times.set(times.get() - 1);
                        batch[1].1 = format!("-{refusal}\r\n").into();
                    }
                    Some(all(&batch))
                }
            };
            let fake = Fake::start(script).await;
            let source = source(config(fake.port));
            assert!(is_of(&live(&source, 1).await.unwrap(), 1), "{refusal}");
            assert_eq!(fake.reads.get(), 2);
            times.set(2);
            let answer = live(&source, 1).await;
            let word = refusal.split(' ').next().unwrap();
            assert!(says(&answer, word), "{answer:?}");
            assert_eq!(fake.reads.get(), 4);
            assert!(is_of(&live(&source, 1).await.unwrap(), 1), "{refusal}");
            assert_eq!(fake.connections.get(), 1);
        }
    });
}

#[test]
fn a_node_that_turned_out_to_be_a_replica_is_left() {
    on_core(async {
        for word in ["READONLY", "MASTERDOWN"] {
            let refusing = move |mut batch: Batch| {
                for (_, reply) in &mut batch[1..] {
                    *reply = format!("-{word} x\r\n").into();
                }
                Some(all(&batch))
            };
            is_cut(refusing, word).await;
        }
    });
}
