//! Attributes over HTTP: 200 with a JSON object, 404 or 410, and nothing else.

use std::path::Path;

use ::http::header::{ACCEPT, AUTHORIZATION};
use ::http::{HeaderValue, Request, StatusCode};
use bytes::Bytes;
use http_body_util::Full;

use crate::clock::SharedClock;
use crate::config::HttpSourceConfig;
use crate::http_client::HttpClient;
use crate::strict_json;

use super::Wanted;
use super::cache::Cache;
use super::known::Known;
use super::lookup::{escaped, written};
use super::source::{Failed, Found};

/// Bytes of an answer; more is a failure.
const LARGEST: usize = 64 << 10;
const LARGEST_TOKEN: u64 = 16 << 10;

pub struct Http {
    config: HttpSourceConfig,
    client: HttpClient,
    authorization: Option<HeaderValue>,
    cache: Option<Cache>,
    clock: SharedClock,
}

impl Http {
    /// # Errors
    /// The token cannot be read or sent.
    pub fn open(config: &HttpSourceConfig, clock: SharedClock) -> Result<Self, String> {
        let authorization = config.token_file.as_deref().map(bearer).transpose()?;
        let cache = config.cache.map(Cache::new);
        let client = HttpClient::new();
        Ok(Self { config: config.clone(), client, authorization, cache, clock })
    }

    /// The answer, and whether it was remembered.
    pub async fn ask(&self, wanted: &Wanted<'_>, key: &str) -> (Result<Found, Failed>, bool) {
        let target = written(&self.config.target, wanted, key, escaped);
        if has_dots(&target) {
            return (Ok(Found::NotThere), false);
        }
        if let Some(found) = self.cache.as_ref().and_then(|it| it.get(&target, self.clock.now())) {
            return (Ok(found), true);
        }
        let found = self.fetch(&target).await;
        if let (Some(cache), Ok(found)) = (&self.cache, &found) {
            cache.put(target, found.clone(), self.clock.now());
        }
        (found, false)
    }

    async fn fetch(&self, target: &str) -> Result<Found, Failed> {
        let mut request = Request::get(format!("{}{target}", self.config.origin))
            .header(ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = &self.authorization {
            request = request.header(AUTHORIZATION, token);
        }
        let request = request
            .body(Full::<Bytes>::default())
            .map_err(|_| Failed("the address is none that can be asked".to_owned()))?;
        let answer = self.client.send(request, self.config.timeout, LARGEST).await;
        let answer = answer.map_err(|fault| Failed(fault.to_string()))?;
        match answer.status() {
            StatusCode::OK => read(answer.body()),
            StatusCode::NOT_FOUND | StatusCode::GONE => Ok(Found::NotThere),
            other => Err(Failed(format!("the answer has the status {}", other.as_u16()))),
        }
    }
}

fn read(body: &[u8]) -> Result<Found, Failed> {
    let attributes = strict_json::parse_object(body)
        .map_err(|why| Failed(format!("the answer cannot be used: {why}")))?;
    Known::of(attributes).map(Found::There).map_err(|why| Failed(why.to_owned()))
}

/// Whether somebody on the way could take a part of the path for "here" or "up": also somebody who
/// takes an escaped separator for one.
fn has_dots(target: &str) -> bool {
    let path = target.split('?').next().unwrap_or_default();
    let segments = path.split('/').flat_map(|it| it.split("%2F")).flat_map(|it| it.split("%5C"));
    segments.into_iter().any(|segment| matches!(segment, "." | ".."))
}

fn bearer(path: &Path) -> Result<HeaderValue, String> {
    use std::io::Read;

    let unusable = || "token_file: no file with a token that can be sent".to_owned();
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|_| unusable())?;
    file.take(LARGEST_TOKEN).read_to_string(&mut text).map_err(|_| unusable())?;
    let token = text.trim_end_matches(['\r', '\n']);
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(unusable());
    }
    let mut value = HeaderValue::try_from(format!("Bearer {token}")).map_err(|_| unusable())?;
    value.set_sensitive(true);
    Ok(value)
}
