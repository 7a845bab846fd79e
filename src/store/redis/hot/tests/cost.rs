//! What a read costs, by hand: `TIDEGATE_FULL=1 cargo nextest run cost --no-capture`.

use super::*;

#[test]
fn a_hundred_thousand_reads_are_answered_over_one_connection() {
    const AT_ONCE: usize = 64;
    let server = Server::redis();
    fill(&server, AT_ONCE);
    let rounds = scale(20, 100_000 / AT_ONCE);
    on_core(async {
        let source = source(config(server.port));
        live(&source, 0).await.unwrap();
        server.ask(&["CONFIG", "RESETSTAT"]);
        let start = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..AT_ONCE {
            let source = source.clone();
            tasks.push(tokio::task::spawn_local(async move {
                for _ in 0..rounds {
                    assert!(is_of(&live(&source, number).await.unwrap(), number));
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        let took = start.elapsed();
        let statistics = server.ask(&["INFO", "all"]);
        let line = |name: &str| statistics.lines().find(|line| line.starts_with(name));
        println!("{} reads in {took:?}", AT_ONCE * rounds);
        for name in
            ["cmdstat_mget", "cmdstat_echo", "total_reads_processed", "total_writes_processed"]
        {
            println!("{:?}", line(name));
        }
        assert_eq!(source.lines.borrow().of.len(), 1);
    });
}
