//! Whom the Sentinels name (redis.io, "High availability with Redis Sentinel").

use redis::{Cmd, Value};

use crate::config::RedisAddress;

use super::ask::{list, text};

/// What one Sentinel says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opinion {
    pub primary: RedisAddress,
    /// Grows with every fail-over.
    pub epoch: u64,
}

/// The two questions: who it is now, also in the middle of a fail-over, and since which fail-over.
#[must_use]
pub fn questions(master: &str) -> [Cmd; 2] {
    let ask = |what: &str| redis::cmd("SENTINEL").arg(what).arg(master).to_owned();
    [ask("GET-MASTER-ADDR-BY-NAME"), ask("MASTER")]
}

/// The answers to [`questions`]; `None` when it does not know, or says something strange.
#[must_use]
pub fn opinion(answers: &[Value]) -> Option<Opinion> {
    let [place, facts] = answers else { return None };
    let [host, port] = list(place)? else { return None };
    let port = text(port)?.parse().ok().filter(|&port| port != 0)?;
    let host = text(host).filter(|host| !host.is_empty())?;
    let facts = list(facts)?;
    let at = facts.chunks(2).find(|pair| pair.first().and_then(text) == Some("config-epoch"))?;
    let epoch = text(at.get(1)?)?.parse().ok()?;
    Some(Opinion { primary: RedisAddress { host: host.into(), port }, epoch })
}

/// Whom to try, best first: named since the latest fail-over, then by the most of `listed`
/// Sentinels. A fail-over before the one `seen` counts only when every one of them names it (they were
/// set up anew): those that have not heard of the latest one yet, be they most of them, must not lead
/// us back to an old primary.
#[must_use]
pub fn candidates(opinions: &[Opinion], seen: u64, listed: usize) -> Vec<Opinion> {
    let mut ranked: Vec<(u64, usize, &Opinion)> = Vec::new();
    for opinion in opinions {
        match ranked.iter_mut().find(|(_, _, known)| *known == opinion) {
            Some((_, votes, _)) => *votes += 1,
            None => ranked.push((opinion.epoch, 1, opinion)),
        }
    }
    ranked.retain(|(epoch, votes, _)| *epoch >= seen || *votes >= listed);
    ranked.sort_by_key(|(epoch, votes, _)| std::cmp::Reverse((*epoch, *votes)));
    ranked.into_iter().map(|(_, _, opinion)| opinion.clone()).collect()
}

/// Whether the answer to `ROLE` is a primary's.
#[must_use]
pub fn is_primary(answers: &[Value]) -> bool {
    let [answer] = answers else { return false };
    list(answer).and_then(<[Value]>::first).and_then(text) == Some("master")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(port: u16, epoch: u64) -> Opinion {
        Opinion { primary: RedisAddress { host: "h".into(), port }, epoch }
    }

    fn bulk(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    #[test]
    fn an_answer_is_an_address_and_the_fail_over_it_is_from() {
        let place = Value::Array(vec![bulk("h"), bulk("7")]);
        let facts = Value::Array(["name", "m", "config-epoch", "3"].map(bulk).to_vec());
        assert_eq!(opinion(&[place.clone(), facts.clone()]), Some(named(7, 3)));
        let strange = Value::Array(vec![bulk("h"), bulk("0")]);
        for answers in [
            vec![],
            vec![place.clone()],
            vec![Value::Nil, facts.clone()],
            vec![strange, facts],
            vec![place, Value::Array(vec![bulk("config-epoch")])],
        ] {
            assert_eq!(opinion(&answers), None, "{answers:?}");
        }
    }

    #[test]
    fn the_latest_fail_over_counts_before_the_most_votes() {
        let all = [named(1, 4), named(1, 4), named(2, 5)];
        assert_eq!(candidates(&all, 4, 3), [named(2, 5), named(1, 4)]);
        let all = [named(1, 5), named(2, 5), named(2, 5)];
        assert_eq!(candidates(&all, 0, 3), [named(2, 5), named(1, 5)]);
    }

    #[test]
    fn a_sentinel_that_was_cut_off_leads_nobody_back() {
        assert_eq!(candidates(&[named(1, 4)], 5, 3), []);
        assert_eq!(candidates(&[named(1, 4), named(1, 4)], 5, 3), []);
        assert_eq!(candidates(&[named(1, 0), named(1, 0), named(1, 0)], 5, 3), [named(1, 0)]);
    }

    #[test]
    fn only_a_primary_is_a_primary() {
        let role = |word| [Value::Array(vec![bulk(word), Value::Int(0)])];
        assert!(is_primary(&role("master")));
        assert!(!is_primary(&role("slave")) && !is_primary(&role("sentinel")));
        assert!(!is_primary(&[Value::Nil]) && !is_primary(&[]));
    }
}
