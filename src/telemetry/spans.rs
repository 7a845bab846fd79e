//! The spans of a proxied request and of an API call.
//!
//! Names and attributes are those of OpenTelemetry's semantic conventions for HTTP
//! (<https://opentelemetry.io/docs/specs/semconv/http/http-spans/>); the name that depends on the
//! request stands in `otel.name`, its kind in `otel.kind`. Server and client spans carry the ids
//! that stand in `traceparent` headers and events.
//!
//! All of them have the target `tidegate::trace` and the level `debug`: unless somebody listens
//! there, making one is a look at one number, and nothing of its fields is evaluated.

use http::{HeaderMap, Method, Uri, header, uri::Authority};
use tracing::field::Empty;
use tracing::{Span, debug_span};

use crate::domain::subject::SubjectKey;
use crate::problem::ProblemCode;

use super::bounded;
use super::ids::UserHashes;
use super::trace::{Place, SpanId, TraceContext, TraceId};

/// Verification of the credential.
#[must_use]
pub fn identity() -> Span {
    debug_span!(target: "tidegate::trace", "tidegate.identity", otel.kind = "internal", "error.type" = Empty)
}

/// The read of the subject's live grants.
#[must_use]
pub fn grants() -> Span {
    debug_span!(target: "tidegate::trace", "tidegate.grants", otel.kind = "internal", "error.type" = Empty)
}

/// The question to the policy engine.
#[must_use]
pub fn policy() -> Span {
    debug_span!(target: "tidegate::trace", "tidegate.policy", otel.kind = "internal", "error.type" = Empty)
}

/// Notes on a span of this module that it ended badly.
pub fn failed(span: &Span, code: ProblemCode) {
    span.record("error.type", code.code());
}

/// The request as we serve it: `{method} {http.route}`, from the head of the request to the head
/// of the response.
#[derive(Clone, Debug)]
pub struct ServerSpan(pub Span);

impl ServerSpan {
    #[must_use]
    pub fn begin(
        place: &Place,
        decision_id: &str,
        (method, uri, headers): (&Method, &Uri, &HeaderMap),
    ) -> Self {
        Self(debug_span!(
            target: "tidegate::trace",
            "server",
            otel.name = Empty,
            otel.kind = "server",
            trace_id = %TraceId(place.context.trace_id),
            span_id = %SpanId(place.context.span_id),
            parent_span_id = place.parent.map(SpanId).map(display),
            http.request.method = method_name(method),
            http.route = Empty,
            http.response.status_code = Empty,
            url.scheme = "http",
            url.path = bounded::text(uri.path(), bounded::TARGET),
            server.address = host(headers),
            tidegate.decision_id = decision_id,
            tidegate.tool = Empty,
            user.hash = Empty,
            "error.type" = Empty,
        ))
    }

    #[must_use]
    pub fn is_recorded(&self) -> bool {
        !self.0.is_disabled()
    }

    /// Who asks. A hash: spans may be read by people who are none of the auditors.
    pub fn user(&self, hashes: &UserHashes, subject: impl FnOnce() -> SubjectKey) {
        if self.is_recorded() {
            self.0.record("user.hash", hashes.of(subject()));
        }
    }

    pub fn tool(&self, tool: &str) {
        self.0.record("tidegate.tool", tool);
    }

    /// How it ended. `route`: the pattern that matched, if any did.
    pub fn end(
        &self,
        method: &Method,
        route: Option<&str>,
        status: u16,
        code: Option<ProblemCode>,
    ) {
        if !self.is_recorded() {
            return;
        }
        self.0.record("otel.name", span_name(method, route));
        if let Some(route) = route {
            self.0.record("http.route", route);
        }
        self.0.record("http.response.status_code", status);
        if let Some(code) = code {
            failed(&self.0, code);
        }
    }
}

/// The request as the tool gets it: `{method}`.
#[derive(Debug)]
pub struct ClientSpan(pub Span);

impl ClientSpan {
    /// `context` is what the tool gets as `traceparent`; the server span is the parent.
    #[must_use]
    pub fn begin(context: TraceContext, parent: [u8; 8], method: &Method, uri: &Uri) -> Self {
        Self(debug_span!(
            target: "tidegate::trace",
            "client",
            otel.name = span_name(method, None),
            otel.kind = "client",
            trace_id = %TraceId(context.trace_id),
            span_id = %SpanId(context.span_id),
            parent_span_id = %SpanId(parent),
            http.request.method = method_name(method),
            http.response.status_code = Empty,
            url.path = bounded::text(uri.path(), bounded::TARGET),
            server.address = Empty,
            server.port = Empty,
            "error.type" = Empty,
        ))
    }

    /// Which of the tool's addresses it goes to.
    pub fn goes_to(&self, host: &str, port: Option<u16>) {
        self.0.record("server.address", host);
        if let Some(port) = port {
            self.0.record("server.port", port);
        }
    }

    pub fn end(&self, status: Option<u16>, code: Option<ProblemCode>) {
        if let Some(status) = status {
            self.0.record("http.response.status_code", status);
        }
        if let Some(code) = code {
            failed(&self.0, code);
        }
    }
}

/// Methods of the standards by their name, others as `_OTHER`: a closed set.
#[must_use]
pub fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "_OTHER",
    }
}

fn span_name(method: &Method, route: Option<&str>) -> String {
    let method = match method_name(method) {
        "_OTHER" => "HTTP",
        known => known,
    };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// The host that was asked for, without its port.
fn host(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?.parse::<Authority>().ok()?;
    Some(bounded::text(host.host(), bounded::NAME))
}
