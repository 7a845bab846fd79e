//! Which servers are read from.

use crate::clock::{Clock, ManualClock};

use super::super::vitals::{check_skew, replicas_online, skew};
use super::*;
use crate::domain::time::Timestamp;

const SOON: Duration = Duration::from_secs(4);

#[test]
fn what_lies_between_question_and_answer_is_no_skew() {
    let at = Timestamp::from_millis;
    assert_eq!(skew(100, at(100), at(100)), 0);
    assert_eq!(skew(150, at(100), at(200)), 0);
    assert_eq!(skew(90, at(100), at(200)), -10);
    assert_eq!(skew(230, at(100), at(200)), 30);
    let bound = Duration::from_secs(2);
    assert!(check_skew(2000, bound).is_ok() && check_skew(-2000, bound).is_ok());
    let apart = StoreFault::ClockSkew(Duration::from_millis(2001));
    assert_eq!(check_skew(2001, bound), Err(apart.clone()));
    assert_eq!(check_skew(-2001, bound), Err(apart));
    assert!(check_skew(i64::MIN, bound).is_err() && check_skew(i64::MAX, bound).is_err());
}

#[test]
fn only_replicas_that_are_online_and_answered_lately_count() {
    let text = "# Replication\r\nrole:master\r\nconnected_slaves:5\r\n\
        slave0:ip=127.0.0.1,port=1,state=online,offset=14,lag=0\r\n\
        slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=0\r\n\
        slave2:ip=127.0.0.1,port=3,state=online,offset=14,lag=11\r\n\
        slave3:ip=127.0.0.1,port=4,state=online,offset=14,lag=10\r\n\
        slave4:ip=127.0.0.1,port=5,state=online,offset=14\r\n\
        slave_repl_offset:state=online,lag=0\r\n";
    let reply = |text: &str| {
        let reply = format!("${}\r\n{text}\r\n", text.len());
        replicas_online(super::super::codec::Parts::new(reply.into()), Duration::from_secs(10))
    };
    assert_eq!(reply(text), Ok(2));
    assert!(reply("# Server\r\n").is_err());
}

#[test]
fn a_replica_is_not_read_from() {
    let primary = Server::redis();
    let replica = Server::redis();
    replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
    on_core(async {
        let source = source(config(replica.port));
        let answer = live(&source, 0).await;
        assert!(says(&answer, "not a primary"), "{answer:?}");
    });
}

#[test]
fn a_primary_that_is_demoted_is_refused_on_the_open_connection_and_serves_again_later() {
    let (primary, other) = (Server::redis(), Server::redis());
    fill(&primary, 1);
    on_core(async {
        let source = source(config(primary.port));
        assert!(is_of(&live(&source, 0).await.unwrap(), 0));
        primary.ask(&["REPLICAOF", "127.0.0.1", &other.port.to_string()]);
        until(&source, Duration::from_secs(3), |answer| says(answer, "not a primary")).await;
        primary.ask(&["REPLICAOF", "NO", "ONE"]);
        until(&source, SOON, Result::is_ok).await;
    });
}

#[test]
fn a_primary_without_the_replicas_it_should_have_is_refused() {
    let primary = Server::redis();
    let mut replica = Server::redis();
    fill(&primary, 1);
    on_core(async {
        let source = source(RedisConfig { replicas: 1, ..config(primary.port) });
        let answer = live(&source, 0).await;
        assert!(says(&answer, "lost its replicas"), "{answer:?}");
        replica.ask(&["REPLICAOF", "127.0.0.1", &primary.port.to_string()]);
        until(&source, Duration::from_secs(20), Result::is_ok).await;
        replica.kill();
        until(&source, SOON, |answer| says(answer, "lost its replicas")).await;
    });
}

