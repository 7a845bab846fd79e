//! The families of hostile requests. Each bends a good request and says what must become of it.

mod bodies;
mod credentials;
mod fields;
mod heads;
mod hosts;
mod lines;
mod mutants;
mod targets;
mod upgrades;

use super::draft::{Draft, Fate};
use super::rng::Rng;
use super::scene::{Ground, Who};

/// Whose targets and bodies are not known beforehand.
pub const MUTANTS: &str = "mutants";

/// A request as it is written, with what the oracle needs.
#[derive(Clone, Debug)]
pub struct Case {
    pub number: usize,
    pub family: &'static str,
    pub fate: Fate,
    pub who: Who,
    pub bytes: Vec<u8>,
    pub method: Vec<u8>,
    /// As a tool is to see it; `None`: whatever the master rule lets through.
    pub target: Option<Vec<u8>>,
    pub content: Vec<u8>,
}

impl Case {
    fn of(family: &'static str, draft: &Draft, fate: Fate, bytes: Vec<u8>) -> Self {
        let target = draft.target.strip_prefix(draft.prefix.as_bytes()).map(<[u8]>::to_vec);
        let target = target.filter(|_| family != MUTANTS);
        Self {
            number: draft.number,
            family,
            fate,
            who: draft.who,
            bytes,
            method: draft.method.clone(),
            target,
            content: draft.content.clone(),
        }
    }

    /// One whose bytes another transport writes.
    pub fn bent(family: &'static str, draft: &Draft, fate: Fate) -> Self {
        Self::of(family, draft, fate, draft.bytes())
    }

    pub fn good(draft: &Draft) -> Self {
        Self::of("good", draft, draft.fate, draft.bytes())
    }

    pub fn is_good(&self) -> bool {
        self.family == "good"
    }

    /// Whether what a tool reads of it is known beforehand.
    pub fn is_exact(&self) -> bool {
        self.family != MUTANTS
    }
}

/// Bends the parts of a request; every transport can write what comes out.
type Bend = fn(&mut Rng, &Ground, &mut Draft) -> Fate;
/// Bends the bytes of HTTP/1.1.
type Write = fn(&mut Rng, &mut Draft) -> (Fate, Vec<u8>);

enum Family {
    Parts(&'static str, Bend),
    Bytes(&'static str, Write),
}

/// How often each comes, in shares.
const FAMILIES: &[(usize, Family)] = &[
    (8, Family::Parts("dot segments", targets::dots)),
    (8, Family::Parts("escapes", targets::escapes)),
    (4, Family::Parts("slashes", targets::slashes)),
    (4, Family::Parts("queries", targets::queries)),
    (4, Family::Parts("forms of target", targets::forms)),
    (3, Family::Bytes("odd bytes in the target", targets::odd_bytes)),
    (4, Family::Parts("methods", heads::methods)),
    (3, Family::Parts("overrides", heads::overrides)),
    (3, Family::Parts("versions", heads::versions)),
    (3, Family::Parts("expectations", heads::expectations)),
    (1, Family::Parts("sizes", heads::sizes)),
    (8, Family::Bytes("two lengths", bodies::lengths)),
    (5, Family::Parts("hidden in a body", bodies::hidden)),
    (6, Family::Bytes("chunks", bodies::bad_chunks)),
    (4, Family::Bytes("odd but good chunks", bodies::odd_chunks)),
    (8, Family::Bytes("lines", lines::lines)),
    (6, Family::Parts("aliases", fields::aliases)),
    (5, Family::Parts("connection options", fields::connection)),
    (6, Family::Parts("hosts", hosts::hosts)),
    (5, Family::Bytes("upgrades", upgrades::upgrades)),
    (6, Family::Parts("credentials", credentials::credentials)),
    (8, Family::Bytes(MUTANTS, mutants::mutants)),
];

pub fn names() -> Vec<&'static str> {
    let name = |(_, family): &(usize, Family)| match family {
        Family::Parts(name, _) | Family::Bytes(name, _) => *name,
    };
    FAMILIES.iter().map(name).collect()
}

/// A hostile request of some family.
pub fn hostile(rng: &mut Rng, ground: &Ground, number: usize) -> Case {
    let all: usize = FAMILIES.iter().map(|(share, _)| share).sum();
    let mut left = rng.below(all);
    for (share, family) in FAMILIES {
        if left < *share {
            return bent(rng, ground, number, family);
        }
        left -= share;
    }
    unreachable!("less than the sum")
}

/// One of the families that bend parts, for other transports to write.
pub fn parts(rng: &mut Rng, ground: &Ground, number: usize) -> (&'static str, Draft, Fate) {
    let bends = FAMILIES.iter().filter_map(|(_, family)| match family {
        Family::Parts(name, bend) => Some((*name, *bend)),
        Family::Bytes(..) => None,
    });
    let (name, bend) = *rng.pick(&bends.collect::<Vec<_>>());
    let mut draft = Draft::new(rng, ground, number);
    let fate = bend(rng, ground, &mut draft);
    (name, draft, fate)
}

fn bent(rng: &mut Rng, ground: &Ground, number: usize, family: &Family) -> Case {
    let mut draft = Draft::new(rng, ground, number);
    match family {
        Family::Parts(name, bend) => {
            let fate = bend(rng, ground, &mut draft);
            Case::of(name, &draft, fate, draft.bytes())
        }
        Family::Bytes(name, write) => {
            let (fate, bytes) = write(rng, &mut draft);
            Case::of(name, &draft, fate, bytes)
        }
    }
}
