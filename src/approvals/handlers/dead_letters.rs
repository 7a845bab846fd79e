//! What webhooks did not take, and asking for another try.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::body::Json;
use super::super::error::Refusal;
use super::super::execute::{Answer, failed};
use super::super::extract::Call;
use super::super::kept::{self, Begun};
use super::super::policy::{self, Target};
use super::super::{Api, SharedApi, page, respond};
use super::{Filters, Listing, next_link};
use crate::domain::ids::Partition;
use crate::domain::iso8601;
use crate::store::{DeadLetter, EventPlace, LetterChange};
use crate::telemetry::events::outbox::ReplayAsked;

/// The id of an event is shorter.
const LONGEST_ID: usize = 128;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LetterFilters {
    /// The name of a webhook, with or without `webhook:` before it.
    pub sink: Option<String>,
    /// 1 to 200.
    pub limit: Option<String>,
    /// The `next_cursor` of an earlier page.
    pub cursor: Option<String>,
}

/// An event that a webhook did not take.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DeadLetterView {
    /// `webhook:<name>`
    #[schema(value_type = String)]
    pub sink: Arc<str>,
    /// The id of the event.
    pub id: String,
    /// The `CloudEvents` type.
    pub r#type: String,
    /// When it happened (RFC 3339).
    pub time: String,
    /// When it was given up last (RFC 3339).
    pub given_up_at: String,
    pub tries: u32,
    /// `refused`, `failed`, `timed-out`, `unreachable` or `broken`.
    pub reason: String,
    /// The last status, if there was one.
    pub status: Option<u16>,
    /// It is to be sent again, and that has not been done yet.
    pub replay: bool,
}

#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOrder {
    /// The name of a webhook, with or without `webhook:` before it.
    pub sink: String,
    /// The id of one event; all dead letters of the sink without it.
    pub id: Option<String>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReplayResult {
    /// How many dead letters are to be sent again; within some seconds, one try each.
    pub replayed: usize,
}

/// Events that webhooks did not take, by webhook and partition.
#[utoipa::path(get, path = "/api/v1/audit/dead-letters", tag = "audit", params(LetterFilters),
    responses((status = 200, body = Listing<DeadLetterView>), (status = "default", response = super::docs::Refused)))]
pub async fn list(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Filters(filters): Filters<LetterFilters>,
) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("audit"), "read").await?;
    let limit = page::limit(filters.limit.as_deref())?;
    let after = filters.cursor.as_deref().map(Place::decode).transpose()?;
    let sinks = match filters.sink.as_deref() {
        Some(name) => vec![sink_named(&api, name)?],
        None => api.webhooks.to_vec(),
    };
    let (items, next) = read(&api, &sinks, after.as_ref(), limit).await?;
    let next_cursor = next.map(|place| place.encode());
    let link = next_cursor.as_deref().map(|cursor| next_link(&uri, "cursor", cursor));
    let mut response = respond::json(StatusCode::OK, &Listing { items, next_cursor })?;
    if let Some(link) = link {
        respond::set(response.headers_mut(), header::LINK, &link);
    }
    Ok(response)
}

/// Has dead letters sent again. Repeating the call does no more than the call.
#[utoipa::path(post, path = "/api/v1/audit/dead-letters/replay", tag = "audit", request_body = ReplayOrder,
    responses((status = 202, body = ReplayResult), (status = "default", response = super::docs::Refused)))]
pub async fn replay(
    State(api): State<SharedApi>,
    call: Call,
    Json { value, bytes }: Json<ReplayOrder>,
) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("audit"), "replay").await?;
    let sink = sink_named(&api, &value.sink)?;
    if value.id.as_ref().is_some_and(|id| id.len() > LONGEST_ID) {
        return Err(Refusal::invalid("/id", "too-long", "expected the id of an event"));
    }
    if let Begun::Answered(answer) = kept::begin(&api, &call, &bytes).await? {
        return Ok(respond::stored(answer));
    }
    let result = ReplayResult { replayed: mark(&api, &call, &sink, value.id).await? };
    let body = serde_json::to_string(&result).map_err(|_| respond::unwritable())?;
    let answer = Answer { status: 202, body, ..Answer::default() }.stored([0; 32]);
    kept::finish(&api, &call, &bytes, &answer).await;
    Ok(respond::stored(answer))
}

