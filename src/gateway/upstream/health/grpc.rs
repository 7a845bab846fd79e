//! `grpc.health.v1.Health/Check`
//! (<https://github.com/grpc/grpc/blob/master/doc/health-checking.md>), without a gRPC library: one
//! field each way.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;

pub const METHOD: &str = "/grpc.health.v1.Health/Check";

/// An answer has a handful of bytes.
const LARGEST: usize = 1024;

/// `HealthCheckRequest { service = 1 }` as one uncompressed message.
pub fn question(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        // Field 1, length-delimited.
        message.push(0x0a);
        varint(service.len(), &mut message);
        message.extend_from_slice(service.as_bytes());
    }
    let mut frame = vec![0];
    frame.extend_from_slice(&u32::try_from(message.len()).unwrap_or(0).to_be_bytes());
    frame.extend_from_slice(&message);
    frame.into()
}

fn varint(mut number: usize, to: &mut Vec<u8>) {
    loop {
        let low = u8::try_from(number & 0x7f).unwrap_or(0);
        number >>= 7;
        if number == 0 {
            return to.push(low);
        }
        to.push(low | 0x80);
    }
}

pub fn add_headers(headers: &mut HeaderMap) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(TE, HeaderValue::from_static("trailers"));
}

/// # Errors
/// It does not say that it serves.
pub async fn answer(response: Response<Incoming>) -> Result<(), String> {
    if response.status() != http::StatusCode::OK {
        return Err(format!("status {} instead of 200", response.status().as_u16()));
    }
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST).collect().await.map_err(|error| error.to_string())?;
    let status = |headers: &HeaderMap| {
        let value = headers.get("grpc-status")?.to_str().ok()?;
        Some(value.to_owned())
    };
    let found = body.trailers().and_then(status).or_else(|| status(&head.headers));
    match found.as_deref() {
        Some("0") if is_serving(&body.to_bytes()) => Ok(()),
        Some("0") => Err("it does not serve".to_owned()),
        Some(code) => Err(format!("grpc-status {code:.8}")),
        None => Err("no grpc-status".to_owned()),
    }
}

/// `HealthCheckResponse { status = 1 }` with the value 1, in one uncompressed message.
fn is_serving(frame: &[u8]) -> bool {
    let Some((prefix, message)) = frame.split_first_chunk::<5>() else { return false };
    let [0, length @ ..] = *prefix else { return false };
    u32::from_be_bytes(length) as usize == message.len() && message.starts_with(&[0x08, 0x01])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_one_framed_message() {
        assert_eq!(&question("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&question("ab")[..], [0, 0, 0, 0, 4, 0x0a, 2, b'a', b'b']);
        let long = question(&"x".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 1, 47, 0x0a, 0xac, 0x02]);
    }

    #[test]
    fn only_a_whole_message_that_says_serving_is_good() {
        assert!(is_serving(&[0, 0, 0, 0, 2, 0x08, 1]));
        for bad in [
            &[][..],
            &[0, 0, 0, 0, 0],
            &[0, 0, 0, 0, 2, 0x08, 2],
            &[0, 0, 0, 0, 2, 0x08, 0],
            &[1, 0, 0, 0, 2, 0x08, 1],
            &[0, 0, 0, 0, 9, 0x08, 1],
            &[0, 0, 0, 0, 2, 0x08],
        ] {
            assert!(!is_serving(bad), "{bad:?}");
        }
    }
}
