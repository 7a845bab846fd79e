//! The sample tool behind `tidegate dev`: notes over plain HTTP, with no idea of access control.
//!
//! It shows what Tidegate tells a tool (`GET /whoami`) and has a stream that never ends by itself
//! (`GET /ticks`, Server-Sent Events).

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use http_body_util::StreamBody;
use hyper::body::Frame;
use serde_json::{Value, json};

const MAX_NOTES: usize = 1000;

type Notes = Arc<Mutex<Vec<String>>>;

/// The tool; serve it on a loopback listener.
pub fn router() -> Router {
    let notes: Notes = Arc::new(Mutex::new(vec!["Tide tables are on the wall.".to_owned()]));
    Router::new()
        .route("/", get(list).post(add))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/whoami", get(whoami))
        .route("/ticks", get(ticks))
        .route("/{number}", get(read).delete(remove))
        .with_state(notes)
}

async fn list(State(notes): State<Notes>) -> Json<Value> {
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    Json(json!({ "notes": *notes }))
}

async fn read(State(notes): State<Notes>, Path(number): Path<usize>) -> Response {
    let notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    match notes.get(number) {
        Some(note) => Json(json!({ "note": note })).into_response(),
        None => (StatusCode::NOT_FOUND, "no such note\n").into_response(),
    }
}

async fn add(State(notes): State<Notes>, text: String) -> Response {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    if notes.len() >= MAX_NOTES || text.len() > 4096 {
        return (StatusCode::PAYLOAD_TOO_LARGE, "too many or too long\n").into_response();
    }
    notes.push(text);
    (StatusCode::CREATED, Json(json!({ "number": notes.len() - 1 }))).into_response()
}

async fn remove(State(notes): State<Notes>, Path(number): Path<usize>) -> StatusCode {
    let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
    if number >= notes.len() {
        return StatusCode::NOT_FOUND;
    }
    notes.remove(number);
    StatusCode::NO_CONTENT
}

/// The headers by which Tidegate told who is calling.
async fn whoami(headers: HeaderMap) -> Json<Value> {
    let told = headers.iter().filter(|(name, _)| name.as_str().starts_with("tidegate-"));
    let told = told.map(|(name, value)| {
        (name.as_str().to_owned(), Value::from(String::from_utf8_lossy(value.as_bytes())))
    });
    Json(Value::Object(told.collect()))
}

/// One event at once and then one every 200 ms, for as long as somebody listens.
async fn ticks() -> Response {
    let stream = StreamBody::new(Ticks { interval: tokio::time::interval(TICK), number: 0 });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::new(stream)).into_response()
}

const TICK: Duration = Duration::from_millis(200);

struct Ticks {
    interval: tokio::time::Interval,
    number: u64,
}

impl futures_core::Stream for Ticks {
    type Item = Result<Frame<Bytes>, Infallible>;

    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        self.interval.poll_tick(context).map(|_instant| {
            self.number += 1;
            let event = format!("event: tick\ndata: {}\n\n", self.number);
            Some(Ok(Frame::data(Bytes::from(event))))
        })
    }
}
