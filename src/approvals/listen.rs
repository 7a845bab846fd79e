//! The API's listener: HTTP/1.1 with limits on heads, time and connections, and an orderly end.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use crate::tls::SharedTls;

/// Total time for a head, from when a connection waits for one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that a connection buffers for a head.
const HEAD_BYTES: usize = 32 * 1024;
const HEAD_COUNT: usize = 100;
const CONNECTIONS: usize = 1000;
/// How long open exchanges may take to finish after the stop.
const DRAIN: Duration = Duration::from_secs(10);
/// How long accepting pauses after the system refused it (out of file descriptors).
const PAUSE: Duration = Duration::from_millis(50);

/// Serves `router` on `listener` until `shutdown` completes; then open exchanges finish (at most
/// 10 s) and everything else is closed.
pub async fn serve(
    (listener, tls): (TcpListener, SharedTls),
    router: Router,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut open = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, slot)) = accepted {
            open.spawn(greeted(stream, tls.clone(), slot, (router.clone(), stopping.clone())));
        }
        while open.try_join_next().is_some() {}
    }
    drop(listener);
    stop.send_replace(true);
    let drained = async { while open.join_next().await.is_some() {} };
    let _late = tokio::time::timeout(DRAIN, drained).await;
    open.shutdown().await;
}

/// Waits for a free slot first, so that no more connections than slots are ever taken.
async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(%error, "the API could not accept a connection");
            tokio::time::sleep(PAUSE).await;
            None
        }
    }
}

/// The handshake, where there is one, within the time for a head.
async fn greeted(
    stream: TcpStream,
    tls: SharedTls,
    _slot: OwnedSemaphorePermit,
    (router, stopping): (Router, watch::Receiver<bool>),
) {
    let _best_effort = stream.set_nodelay(true);
    let Some(tls) = tls else { return connection(stream, router, stopping).await };
    match tokio::time::timeout(HEAD_TIMEOUT, tls.acceptor().accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, router, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake with the API failed"),
        Err(_elapsed) => tracing::debug!("a TLS handshake with the API took too long"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let exchange = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_COUNT)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    tokio::pin!(exchange);
    let ended = tokio::select! {
        ended = exchange.as_mut() => Some(ended),
        _ = stopping.wait_for(|stopping| *stopping) => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        exchange.as_mut().graceful_shutdown();
        exchange.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an API connection ended early");
    }
}
