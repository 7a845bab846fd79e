//! What is read from a real server.

use std::rc::Rc;

use super::*;

#[test]
fn values_are_read_as_they_are() {
    let server = Server::redis();
    fill(&server, 3);
    server.ask(&["XADD", keys::events(P).as_str(), "9-0", "c", &"0f".repeat(16), "e0", "x"]);
    server.ask(&["LPUSH", subject(8).as_str(), "of another type"]);
    on_core(async {
        let source = source(config(server.port));
        let raw = live(&source, 2).await.unwrap();
        assert_eq!(raw.head.as_deref(), Some(&b"the head"[..]));
        assert_eq!(raw.markers.as_deref(), Some(&b"the markers"[..]));
        assert!(is_of(&raw, 2));
        assert_eq!(live(&source, 3).await.unwrap().live, None);
        assert_eq!(live(&source, 8).await.unwrap().live, None);
        let other = source.live(Partition(8), &subject(0)).await.unwrap();
        assert_eq!((other.head, other.markers), (None, None));
        assert!(source.one(P, &subject(1)).await.unwrap().is_some());
        assert_eq!(source.one(P, &subject(4)).await.unwrap(), None);
        assert!(source.one(P, &subject(8)).await.is_err());
        assert_eq!(source.commit_at(P, 9).await.unwrap(), Some(CommitId([15; 16])));
        assert_eq!(source.commit_at(P, 8).await.unwrap(), None);
        assert_eq!(source.shared.health.skew(), Some(0));
        let refused: Vec<_> =
            source.shared.health.refusals().filter(|(_, count)| *count > 0).collect();
        assert_eq!(refused, [(Refusal::WrongType, 1)]);
    });
}

#[test]
fn large_values_come_whole() {
    let server = Server::redis();
    server.ask(&["SETRANGE", subject(0).as_str(), "1048575", "x"]);
    server.ask(&["SETRANGE", subject(1).as_str(), "1048576", "x"]);
    on_core(async {
        let source = source(config(server.port));
        assert_eq!(live(&source, 0).await.unwrap().live.unwrap().len(), 1 << 20);
        // A byte more is no value of ours.
        let answer = live(&source, 1).await;
        assert!(says(&answer, "not a reply"), "{answer:?}");
        until(&source, Duration::from_secs(2), Result::is_ok).await;
    });
}

#[test]
fn reads_of_one_wake_up_are_one_batch() {
    let server = Server::redis();
    fill(&server, 200);
    on_core(async {
        let source = source(config(server.port));
        live(&source, 0).await.unwrap();
        server.ask(&["CONFIG", "RESETSTAT"]);
        let mut tasks = Vec::new();
        for number in 0..200 {
            let source = source.clone();
            tasks.push(tokio::task::spawn_local(async move {
                assert!(is_of(&live(&source, number).await.unwrap(), number));
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let statistics = server.ask(&["INFO", "commandstats"]);
        let calls = |name: &str| -> u64 {
            let line = statistics.split(&format!("cmdstat_{name}:calls=")).nth(1);
            line.map_or(0, |line| line.split(',').next().unwrap().parse().unwrap())
        };
        assert_eq!(calls("mget"), 200);
        // One for the reads, and one for every second's ROLE and TIME.
        assert_eq!(calls("echo"), 1 + calls("role"), "{statistics}");
    });
}

/// Random moments without a source of randomness.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides).unwrap()
    }
}

#[test]
fn clients_that_hang_up_never_get_anyone_an_answer_of_another_subject() {
    const WORKERS: usize = 50;
    let server = Server::redis();
    fill(&server, 100);
    let reads = scale(10_000, 100_000) / WORKERS;
    on_core(async {
        let source = source(config(server.port));
        live(&source, 0).await.unwrap();
        let (cancelled, answered) = (Rc::new(RefCell::new(0)), Rc::new(RefCell::new(0)));
        let mut tasks = Vec::new();
        for worker in 0..WORKERS {
            let (source, mut dice) = (source.clone(), Dice(worker as u64 + 1));
            let (cancelled, answered) = (Rc::clone(&cancelled), Rc::clone(&answered));
            tasks.push(tokio::task::spawn_local(async move {
                for _ in 0..reads {
                    let (number, patience) = (dice.roll(100), dice.roll(12));
                    let hang_up = async {
                        for _ in 0..patience {
                            tokio::task::yield_now().await;
                        }
                    };
                    tokio::select! {
                        biased;
                        raw = live(&source, number) => {
                            assert!(is_of(&raw.unwrap(), number));
                            *answered.borrow_mut() += 1;
                        }
                        () = hang_up => *cancelled.borrow_mut() += 1,
                    }
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let (cancelled, answered) = (*cancelled.borrow(), *answered.borrow());
        assert_eq!(cancelled + answered, reads * WORKERS);
        assert!(cancelled > 100 && answered > 100, "{cancelled} hung up, {answered} did not");
        assert!(is_of(&live(&source, 1).await.unwrap(), 1));
    });
}

#[test]
fn more_reads_than_a_connection_may_have_are_refused() {
    let server = Server::redis();
    on_core(async {
        let source = source(config(server.port));
        live(&source, 0).await.unwrap();
        let link = source.link_to(P).unwrap();
        let (key, deadline) = (subject(0), Instant::now() + Duration::from_secs(5));
        let mut reads = Vec::new();
        for _ in 0..super::super::queue::MOST_READS {
            reads.push(link.read(&Ask::One(&key), Instant::now(), deadline).unwrap());
        }
        assert_eq!(live(&source, 0).await.unwrap_err(), StoreFault::Overloaded);
        for read in reads {
            assert!(read.await.is_ok());
        }
        live(&source, 0).await.unwrap();
    });
}

#[test]
fn connections_end_with_the_last_reader() {
    let server = Server::redis();
    on_core(async {
        let source = source(config(server.port));
        let other = source.clone();
        live(&source, 0).await.unwrap();
        drop(source);
        live(&other, 0).await.unwrap();
        drop(other);
        let start = Instant::now();
        // One is the question's own.
        while !server.ask(&["INFO", "clients"]).contains("connected_clients:1\r\n") {
            assert!(start.elapsed() < Duration::from_secs(5));
            sleep(Duration::from_millis(5)).await;
        }
    });
}

#[test]
fn connections_follow_the_table_of_nodes() {
    let server = Server::redis();
    on_core(async {
        let source = source(config(server.port));
        live(&source, 0).await.unwrap();
        let before = source.link_to(P).unwrap();
        let mut table = Table::clone(&source.shared.routes.table());
        let other = RedisAddress { host: "127.0.0.1".into(), port: 1 };
        table.nodes.insert(0, other.clone());
        source.lines.borrow_mut().follow(&table);
        let kept = source.lines.borrow().of.iter().flatten().next().map(|line| line.link.clone());
        assert!(Rc::ptr_eq(&kept.unwrap(), &before));
        table.nodes = vec![other];
        let now = Instant::now();
        let read = before.read(&Ask::One(&subject(0)), now, now + Duration::from_secs(5));
        source.lines.borrow_mut().follow(&table);
        // What was under way on it is not left hanging.
        let failed = read.unwrap().await.unwrap_err();
        assert!(matches!(failed, Failed::Fault(StoreFault::Unreachable(_))), "{failed:?}");
        assert!(before.is_up(Instant::now()).is_err());
        // The real table has it still.
        live(&source, 0).await.unwrap();
    });
}
