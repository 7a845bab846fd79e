//! Attributes from a Redis hash: every field is a text.
//!
//! Each question has a connection of its own, on the runtime of the core that asks, and reads a
//! bounded answer: what a library reads is as large as the server likes.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::RedisSourceConfig;

use super::Wanted;
use super::known::{Attributes, Known};
use super::lookup::{as_is, written};
use super::resp::{self, Reply};
use super::source::{Failed, Found};

/// Bytes of all replies; more is a failure.
const LARGEST: usize = 64 << 10;

pub struct Redis {
    config: RedisSourceConfig,
}

impl Redis {
    #[must_use]
    pub fn new(config: &RedisSourceConfig) -> Self {
        Self { config: config.clone() }
    }

    /// # Errors
    /// Nobody answers in time, or not with a hash of texts.
    pub async fn ask(&self, wanted: &Wanted<'_>, key: &str) -> Result<Found, Failed> {
        let key = written(&self.config.key, wanted, key, as_is);
        let asking = timeout(self.config.timeout, self.exchange(&key)).await;
        let late = || Failed(format!("no answer within {:?}", self.config.timeout));
        let reply = asking.unwrap_or_else(|_late| Err(late()))?;
        found(reply)
    }

    async fn exchange(&self, key: &str) -> Result<Reply, Failed> {
        let broken =
            |what: &str, fault: &std::io::Error| Failed(format!("{what}: {}", fault.kind()));
        let address = (&*self.config.address.host, self.config.address.port);
        let mut stream =
            TcpStream::connect(address).await.map_err(|fault| broken("no connection", &fault))?;
        let _only_slower = stream.set_nodelay(true);
        let (sent, count) = self.commands(key);
        stream.write_all(&sent).await.map_err(|fault| broken("the question", &fault))?;
        let mut bytes = Vec::new();
        loop {
            match resp::replies(&bytes, count).map_err(|why| Failed(why.to_owned()))? {
                Some(replies) => return last(replies),
                None if bytes.len() >= LARGEST => {
                    return Err(Failed(format!("the answer is larger than {LARGEST} bytes")));
                }
                None => (),
            }
            let read = stream.read_buf(&mut bytes).await;
            if read.map_err(|fault| broken("the answer", &fault))? == 0 {
                return Err(Failed("the connection ended before the answer did".to_owned()));
            }
        }
    }

    /// What is sent, and how many replies there are to it.
    fn commands(&self, key: &str) -> (Vec<u8>, usize) {
        let (mut sent, mut count) = (Vec::new(), 1);
        let login = &self.config.login;
        if let Some(password) = &login.password {
            count += 1;
            match &login.username {
                Some(username) => resp::command(&mut sent, &["AUTH", username, password]),
                None => resp::command(&mut sent, &["AUTH", password]),
            }
        }
        if self.config.database != 0 {
            count += 1;
            resp::command(&mut sent, &["SELECT", &self.config.database.to_string()]);
        }
        resp::command(&mut sent, &["HGETALL", key]);
        (sent, count)
    }
}

/// The last reply, when none of them refuses.
fn last(replies: Vec<Reply>) -> Result<Reply, Failed> {
    let mut last = None;
    for reply in replies {
        if let Reply::Refused(code) = reply {
            return Err(Failed(format!("the server answered {code}")));
        }
        last = Some(reply);
    }
    last.ok_or_else(|| Failed("the server did not answer".to_owned()))
}

fn found(reply: Reply) -> Result<Found, Failed> {
    let strange = || Failed("the answer is no hash of texts".to_owned());
    let Reply::Texts(parts) = reply else { return Err(strange()) };
    if parts.is_empty() {
        return Ok(Found::NotThere);
    }
    let mut attributes = Attributes::new();
    for pair in parts.chunks(2) {
        let [field, value] = pair else { return Err(strange()) };
        if attributes.insert(field.clone(), Value::String(value.clone())).is_some() {
            return Err(strange());
        }
    }
    Known::of(attributes).map(Found::There).map_err(|why| Failed(why.to_owned()))
}
