//! One question to one server, over a connection of its own.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, ErrorKind, RedisConnectionInfo, RedisError, Value};

use crate::config::{RedisAddress, RedisLogin};

use super::super::connect::Connector;
use super::super::reply::Refusal;

/// The answers to `commands`, in order, or why there are none (for logs).
///
/// # Errors
/// The server cannot be reached, refuses, or takes longer than [`Connector::deadline`].
pub async fn ask(
    connector: &Connector,
    login: &RedisLogin,
    address: &RedisAddress,
    commands: &[Cmd],
) -> Result<Vec<Value>, String> {
    let asking = asked(connector, login, address, commands);
    let answer = match tokio::time::timeout(connector.deadline, asking).await {
        Ok(answer) => answer,
        Err(_late) => Err("took too long".to_owned()),
    };
    answer.map_err(|why| format!("{}:{}: {why}", address.host, address.port))
}

async fn asked(
    connector: &Connector,
    login: &RedisLogin,
    address: &RedisAddress,
    commands: &[Cmd],
) -> Result<Vec<Value>, String> {
    let stream = connector.dial(address).await.map_err(|fault| fault.to_string())?;
    let mut info = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = &login.username {
        info = info.set_username(username);
    }
    if let Some(password) = &login.password {
        info = info.set_password(password);
    }
    let made = MultiplexedConnection::new(&info, stream).await;
    let (mut connection, driver) = made.map_err(|fault| told(&fault))?;
    let asking = async {
        let mut answers = Vec::with_capacity(commands.len());
        for command in commands {
            let answer = command.query_async::<Value>(&mut connection).await;
            answers.push(answer.map_err(|fault| told(&fault))?);
        }
        Ok(answers)
    };
    tokio::select! {
        answers = asking => answers,
        () = driver => Err("closed the connection".to_owned()),
    }
}

/// Without the server's own words, which could be anybody's.
fn told(fault: &RedisError) -> String {
    match (fault.kind(), fault.code()) {
        (ErrorKind::AuthenticationFailed, _) => "refused the login".to_owned(),
        (_, Some(code)) => format!("answered {}", Refusal::of(code.as_bytes()).word()),
        (_, None) => fault.category().to_owned(),
    }
}

/// The text of a bulk or simple string.
#[must_use]
pub fn text(value: &Value) -> Option<&str> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok(),
        Value::SimpleString(text) => Some(text),
        _ => None,
    }
}

#[must_use]
pub fn list(value: &Value) -> Option<&[Value]> {
    if let Value::Array(items) = value { Some(items) } else { None }
}
