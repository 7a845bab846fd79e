//! One call of an endpoint: the event as it is, signed as in Standard Webhooks
//! (<https://www.standardwebhooks.com>).

use std::fmt::Write;
use std::time::Duration;

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use tokio::sync::Semaphore;

use crate::cloudevents::CloudEvent;
use crate::config::WebhookConfig;
use crate::domain::time::Timestamp;
use crate::http_client::{ClientError, HttpClient};
use crate::store::LetterWhy;

const CLOUD_EVENT: &str = "application/cloudevents+json";

pub struct Endpoint {
    client: HttpClient,
    url: Uri,
    keys: Vec<hmac::Key>,
    timeout: Duration,
    permits: Semaphore,
}

/// Why an endpoint did not take an event. Nothing in it is the endpoint's own text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    #[error("status {status}")]
    Status {
        status: u16,
        /// It says that the same call will not be taken later either.
        is_final: bool,
        /// How long it asks to be left alone.
        after: Option<Duration>,
    },
    #[error(transparent)]
    NoAnswer(ClientError),
    #[error("the event cannot be written")]
    Unwritable,
}

impl Fault {
    #[must_use]
    pub const fn why(&self) -> LetterWhy {
        match self {
            Self::Status { is_final: true, .. } => LetterWhy::Refused,
            Self::Status { is_final: false, .. } => LetterWhy::Failed,
            Self::NoAnswer(ClientError::Deadline(_)) => LetterWhy::TimedOut,
            Self::NoAnswer(ClientError::Unreachable(_)) => LetterWhy::Unreachable,
            Self::NoAnswer(
                ClientError::Broken(_) | ClientError::TooLarge(_) | ClientError::BadRequest(_),
            )
            | Self::Unwritable => LetterWhy::Broken,
        }
    }

    #[must_use]
    pub const fn status(&self) -> Option<u16> {
        match self {
            Self::Status { status, .. } => Some(*status),
            Self::NoAnswer(_) | Self::Unwritable => None,
        }
    }
}

impl Endpoint {
    /// # Errors
    /// For people, with the key below the webhook's: an address that is refused, or roots that cannot
    /// be used.
    pub fn open(config: &WebhookConfig) -> Result<Self, String> {
        let client = HttpClient::outward(config.ca.as_deref());
        let client = client.map_err(|wrong| format!("ca: {wrong}"))?;
        if !client.may_call(&config.url) {
            return Err("url: found a link-local address, expected one of a server".to_owned());
        }
        let key = |secret: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Ok(Self {
            client,
            url: config.url.clone(),
            keys: config.secrets.iter().map(|secret| key(&secret.0)).collect(),
            timeout: config.timeout,
            permits: Semaphore::new(config.max_in_flight),
        })
    }

    /// Returns when the endpoint has taken the event. Waits first for one of the calls that may be
    /// under way at once.
    ///
    /// # Errors
    /// See [`Fault`].
    pub async fn post(&self, event: &CloudEvent, now: impl Fn() -> Timestamp) -> Result<(), Fault> {
        let body: Bytes = serde_json::to_vec(event).map_err(|_| Fault::Unwritable)?.into();
        // Never closed.
        let _permit = self.permits.acquire().await;
        let request = self.request(&event.id, now(), body).map_err(|_| Fault::Unwritable)?;
        let answer = self.client.send_for_head(request, self.timeout).await;
        judge(&answer.map_err(Fault::NoAnswer)?, now())
    }

