//! What a call answered under its `Idempotency-Key`, where the call changes no single subject: kept in
//! a commit of the caller's own record that changes nothing else.

use super::Api;
use super::error::Refusal;
use super::execute::{Idempotency, failed};
use super::extract::Call;
use crate::domain::command::Transition;
use crate::domain::subject::Subject;
use crate::entropy;
use crate::problem::ProblemCode;
use crate::store::{Commit, Committed, Load, Loaded, StoredAnswer};

/// How often it is written anew after somebody else changed the caller's record.
const RELOADS: usize = 8;
/// A call that may not have come to its end has no status yet.
const BEGUN: u16 = 0;

/// What is known of a call before it does anything.
pub enum Begun {
    /// It has no key, or is the first with it, or the first may not have come to its end.
    Go,
    Answered(StoredAnswer),
}

/// Takes the key for this body. From here on another body under it is refused, by every gateway.
///
/// # Errors
/// `idempotency-mismatch`; `store-unreachable`; `conflict` after eight reloads.
pub async fn begin(api: &Api, call: &Call, body: &[u8]) -> Result<Begun, Refusal> {
    let subject = call.subject();
    let Some(key) = Idempotency::of(call, subject, body) else { return Ok(Begun::Go) };
    let claim = StoredAnswer {
        fingerprint: key.fingerprint(),
        status: BEGUN,
        body: String::new(),
        etag: None,
        location: None,
    };
    let _turn = api.turns.take(subject.key()).await;
    for _attempt in 0..=RELOADS {
        let (loaded, answered) = look(api, subject, &key).await?;
        match answered {
            Some(answer) if answer.status == BEGUN => return Ok(Begun::Go),
            Some(answer) => return Ok(Begun::Answered(answer)),
            None => (),
        }
        if write(api, loaded, &key, claim.clone()).await? {
            return Ok(Begun::Go);
        }
    }
    Err(too_busy())
}

/// Keeps what the call answered. When it cannot be kept, a retry does it again.
pub async fn finish(api: &Api, call: &Call, body: &[u8], answer: &StoredAnswer) {
    let subject = call.subject();
    let Some(key) = Idempotency::of(call, subject, body) else { return };
    let answer = StoredAnswer { fingerprint: key.fingerprint(), ..answer.clone() };
    let _turn = api.turns.take(subject.key()).await;
    for _attempt in 0..=RELOADS {
        let Ok((loaded, _)) = look(api, subject, &key).await else { return };
        match write(api, loaded, &key, answer.clone()).await {
            Ok(false) => (),
            Ok(true) | Err(_) => return,
        }
    }
}

/// Whether something was answered to this very call; for orders that [`execute`] carries out.
///
/// [`execute`]: super::execute::execute
///
/// # Errors
/// As [`begin`].
pub async fn is_answered(
    api: &Api,
    subject: &Subject,
    key: Option<&Idempotency>,
) -> Result<bool, Refusal> {
    let Some(key) = key else { return Ok(false) };
    Ok(look(api, subject, key).await?.1.is_some())
}

async fn look(
    api: &Api,
    subject: &Subject,
    key: &Idempotency,
) -> Result<(Loaded, Option<StoredAnswer>), Refusal> {
    let load = Load { subject, request: None, grant: None, idempotency: Some(key.key()) };
    let loaded = api.store.load(load).await.map_err(|fault| failed(api, fault, "load"))?;
    let answer = loaded.answer.clone();
    if answer.as_ref().is_some_and(|answer| answer.fingerprint != key.fingerprint()) {
        return Err(mismatch());
    }
    Ok((loaded, answer))
}

/// `false`: somebody was faster.
async fn write(
    api: &Api,
    Loaded { state, .. }: Loaded,
    key: &Idempotency,
    answer: StoredAnswer,
) -> Result<bool, Refusal> {
    let commit = Commit {
        id: entropy::commit_id()?,
        subject: state.subject,
        expected_version: state.version,
        generation: state.markers.generation,
        transition: Transition::default(),
        fired: None,
        answer: Some((*key.key(), answer)),
        traceparent: None,
        now: api.clock.now(),
    };
    // What was written without an answer is found by the next look.
    match api.store.commit(commit).await.map_err(|fault| failed(api, fault, "commit"))? {
        Committed::Done { .. } => Ok(true),
        Committed::VersionConflict | Committed::GenerationMoved => Ok(false),
    }
}

pub(super) fn mismatch() -> Refusal {
    let detail = "this Idempotency-Key was sent before with another body";
    Refusal::new(ProblemCode::IdempotencyMismatch, detail)
}

fn too_busy() -> Refusal {
    let detail = "others keep changing this subject; repeat the call";
    Refusal::new(ProblemCode::Conflict, detail)
}
