//! What happened, over all partitions, as `CloudEvents`.

use std::collections::VecDeque;

use axum::extract::State;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::super::error::Refusal;
use super::super::execute::failed;
use super::super::extract::Call;
use super::super::policy::{self, Target};
use super::super::{Api, SharedApi, page, respond};
use super::{Filters, next_link};
use crate::cloudevents::{CloudEvent, Origin};
use crate::store::StoredEvent;

/// Events read ahead from each partition; a page may be short.
const READ_AHEAD: usize = 50;

#[derive(Clone, Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventFilters {
    /// The `next_cursor` or `position` of an earlier page.
    pub after: Option<String>,
    /// A subject's name, or `requests/<id>` or `grants/<id>`.
    pub subject: Option<String>,
    /// The `CloudEvents` type.
    pub r#type: Option<String>,
    /// About how many, 1 to 200; events of one commit are never parted.
    pub limit: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct EventPage {
    pub items: Vec<CloudEvent>,
    /// `null`: nothing more for now.
    pub next_cursor: Option<String>,
    /// Where to go on later, also when nothing more is there now.
    pub position: String,
}

/// Events in the order of their time, and of their commit within a subject.
#[utoipa::path(get, path = "/api/v1/audit/events", tag = "audit", params(EventFilters),
    responses((status = 200, body = EventPage), (status = "default", response = super::docs::Refused)))]
pub async fn list(
    State(api): State<SharedApi>,
    call: Call,
    uri: Uri,
    Filters(filters): Filters<EventFilters>,
) -> Result<Response, Refusal> {
    policy::require(&api, &call, &Target::any("audit"), "read").await?;
    let limit = page::limit(filters.limit.as_deref())?;
    let position = Position::decode(filters.after.as_deref(), api.store.partitions().get())?;
    let page = read(&api, &filters, position, limit).await?;
    let link = page.next_cursor.as_deref().map(|cursor| next_link(&uri, "after", cursor));
    let mut response = respond::json(StatusCode::OK, &page)?;
    if let Some(link) = link {
        respond::set(response.headers_mut(), header::LINK, &link);
    }
    Ok(response)
}

async fn read(
    api: &Api,
    filters: &EventFilters,
    mut position: Position,
    limit: usize,
) -> Result<EventPage, Refusal> {
    let (source, public_url) = (api.source.clone(), api.public_url.clone());
    let origin = Origin { source, public_url };
    let mut streams: Vec<VecDeque<StoredEvent>> = Vec::new();
    let mut more = false;
    for (partition, after) in api.store.partitions().all().zip(position.0.iter().copied()) {
        let events = api.store.read_events(partition, after, READ_AHEAD).await;
        let events = events.map_err(|fault| failed(api, fault, "read-events"))?;
        more |= events.len() >= READ_AHEAD;
        streams.push(events.into());
    }
    let mut items = Vec::new();
    while items.len() < limit
        && let Some(commit) = next_commit(&mut streams, &mut position)
    {
        let wanted = commit.iter().filter(|event| fits(filters, event));
        // Whoever reads the history learns who was told, not how to reach them.
        items.extend(wanted.map(|event| CloudEvent::of_stored(event, &origin).without_addresses()));
    }
    more |= streams.iter().any(|stream| !stream.is_empty());
    let position = position.encode();
    Ok(EventPage { items, next_cursor: more.then(|| position.clone()), position })
}

/// The oldest commit that heads any stream, whole; its partition moves on.
fn next_commit(
    streams: &mut [VecDeque<StoredEvent>],
    position: &mut Position,
) -> Option<Vec<StoredEvent>> {
    let heads = streams.iter_mut().zip(&mut position.0);
    let heads = heads.filter(|(stream, _)| !stream.is_empty());
    let (stream, after) =
        heads.min_by_key(|(stream, _)| stream.front().map(|head| head.event.at))?;
    let seq = stream.front()?.seq;
    *after = seq;
    let mut commit = Vec::new();
    while let Some(event) = stream.pop_front_if(|event| event.seq == seq) {
        commit.push(event);
    }
    Some(commit)
}

fn fits(filters: &EventFilters, stored: &StoredEvent) -> bool {
    let subject = filters.subject.as_deref().is_none_or(|subject| {
        *subject == *stored.subject.name || subject == stored.event.resource.to_string()
    });
    let kind = stored.event.kind.cloud_event_type();
    subject && filters.r#type.as_deref().is_none_or(|wanted| wanted == kind)
}

/// How far each partition was read: its sequence numbers, in LEB128, in base64url.
struct Position(Vec<u64>);

impl Position {
    fn encode(&self) -> String {
        let mut bytes = Vec::new();
        for seq in &self.0 {
            let mut rest = *seq;
            while rest >= 0x80 {
                bytes.push(u8::try_from(rest & 0x7f).unwrap_or_default() | 0x80);
                rest >>= 7;
            }
            bytes.push(u8::try_from(rest).unwrap_or_default());
        }
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn decode(text: Option<&str>, partitions: u16) -> Result<Self, Refusal> {
        let partitions = usize::from(partitions);
        let Some(text) = text else { return Ok(Self(vec![0; partitions])) };
        let wrong = || {
            Refusal::invalid("/after", "invalid", "expected a next_cursor or position of this list")
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| wrong())?;
        let (mut all, mut seq, mut shift) = (Vec::new(), 0_u64, 0_u32);
        for byte in bytes {
            if shift > 56 {
                return Err(wrong());
            }
            seq |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                all.push(seq);
                (seq, shift) = (0, 0);
            }
        }
        if shift == 0 && all.len() == partitions { Ok(Self(all)) } else { Err(wrong()) }
    }
}
