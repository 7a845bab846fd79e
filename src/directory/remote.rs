//! A directory over HTTP: one question at a time, with a bound on time and on bytes.

use std::time::Duration;

use http::{StatusCode, Uri};

use crate::config::{DirectoryHttpConfig, Problems, directory_answer};
use crate::domain::people::Groups;
use crate::http_client::{ClientError, HttpClient};
use crate::strict_json::{self, JsonRefused};

/// As large as a file may be.
const MOST_BYTES: usize = 1 << 20;

/// Why there is nothing to take; what was answered before stays.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error(transparent)]
    Client(#[from] ClientError),
    #[error("the answer has status {0}; redirects are not followed")]
    Status(StatusCode),
    #[error("the answer cannot be read: {0}")]
    Json(#[from] JsonRefused),
    #[error("the answer has {0}")]
    Shape(Problems),
    #[error("the answer could not be read")]
    Unread,
}

pub struct Remote {
    client: HttpClient,
    url: Uri,
    timeout: Duration,
    pub refresh: Duration,
}

impl Remote {
    /// # Errors
    /// Roots that cannot be used, in words.
    pub fn open(config: &DirectoryHttpConfig) -> Result<Self, String> {
        let client = match &config.ca {
            Some(ca) => HttpClient::trusting(ca).map_err(|why| why.to_string())?,
            None => HttpClient::new(),
        };
        let (url, timeout, refresh) = (config.url.clone(), config.timeout, config.refresh);
        Ok(Self { client, url, timeout, refresh })
    }

    pub async fn answer(&self) -> Result<Groups, Unanswered> {
        let response = self.client.get(self.url.clone(), self.timeout, MOST_BYTES).await?;
        if response.status() != StatusCode::OK {
            return Err(Unanswered::Status(response.status()));
        }
        let body = response.into_body();
        // Beside the runtime: it may take a while.
        let read = tokio::task::spawn_blocking(move || {
            directory_answer(strict_json::parse_object(&body)?).map_err(Unanswered::Shape)
        });
        read.await.unwrap_or(Err(Unanswered::Unread))
    }
}
