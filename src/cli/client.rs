//! The client side of the API: where it is, the token, one call, all pages of a list.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use crate::domain::ids::hex;
use crate::entropy;
use crate::http_client::{ClientError, HttpClient};

use super::Exit;
use super::output::Format;

const DEADLINE: Duration = Duration::from_secs(30);
const MAX_BODY: usize = 8 << 20;
/// More pages than a person will read; a server that never stops is stopped here.
const MAX_PAGES: usize = 200;
/// A dot is encoded too, so that no identifier becomes a dot segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// The token comes from `TIDEGATE_TOKEN` alone: arguments are seen by every process.
#[derive(Clone, Debug, clap::Args)]
pub struct ApiArgs {
    /// The address of the API.
    #[arg(
        long,
        env = "TIDEGATE_API",
        hide_env_values = true,
        default_value = "http://127.0.0.1:8081",
        value_name = "URL"
    )]
    pub api: String,
    /// How the answer is printed.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    pub output: Format,
}

pub enum Failed {
    /// The API said no.
    Refused {
        status: StatusCode,
        /// RFC 9457, when the answer was one.
        problem: Option<Value>,
    },
    Unreachable(String),
    Usage(String),
}

impl Failed {
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Refused { .. } => Exit::Refused,
            Self::Unreachable(_) => Exit::Unreachable,
            Self::Usage(_) => Exit::Usage,
        }
    }
}

pub struct Api {
    base: String,
    token: HeaderValue,
    client: HttpClient,
    /// `Idempotency-Key` of the one call that changes something.
    key: HeaderValue,
    runtime: tokio::runtime::Runtime,
}

impl Api {
    pub fn new(args: &ApiArgs, token: Option<&str>) -> Result<Self, Failed> {
        let usage = |text: &str| Failed::Usage(text.to_owned());
        let base = args.api.trim_end_matches('/').to_owned();
        if !is_address(&base) {
            return Err(usage(
                "--api expects an http or https address without credentials or query",
            ));
        }
        let token = token.filter(|token| !token.is_empty());
        let token = token.ok_or_else(|| usage("set TIDEGATE_TOKEN to your token"))?;
        let mut token = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| usage("TIDEGATE_TOKEN holds something that is not a token"))?;
        token.set_sensitive(true);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failed::Unreachable(format!("no runtime: {}", error.kind())))?;
        let key = fresh_key().ok_or_else(|| usage("no fresh Idempotency-Key could be made"))?;
        Ok(Self { base, token, client: HttpClient::new(), key, runtime })
    }

    /// Whether the token would travel in the clear to another machine.
    pub fn is_exposed(&self) -> bool {
        let uri = self.base.parse::<Uri>().unwrap_or_default();
        let bare = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        let near = bare == "localhost" || bare.ends_with(".localhost");
        let loopback = bare.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        uri.scheme_str() != Some("https") && !near && !loopback
    }

    pub fn get(&self, path: &str, query: &[(&str, &str)]) -> Result<Value, Failed> {
        self.call(Method::GET, path, query, None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Result<Value, Failed> {
        self.call(Method::POST, path, &[], Some(body))
    }

    /// The `items` of every page.
    pub fn list(&self, path: &str, query: &[(&str, &str)]) -> Result<Vec<Value>, Failed> {
        let mut items = Vec::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let mut query = query.to_vec();
            query.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
            let mut page = self.get(path, &query)?;
            match page.get_mut("items").map(Value::take) {
                Some(Value::Array(found)) => items.extend(found),
                Some(_) | None => return Err(not_the_api()),
            }
            cursor = page.get("next_cursor").and_then(Value::as_str).map(str::to_owned);
            if cursor.is_none() {
                return Ok(items);
            }
        }
        Err(Failed::Usage(format!("more than {MAX_PAGES} pages: narrow the list")))
    }

    fn call(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Value, Failed> {
        let request = self.request(method, path, query, body)?;
        let sent = self.client.send(request, DEADLINE, MAX_BODY);
        answer(self.runtime.block_on(sent))
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Result<Request<Full<Bytes>>, Failed> {
        let pairs: Vec<String> =
            query.iter().map(|(key, value)| format!("{key}={}", segment(value))).collect();
        let mark = if pairs.is_empty() { "" } else { "?" };
        let uri = format!("{}{path}{mark}{}", self.base, pairs.join("&"));
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, self.token.clone());
        if body.is_some() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .header("idempotency-key", self.key.clone());
        }
        let bytes = body.map(|body| Bytes::from(body.to_string())).unwrap_or_default();
        let wrong = |_| Failed::Usage("an argument is too long for the API's address".to_owned());
        request.body(Full::new(bytes)).map_err(wrong)
    }
}

fn fresh_key() -> Option<HeaderValue> {
    let random: [u8; 16] = entropy::bytes().ok()?;
    HeaderValue::from_str(&hex(&random)).ok()
}

/// One path segment or query value, percent-encoded.
pub fn segment(text: &str) -> String {
    utf8_percent_encode(text, SEGMENT).to_string()
}

/// An object of the entries that have a value.
pub fn object<'a>(entries: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Value {
    let present =
        entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
    Value::Object(present.collect())
}

fn is_address(text: &str) -> bool {
    let Ok(uri) = text.parse::<Uri>() else { return false };
    let plain = uri.authority().is_some_and(|a| !a.as_str().contains('@'));
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    known && plain && uri.query().is_none() && !text.contains('#')
}

fn answer(sent: Result<Response<Bytes>, ClientError>) -> Result<Value, Failed> {
    let response = match sent {
        Ok(response) => response,
        Err(ClientError::BadRequest(why)) => return Err(Failed::Usage(why)),
        Err(
            error @ (ClientError::Deadline(_)
            | ClientError::TooLarge(_)
            | ClientError::Unreachable(_)
            | ClientError::Broken(_)),
        ) => return Err(Failed::Unreachable(error.to_string())),
    };
    let status = response.status();
    let body = serde_json::from_slice::<Value>(response.body()).ok().filter(Value::is_object);
    match body {
        Some(body) if status.is_success() => Ok(body),
        None if status.is_success() => Err(not_the_api()),
        // Something before the API that cannot reach it.
        None if status.is_server_error() => Err(Failed::Unreachable(format!("status {status}"))),
        problem => Err(Failed::Refused { status, problem }),
    }
}

fn not_the_api() -> Failed {
    Failed::Unreachable("what answered is not the API of Tidegate".to_owned())
}