    fn request(
        &self,
        id: &str,
        now: Timestamp,
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, http::Error> {
        Request::builder()
            .method(Method::POST)
            .uri(self.url.clone())
            .header(header::CONTENT_TYPE, CLOUD_EVENT)
            .header("webhook-id", id)
            .header("webhook-timestamp", now.seconds())
            .header("webhook-signature", self.signatures(id, now.seconds(), &body))
            .body(Full::new(body))
    }

    /// HMAC-SHA-256 over id, time and body with dots between, one for each secret.
    fn signatures(&self, id: &str, seconds: u64, body: &[u8]) -> String {
        let mut all = String::new();
        for key in &self.keys {
            let mut hash = hmac::Context::with_key(key);
            hash.update(format!("{id}.{seconds}.").as_bytes());
            hash.update(body);
            let space = if all.is_empty() { "" } else { " " };
            // Writing to a text does not fail.
            let _ = write!(all, "{space}v1,{}", STANDARD.encode(hash.sign()));
        }
        all
    }
}

fn judge(answer: &Response<()>, now: Timestamp) -> Result<(), Fault> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    // About the event itself, or for good. A login or a path that is wrong for a while is neither.
    let never = [
        StatusCode::BAD_REQUEST,
        StatusCode::GONE,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ];
    let is_final = never.contains(&status);
    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
    let after = after.and_then(|text| retry_after(text, now));
    Err(Fault::Status { status: status.as_u16(), is_final, after })
}

/// Seconds or a date (RFC 9110, section 10.2.3).
fn retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    date.duration_since(std::time::UNIX_EPOCH)
        .ok()
        .map(|at| at.saturating_sub(Duration::from_millis(now.millis())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WebhookSecret;

    pub fn config(url: &str, secrets: &[&[u8]]) -> WebhookConfig {
        WebhookConfig {
            name: "siem".into(),
            url: url.parse().expect("an address"),
            secrets: secrets.iter().map(|bytes| WebhookSecret((*bytes).into())).collect(),
            types: None,
            subjects: None,
            timeout: Duration::from_secs(5),
            retry_for: Duration::from_secs(86_400),
            ca: None,
            max_in_flight: 8,
        }
    }

    /// The example of the specification (its secret, id, time and body).
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").expect("base64");
        let other = [1; 32];
        let endpoint = Endpoint::open(&config("http://127.0.0.1:1", &[&secret, &other]));
        let endpoint = endpoint.expect("opens");
        let body = br#"{"test": 2432232314}"#;
        let signed = endpoint.signatures("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        let (first, second) = signed.split_once(' ').expect("two signatures");
        assert_eq!(first, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(second.starts_with("v1,") && second != first);
    }

    #[test]
    fn a_status_is_taken_refused_for_good_or_to_be_tried_again() {
        let now = Timestamp::from_millis(1_795_339_800_000);
        let judged = |status: u16| {
            let answer = Response::builder().status(status).body(()).expect("an answer");
            judge(&answer, now)
        };
        for status in [200, 201, 202, 204, 299] {
            assert_eq!(judged(status), Ok(()), "{status}");
        }
        for status in [400, 410, 413, 422] {
            assert_eq!(judged(status).expect_err("no").why(), LetterWhy::Refused, "{status}");
        }
        for status in [301, 307, 401, 403, 404, 408, 409, 425, 429, 451, 500, 502, 503, 504] {
            assert_eq!(judged(status).expect_err("no").why(), LetterWhy::Failed, "{status}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // 2015-10-21 07:28:00
        let now = Timestamp::from_millis(1_445_412_480_000);
        for (text, seconds) in [
            ("120", Some(120)),
            ("0", Some(0)),
            ("Wed, 21 Oct 2015 07:29:00 GMT", Some(60)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(retry_after(text, now), seconds.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn link_local_addresses_are_refused() {
        for url in [
            "http://169.254.169.254/latest",
            "https://[fe80::1]/",
            "http://[::ffff:169.254.169.254]/",
            "http://0.0.0.0/",
            "http://[fd00:ec2::254]/",
        ] {
            assert!(Endpoint::open(&config(url, &[&[1; 32]])).is_err(), "{url}");
        }
        for url in ["https://siem.example.com", "http://127.0.0.1:9000", "https://10.0.0.1/in"] {
            assert!(Endpoint::open(&config(url, &[&[1; 32]])).is_ok(), "{url}");
        }
    }
}
