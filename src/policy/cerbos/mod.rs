//! The real Cerbos policy decision point (PDP), asked over gRPC.
//!
//! In reading order: [`question`] makes the request, [`dial`] the connection, and [`answer`]
//! takes the response for decisions, or for none.

mod answer;
mod dial;
mod messages;
mod question;

#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use http::uri::PathAndQuery;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use super::watch::FaultKind;
use super::{Decision, Query, Reason};
use crate::config::{CerbosAddress, CerbosConfig};
use crate::tls::{self, Trust};
use dial::Dial;
use messages::{
    CHECK_RESOURCES, CheckResourcesRequest, CheckResourcesResponse, HEALTH, HealthRequest,
    HealthResponse, SERVICE, SERVING,
};

/// More actions are refused by the PDP as it is shipped.
const MOST_ACTIONS: usize = 50;
/// Bytes of an answer.
const MOST_BYTES: usize = 1024 * 1024;
/// A connection that carries nothing is tried so often, and has as long to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// Why the PDP did not decide; the text is for people and has nothing of the question in it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct PdpFault {
    pub kind: FaultKind,
    pub why: String,
}

impl PdpFault {
    fn new(kind: FaultKind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }
}

/// One PDP. Its connection belongs to the runtime that it was made on, and is asked from any.
pub struct Pdp {
    channel: Channel,
    timeout: Duration,
    send_token: bool,
}

fn connector(config: &CerbosConfig) -> Result<TlsConnector, String> {
    let client = config.client.as_ref().map(|(chain, key)| (chain.as_path(), key.as_path()));
    let mut client = tls::client(Trust { ca: config.ca.as_deref(), client, valid_at: None })
        .map_err(|why| format!("policy.cerbos.{}: {why}", why.key()))?;
    client.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsConnector::from(Arc::new(client)))
}

impl Pdp {
    /// Connects when it is first asked. Has to be made within a runtime.
    ///
    /// # Errors
    /// What of the configuration cannot be used.
    pub fn new(config: &CerbosConfig) -> Result<Self, String> {
        let (origin, tls) = match &config.address {
            CerbosAddress::Tcp { host, port } => (origin("http", host, *port), None),
            CerbosAddress::Unix(_) => ("http://localhost".to_owned(), None),
            CerbosAddress::Tls { host, port } => {
                (origin("https", host, *port), Some(connector(config)?))
            }
        };
        let endpoint = Endpoint::from_shared(origin)
            .map_err(|fault| format!("policy.cerbos.address: {fault}"))?
            .connect_timeout(config.timeout)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE)
            .keep_alive_while_idle(true);
        let dial = Dial { address: config.address.clone(), tls };
        let channel = endpoint.connect_with_connector_lazy(dial);
        Ok(Self { channel, timeout: config.timeout, send_token: config.send_token })
    }

    /// One decision for each action, in order.
    ///
    /// # Errors
    /// Whatever kept the PDP from answering exactly this, within the time.
    pub async fn check(&self, query: &Query<'_>) -> Result<Vec<Decision>, PdpFault> {
        if query.principal.roles.is_empty() {
            let denied = Decision::plain(false, Reason::Denied, "NONE", "the caller has no roles");
            return Ok(vec![denied; query.actions.len()]);
        }
        if query.actions.len() > MOST_ACTIONS {
            let why = format!("more than {MOST_ACTIONS} actions cannot be asked at once");
            return Err(PdpFault::new(FaultKind::Question, why));
        }
        let make = AssertUnwindSafe(|| question::question(query, self.send_token));
        let question: CheckResourcesRequest = catch_unwind(make)
            .map_err(|_| PdpFault::new(FaultKind::Engine, "the attributes could not be made"))?;
        let answer: CheckResourcesResponse = self.call(CHECK_RESOURCES, question).await?;
        answer::decisions(query, answer).map_err(|why| PdpFault::new(FaultKind::Answer, why))
    }

    /// Whether the PDP serves, now.
    ///
    /// # Errors
    /// Why not.
    pub async fn probe(&self) -> Result<(), PdpFault> {
        let question = HealthRequest { service: SERVICE.to_owned() };
        let answer: HealthResponse = self.call(HEALTH, question).await?;
        if answer.status == SERVING {
            return Ok(());
        }
        Err(PdpFault::new(FaultKind::Refused, "the PDP says that it does not serve"))
    }

    /// The deadline is kept here, whatever the other side makes of the one that it is told.
    async fn call<Q, A>(&self, path: &'static str, question: Q) -> Result<A, PdpFault>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let late = || {
            let why = format!("the PDP did not answer within {} ms", self.timeout.as_millis());
            PdpFault::new(FaultKind::Deadline, why)
        };
        let answer = tokio::time::timeout(self.timeout, self.exchange(path, question)).await;
        answer.unwrap_or_else(|_elapsed| Err(late()))
    }

    async fn exchange<Q, A>(&self, path: &'static str, question: Q) -> Result<A, PdpFault>
    where
        Q: prost::Message + Send + Sync + 'static,
        A: prost::Message + Default + Send + Sync + 'static,
    {
        let mut client = Grpc::new(self.channel.clone()).max_decoding_message_size(MOST_BYTES);
        let lost = |_| PdpFault::new(FaultKind::Connection, "the PDP cannot be reached");
        client.ready().await.map_err(lost)?;
        let mut request = Request::new(question);
        request.set_timeout(self.timeout);
        let (path, codec) = (PathAndQuery::from_static(path), ProstCodec::<Q, A>::default());
        let answer = client.unary(request, path, codec).await;
        answer.map(tonic::Response::into_inner).map_err(|status| refused(&status))
    }
}

/// The PDP's own text may repeat the question, and is not told.
fn refused(status: &Status) -> PdpFault {
    match status.code() {
        Code::Unavailable => PdpFault::new(FaultKind::Connection, "the PDP cannot be reached"),
        Code::DeadlineExceeded | Code::Cancelled => {
            PdpFault::new(FaultKind::Deadline, "the PDP did not answer in time")
        }
        code => {
            let why = format!("the PDP answered with an error ({code:?})");
            PdpFault::new(FaultKind::Refused, why)
        }
    }
}

fn origin(scheme: &str, host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("{scheme}://[{host}]:{port}")
    } else {
        format!("{scheme}://{host}:{port}")
    }
}
