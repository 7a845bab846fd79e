//! What is made of what the tool answered, or did not.

use http::{Response, StatusCode, Version};

use crate::gateway::body::{Progress, ToolBody};
use crate::gateway::headers;
use crate::gateway::refusal::Refusal;
use crate::gateway::tunnel::{Agreed, Handshake};
use crate::gateway::upstream::Failed;
use crate::problem::ProblemCode;
use crate::telemetry::events::gateway::UpstreamFailed;

/// The head as it goes to the client, or is held against the request's in [`switched`]. One of HTTP/1.1
/// was cleaned when its lines were read.
pub(super) fn checked(
    tool: &str,
    mut response: Response<()>,
    is_http2: bool,
) -> Result<Response<()>, Refusal> {
    if !is_http2 {
        return Ok(response);
    }
    if !headers::is_framed_clearly(response.headers()) {
        return Err(unreachable(tool, "the length of its response cannot be read in one way"));
    }
    headers::rewrite_response(response.headers_mut());
    *response.version_mut() = Version::HTTP_11;
    response.extensions_mut().clear();
    Ok(response)
}

/// What a switch of protocols agreed on; `None` when there is none.
pub(super) fn switched(
    tool: &str,
    asked: Option<&Handshake>,
    response: &Response<ToolBody>,
) -> Result<Option<Agreed>, Refusal> {
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        if response.status().is_success() && asked.is_some_and(Handshake::is_over_http2) {
            return Err(unreachable(tool, "it answered a WebSocket over HTTP/2 without a switch"));
        }
        return Ok(None);
    }
    let Some(asked) = asked else {
        return Err(unreachable(tool, "it switched protocols without being asked"));
    };
    asked.answered(response.headers()).map(Some).map_err(|why| unreachable(tool, why))
}

pub(super) fn broken(tool: &str, progress: &Progress, failed: &Failed) -> Refusal {
    if progress.broken.get() {
        return Refusal::bad_request("the request's body broke off or was malformed");
    }
    unreachable(tool, &failed.to_string())
}

/// The reason is for the log; a client learns nothing of the inside.
pub(super) fn unreachable(tool: &str, why: &str) -> Refusal {
    UpstreamFailed { tool, why }.emit();
    Refusal::new(ProblemCode::UpstreamUnreachable, format!("{tool} gave no usable answer"))
}
