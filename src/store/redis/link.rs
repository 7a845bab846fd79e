//! One connection, used by one at a time.
//!
//! Whoever drops an exchange half way leaves the link unusable: a reply is never taken for another's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Cmd, ErrorKind, ProtocolVersion, RedisConnectionInfo, Value};
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};

use super::Shared;
use super::reply::Refusal;
use super::script::Script;
use crate::config::{Acknowledge, RedisAddress, RedisLogin};
use crate::store::StoreFault;

/// A link that was not looked at for so long is looked at before it is used.
const LOOKED_AT_EVERY: Duration = Duration::from_secs(1);
/// Leads each exchange; no two are the same.
static NUMBER: AtomicU64 = AtomicU64::new(1);

pub struct Link {
    connection: MultiplexedConnection,
    driver: AbortHandle,
    whole: bool,
    looked_at: Instant,
    /// How far the server's clock was off when it was looked at.
    pub skew: Duration,
    pub fsync: Fsync,
}

/// How the server at the other end says that something is on its disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fsync {
    /// It is not asked for.
    NotAsked,
    /// `WAITAOF`.
    Waits,
    /// Every reply comes after it.
    Always,
    /// It does not.
    Unknown,
}

/// Why an exchange did not happen, or is not known to have.
#[derive(Clone, Debug)]
pub enum Trouble {
    Late,
    Broken(String),
    /// With what the server said besides.
    Refused(Refusal, String),
    /// Name or password are not the server's.
    Login,
    /// The server does not have the configured database; with what it said.
    Database(String),
    /// A replica, where a primary was expected.
    NotPrimary,
    Fault(StoreFault),
}

impl Trouble {
    /// Somebody else may hold the partition now.
    #[must_use]
    pub fn is_about_routes(&self) -> bool {
        match self {
            Self::Broken(_) | Self::NotPrimary => true,
            Self::Refused(refusal, _) => refusal.is_redirection() || refusal.is_wrong_node(),
            Self::Late | Self::Login | Self::Database(_) | Self::Fault(_) => false,
        }
    }
}

impl From<Trouble> for StoreFault {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Late => Self::Deadline,
            Trouble::Broken(why) => Self::Unreachable(why),
            Trouble::Refused(refusal, said) => {
                Self::Unreachable(format!("the server answered {}: {said}", refusal.word()))
            }
            Trouble::Login => Self::Unreachable("name or password are not the server's".into()),
            Trouble::Database(said) => {
                Self::Unreachable(format!("the server refuses the database: {said}"))
            }
            Trouble::NotPrimary => Self::Unreachable("the server is a replica".into()),
            Trouble::Fault(fault) => fault,
        }
    }
}

impl Link {
    /// Connects, logs in, and finds a primary at the other end.
    ///
    /// # Errors
    /// Nobody answers in time, or not as a primary that lets us in.
    pub async fn connect(shared: &Shared, address: &RedisAddress) -> Result<Self, Trouble> {
        let within = shared.connector.deadline;
        let connecting = Self::connect_unhurried(shared, address);
        timeout(within, connecting).await.unwrap_or(Err(Trouble::Late))
    }

    async fn connect_unhurried(shared: &Shared, address: &RedisAddress) -> Result<Self, Trouble> {
        let stream = shared.connector.dial(address).await;
        let stream = stream.map_err(|fault| Trouble::Broken(format!("{address:?}: {fault}")))?;
        // The database is asked for below: the library does not tell why it was refused.
        let settings = settings(&shared.connector.login, 0);
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let opened = MultiplexedConnection::new_with_config(&settings, stream, config).await;
        let (connection, driver) = opened.map_err(|fault| not_let_in(&fault))?;
        let driver = tokio::spawn(driver).abort_handle();
        let mut link = Self {
            connection,
            driver,
            whole: true,
            looked_at: Instant::now(),
            skew: Duration::ZERO,
            fsync: Fsync::NotAsked,
        };
        link.select(shared).await?;
        link.look(shared).await?;
        if shared.config.acknowledge == Acknowledge::Fsync {
            link.fsync = link.how_it_syncs(shared.connector.deadline).await?;
        }
        Ok(link)
    }

    async fn select(&mut self, shared: &Shared) -> Result<(), Trouble> {
        if shared.connector.database == 0 {
            return Ok(());
        }
        let mut select = redis::cmd("SELECT");
        select.arg(shared.connector.database);
        match only(self.exchange(&[select], shared.connector.deadline).await?) {
            Ok(_) => Ok(()),
            Err(Trouble::Refused(Refusal::Other, said)) => Err(Trouble::Database(said)),
            Err(trouble) => Err(trouble),
        }
    }

    /// Looks at the server again if that was a while ago.
    ///
    /// # Errors
    /// It is not a primary any more, or does not answer.
    pub async fn look_again(&mut self, shared: &Shared) -> Result<(), Trouble> {
        if self.looked_at.elapsed() < LOOKED_AT_EVERY {
            return Ok(());
        }
        self.look(shared).await
    }