async fn mark(
    api: &Api,
    call: &Call,
    sink: &Arc<str>,
    id: Option<String>,
) -> Result<usize, Refusal> {
    let mut count = 0;
    for partition in api.store.partitions().all() {
        let change = LetterChange::Replay { id: id.clone() };
        let changed = api.store.change_dead_letters(sink, partition, change).await;
        count += changed.map_err(|fault| failed(api, fault, "dead-letters"))?.count;
    }
    if id.is_some() && count == 0 {
        return Err(Refusal::not_found());
    }
    ReplayAsked { sink, actor: &call.subject().name, count }.emit();
    Ok(count)
}

fn sink_named(api: &Api, asked: &str) -> Result<Arc<str>, Refusal> {
    let named =
        |sink: &&Arc<str>| ***sink == *asked || sink.strip_prefix("webhook:") == Some(asked);
    let unknown = || Refusal::invalid("/sink", "unknown", "no webhook of that name is configured");
    api.webhooks.iter().find(named).cloned().ok_or_else(unknown)
}

/// Behind `after`, and where the next page goes on.
async fn read(
    api: &Api,
    sinks: &[Arc<str>],
    after: Option<&Place>,
    limit: usize,
) -> Result<(Vec<DeadLetterView>, Option<Place>), Refusal> {
    let mut items = Vec::new();
    let mut last: Option<Place> = None;
    for sink in sinks {
        for partition in api.store.partitions().all() {
            let first = after.map(|place| place.first_in(sinks, sink, partition));
            if matches!(first, Some(First::Never)) {
                continue;
            }
            let letters = api.store.dead_letters(sink, partition).await;
            for letter in letters.map_err(|fault| failed(api, fault, "dead-letters"))?.0 {
                if matches!(first, Some(First::Behind(place)) if letter.place <= place) {
                    continue;
                }
                if items.len() >= limit {
                    return Ok((items, last));
                }
                last = Some(Place { sink: sink.to_string(), partition, event: letter.place });
                items.push(view(sink, letter));
            }
        }
    }
    Ok((items, None))
}

fn view(sink: &Arc<str>, letter: DeadLetter) -> DeadLetterView {
    DeadLetterView {
        sink: Arc::clone(sink),
        id: letter.id,
        r#type: letter.event_type,
        time: iso8601::time(letter.at),
        given_up_at: iso8601::time(letter.died),
        tries: letter.tries,
        reason: letter.why.word().to_owned(),
        status: letter.status,
        replay: letter.replay,
    }
}

/// The last letter of a page.
struct Place {
    sink: String,
    partition: Partition,
    event: EventPlace,
}

/// What of a partition comes after a place.
#[derive(Clone, Copy)]
enum First {
    Never,
    Behind(EventPlace),
    All,
}

impl Place {
    fn first_in(&self, sinks: &[Arc<str>], sink: &Arc<str>, partition: Partition) -> First {
        let position = |name: &str| sinks.iter().position(|other| **other == *name);
        // A sink that is configured no more comes before all others.
        let (here, there) = (position(sink), position(&self.sink));
        match (here, partition.0).cmp(&(there, self.partition.0)) {
            std::cmp::Ordering::Less => First::Never,
            std::cmp::Ordering::Equal => First::Behind(self.event),
            std::cmp::Ordering::Greater => First::All,
        }
    }

    fn encode(&self) -> String {
        let Self { sink, partition, event: EventPlace { seq, index } } = self;
        URL_SAFE_NO_PAD.encode(format!("{} {seq} {index} {sink}", partition.0))
    }

    fn decode(text: &str) -> Result<Self, Refusal> {
        Self::parsed(text).ok_or_else(|| {
            Refusal::invalid("/cursor", "invalid", "expected a next_cursor of this list")
        })
    }

    fn parsed(text: &str) -> Option<Self> {
        let text = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let mut parts = text.splitn(4, ' ');
        let partition = Partition(parts.next()?.parse().ok()?);
        let event =
            EventPlace { seq: parts.next()?.parse().ok()?, index: parts.next()?.parse().ok()? };
        Some(Self { sink: parts.next()?.to_owned(), partition, event })
    }
}
