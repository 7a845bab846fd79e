//! What is drawn before a command, because no subject owns it: random bytes, and whose turn it is.

use super::Api;
use super::execute::failed;
use crate::domain::command::Command;
use crate::domain::ids::Seed;
use crate::domain::notices::Draw;
use crate::domain::rules::Notify;
use crate::entropy::{self, NoEntropy};

/// # Errors
/// No random bytes. A turn that the store does not tell is drawn at random: whom to tell must not
/// keep anybody from asking.
pub(super) async fn draw(api: &Api, command: &Command) -> Result<Draw, NoEntropy> {
    let seed = entropy::seed()?;
    let Some(name) = sequence(command) else { return Ok(without_turn(seed)) };
    let turn = match api.store.draw(&name).await {
        Ok(turn) => turn,
        Err(fault) => {
            let _logged = failed(api, fault, "draw");
            u64::from_be_bytes(entropy::bytes()?)
        }
    };
    Ok(Draw { seed, turn })
}

pub(super) const fn without_turn(seed: Seed) -> Draw {
    Draw { seed, turn: 0 }
}

/// Of requests that tell their approvers one after the other: each template has a sequence.
fn sequence(command: &Command) -> Option<String> {
    let Command::Submit(submit) = command else { return None };
    let takes_turns = matches!(submit.template.rules.notify, Notify::RoundRobin(_));
    takes_turns.then(|| format!("notify:{}", submit.template.name))
}