#[test]
fn a_primary_that_lost_the_replicas_it_had_is_refused_where_another_may_take_over() {
    let primary = Server::redis();
    fill(&primary, 1);
    on_core(async {
        let config = RedisConfig { refuse_lost_replicas: true, ..config(primary.port) };
        let source = source(config);
        // It never had any: it may have become the primary just now.
        assert!(is_of(&live(&source, 0).await.unwrap(), 0));
        let mut replica = primary.replica(&[]);
        // Until it was seen.
        let asked = |server: &Server| server.ask(&["INFO", "commandstats"]);
        let rounds = |server: &Server| calls_of(&asked(server), "role");
        let before = rounds(&primary);
        until(&source, SOON, |_| rounds(&primary) >= before + 2).await;
        replica.kill();
        until(&source, SOON, |answer| says(answer, "lost its replicas")).await;
    });
}

fn calls_of(stats: &str, command: &str) -> u64 {
    let line =
        stats.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
    let number = line.and_then(|rest| rest.split(',').next());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[test]
fn the_login_is_said_first_and_a_wrong_one_is_refused() {
    let server = Server::start(
        super::super::super::servers::Program::Redis,
        &["--user", "gate", "on", ">secret", "~*", "&*", "+@all", "--requirepass", "other"],
    );
    let login = |name: Option<&str>, password: Option<&str>| RedisLogin {
        username: name.map(Into::into),
        password: password.map(Into::into),
    };
    let with = |login: RedisLogin| source(RedisConfig { login, ..config(server.port) });
    on_core(async {
        for login in [login(Some("gate"), Some("secret")), login(None, Some("other"))] {
            live(&with(login), 0).await.unwrap();
        }
        for (login, text) in [
            (login(None, None), "NOAUTH"),
            (login(None, Some("secret")), "WRONGPASS"),
            (login(Some("gate"), Some("other")), "WRONGPASS"),
        ] {
            let answer = live(&with(login), 0).await;
            assert!(says(&answer, text), "{text}: {answer:?}");
            assert!(!says(&answer, "secret") && !says(&answer, "other"), "{answer:?}");
        }
    });
}

#[test]
fn the_database_is_chosen() {
    let server = Server::redis();
    fill(&server, 1);
    on_core(async {
        let source = source(RedisConfig { database: 3, ..config(server.port) });
        assert_eq!(live(&source, 0).await.unwrap().live, None);
        server.ask(&["SWAPDB", "0", "3"]);
        assert!(is_of(&live(&source, 0).await.unwrap(), 0));
    });
}

#[test]
fn what_the_user_may_not_do_is_refused_as_such() {
    let server = Server::redis();
    fill(&server, 1);
    server.ask(&["ACL", "SETUSER", "gate", "on", ">x", "~*", "+@all", "-mget"]);
    server.ask(&["ACL", "SETUSER", "blind", "on", ">x", "~*", "+@all", "-role"]);
    let with = |name: &str| {
        let login = RedisLogin { username: Some(name.into()), password: Some("x".into()) };
        source(RedisConfig { login, ..config(server.port) })
    };
    on_core(async {
        let gate = with("gate");
        let answer = live(&gate, 0).await;
        assert!(says(&answer, "NOPERM"), "{answer:?}");
        assert!(gate.one(P, &subject(0)).await.unwrap().is_some());
        let answer = live(&with("blind"), 0).await;
        assert!(says(&answer, "to ROLE the server answered NOPERM"), "{answer:?}");
    });
}

#[test]
fn a_clock_that_is_too_far_off_refuses_until_it_is_right_again() {
    let server = Server::redis();
    fill(&server, 1);
    on_core(async {
        let now = SystemClock.now();
        let clock = ManualClock::at(now.plus(Duration::from_secs(3600)));
        let mut shared = shared(config(server.port));
        shared.clock = clock.clone();
        shared.options.clock_skew = Duration::from_secs(30);
        let source = HotSource::new(Arc::new(shared));
        match live(&source, 0).await {
            Err(StoreFault::ClockSkew(apart)) => {
                assert!((3590..=3600).contains(&apart.as_secs()), "{apart:?}");
            }
            other => panic!("{other:?}"),
        }
        assert!(source.shared.health.skew().unwrap() < -3_590_000);
        clock.set(SystemClock.now());
        until(&source, SOON, Result::is_ok).await;
        clock.set(Timestamp::from_millis(now.millis() - 3_600_000));
        until(&source, SOON, |answer| matches!(answer, Err(StoreFault::ClockSkew(_)))).await;
    });
}
