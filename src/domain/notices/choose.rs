//! Which members of some groups are told.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::hash::sha256;
use super::super::ids::Seed;
use super::super::people::{Member, People};
use super::super::rules::Notify;
use super::super::subject::plain_mail;

/// The members of the groups, in their order and that of the directory, each person once; and the
/// groups that the directory does not know.
pub(super) fn pool<'p>(
    people: &'p People,
    groups: &[Arc<str>],
) -> (Vec<&'p Member>, Vec<Arc<str>>) {
    let (mut pool, mut unknown) = (Vec::new(), Vec::new());
    let (mut names, mut mails) = (BTreeSet::new(), BTreeSet::new());
    for group in groups {
        let Some(members) = people.members(group) else {
            unknown.push(group.clone());
            continue;
        };
        for member in members {
            let is_new = names.insert(&member.name);
            // The same address is the same person.
            let is_other = member.email.as_ref().is_none_or(|mail| mails.insert(plain_mail(mail)));
            if is_new && is_other {
                pool.push(member);
            }
        }
    }
    (pool, unknown)
}

/// Of those in the pool who `may` decide. Whoever may not does not use up a place.
pub(super) fn choose<'p>(
    policy: Notify,
    pool: &[&'p Member],
    seed: &Seed,
    turn: u64,
    may: impl Fn(&Member) -> bool,
) -> Vec<&'p Member> {
    let able = pool.iter().copied().filter(|member| may(member));
    match policy {
        Notify::All => able.collect(),
        Notify::FirstN(count) => able.take(size(count)).collect(),
        Notify::RandomN(count) => {
            let mut able: Vec<&Member> = able.collect();
            able.sort_by_cached_key(|member| sha256(&[&seed.0, member.name.as_bytes()]));
            able.truncate(size(count));
            able
        }
        Notify::RoundRobin(count) => {
            // Over the whole pool, so that a requester in it moves nobody else's turn.
            let from = start(turn, count, pool.len());
            let (before, after) = pool.split_at_checked(from).unwrap_or((pool, &[]));
            let around = after.iter().chain(before).copied();
            around.filter(|member| may(member)).take(size(count)).collect()
        }
    }
}

/// Turn by turn, `count` places further.
fn start(turn: u64, count: u32, people: usize) -> usize {
    let people = u128::try_from(people.max(1)).unwrap_or(1);
    usize::try_from(u128::from(turn) * u128::from(count) % people).unwrap_or(0)
}

fn size(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}