    async fn look(&mut self, shared: &Shared) -> Result<(), Trouble> {
        let before = shared.clock.now();
        let asked = [redis::cmd("ROLE"), redis::cmd("TIME")];
        let replies = self.exchange(&asked, shared.config.timeout).await?;
        let after = shared.clock.now();
        let [role, time] = replies.as_slice() else { return Err(strange("ROLE and TIME")) };
        if word_of(role).as_deref() != Some(b"master") {
            return Err(refusal_of(role).unwrap_or(Trouble::NotPrimary));
        }
        let theirs = millis_of(time).ok_or_else(|| strange("TIME"))?;
        let ahead = theirs.saturating_sub(after.millis());
        let behind = before.millis().saturating_sub(theirs);
        self.skew = Duration::from_millis(ahead.max(behind));
        // One of the two is 0. So a process that nobody asks for anything yet knows, too.
        let signed = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX);
        shared.health.saw_skew(signed(ahead) - signed(behind));
        self.looked_at = Instant::now();
        Ok(())
    }

    async fn how_it_syncs(&mut self, within: Duration) -> Result<Fsync, Trouble> {
        let mut waits = redis::cmd("WAITAOF");
        waits.arg(0).arg(0).arg(1);
        let setting = |name: &str| redis::cmd("CONFIG").arg("GET").arg(name).to_owned();
        let questions = [waits, setting("appendonly"), setting("appendfsync")];
        let replies = self.exchange(&questions, within).await?;
        let [waited, file, policy] = replies.as_slice() else { return Err(strange("WAITAOF")) };
        if matches!(waited, Value::Array(_)) {
            return Ok(Fsync::Waits);
        }
        let is = |setting: &Value, wanted: &[u8]| matches!(setting, Value::Array(pair) if pair.get(1).and_then(bytes_of) == Some(wanted));
        // Without the file, how it would be synced means nothing.
        let always = is(file, b"yes") && is(policy, b"always");
        Ok(if always { Fsync::Always } else { Fsync::Unknown })
    }

    /// Sends commands and takes exactly their replies; errors of the server are replies.
    ///
    /// # Errors
    /// The connection broke, the replies are late or not the ones to these commands.
    pub async fn exchange(
        &mut self,
        commands: &[Cmd],
        within: Duration,
    ) -> Result<Vec<Value>, Trouble> {
        self.whole = false;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
        let mut pipeline = redis::Pipeline::with_capacity(commands.len() + 1);
        pipeline.cmd("ECHO").arg(&number);
        for command in commands {
            pipeline.add_command(command.clone());
        }
        let sent = self.connection.send_packed_commands(&pipeline, 0, commands.len() + 1);
        let replies = timeout(within, sent).await.map_err(|_late| Trouble::Late)?;
        let mut replies = replies.map_err(|fault| Trouble::Broken(broken(&fault)))?;
        if replies.len() != commands.len() + 1 {
            return Err(strange("a pipeline"));
        }
        let echoed = replies.remove(0);
        if bytes_of(&echoed) != Some(number.as_bytes()) {
            return Err(refusal_of(&echoed).unwrap_or_else(|| strange("ECHO")));
        }
        self.whole = true;
        Ok(replies)
    }

    /// [`Link::exchange`] of one call of `script`, which is loaded if the server does not have it.
    ///
    /// # Errors
    /// As there, and what the server refused.
    pub async fn run(
        &mut self,
        script: &Script,
        call: &Cmd,
        within: Duration,
    ) -> Result<Value, Trouble> {
        let call = std::slice::from_ref(call);
        match only(self.exchange(call, within).await?) {
            Err(Trouble::Refused(Refusal::NoScript, _)) => (),
            answer => return answer,
        }
        only(self.exchange(&[script.load()], within).await?)?;
        only(self.exchange(call, within).await?)
    }

    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.whole
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// How a connection introduces itself.
#[must_use]
pub fn settings(login: &RedisLogin, database: u16) -> RedisConnectionInfo {
    let mut settings = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP2)
        .set_skip_set_lib_name()
        .set_db(i64::from(database));
    if let Some(username) = &login.username {
        settings = settings.set_username(username);
    }
    if let Some(password) = &login.password {
        settings = settings.set_password(password);
    }
    settings
}

/// The library's words may quote what was sent; only the kind is told.
pub fn not_let_in(fault: &redis::RedisError) -> Trouble {
    match fault.kind() {
        ErrorKind::AuthenticationFailed => Trouble::Login,
        _ => Trouble::Broken(format!("the connection could not be set up: {}", broken(fault))),
    }
}

fn broken(fault: &redis::RedisError) -> String {
    format!("the connection failed ({:?})", fault.kind())
}

/// An answer in a shape that the command does not have.
#[must_use]
pub fn strange(what: &str) -> Trouble {
    Trouble::Broken(format!("an answer to {what} in no known shape"))
}

/// The only reply, when it is no error.
///
/// # Errors
/// It is one, or there are more.
pub fn only(replies: Vec<Value>) -> Result<Value, Trouble> {
    let Ok([reply]) = <[Value; 1]>::try_from(replies) else { return Err(strange("a command")) };
    refusal_of(&reply).map_or(Ok(reply), Err)
}

/// What the server refused, if that is what it says.
#[must_use]
pub fn refusal_of(value: &Value) -> Option<Trouble> {
    let Value::ServerError(error) = value else { return None };
    let said: String = error.details().unwrap_or_default().chars().take(160).collect();
    Some(match Refusal::of(error.code().as_bytes()) {
        Refusal::NoAuth | Refusal::WrongPass => Trouble::Login,
        refusal => Trouble::Refused(refusal, said),
    })
}

#[must_use]
pub fn bytes_of(value: &Value) -> Option<&[u8]> {
    match value {
        Value::BulkString(bytes) => Some(bytes),
        _ => None,
    }
}

/// The first word of an array.
fn word_of(value: &Value) -> Option<Arc<[u8]>> {
    let Value::Array(parts) = value else { return None };
    parts.first().and_then(bytes_of).map(Arc::from)
}

/// `TIME`: seconds and microseconds.
fn millis_of(value: &Value) -> Option<u64> {
    let Value::Array(parts) = value else { return None };
    let number = |value: &Value| std::str::from_utf8(bytes_of(value)?).ok()?.parse::<u64>().ok();
    let (seconds, micros) = (number(parts.first()?)?, number(parts.get(1)?)?);
    seconds.checked_mul(1000)?.checked_add(micros / 1000)
}
