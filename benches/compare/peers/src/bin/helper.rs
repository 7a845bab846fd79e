//! Envoy's helper: answers `envoy.service.auth.v3.Authorization/Check` with a read of Redis.
//!
//! Envoy has verified the token and put its subject into `x-sub`. One thread, one connection to Redis
//! on which everything that is asked in one wake-up is sent in one write. The few fields of the
//! protocol that matter are read and written by hand.
//!
//! `helper ADDRESS`, with REDIS.

use bytes::{Bytes, BytesMut};
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderValue, Request, Response};
use tidegate_bench_peers::grant_key;
use tidegate_bench_peers::grants::Grants;
use tokio::net::{TcpListener, TcpStream};

fn main() {
    let listen = std::env::args().nth(1).expect("ADDRESS:PORT");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tasks = tokio::task::LocalSet::new();
    runtime.expect("a runtime").block_on(tasks.run_until(serve(listen)));
}

async fn serve(listen: String) {
    let listener = TcpListener::bind(listen).await.expect("the address is free");
    let grants = Grants::spawn();
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        tokio::task::spawn_local(connection(stream, grants.clone()));
    }
}

async fn connection(stream: TcpStream, grants: Grants) {
    drop(stream.set_nodelay(true));
    let mut builder = h2::server::Builder::new();
    // More than 20 callers that give up at once would otherwise end the connection for all.
    builder.max_concurrent_streams(1024).max_pending_accept_reset_streams(4096);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::task::spawn_local(answer(request, respond, grants.clone()));
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    grants: Grants,
) -> Option<()> {
    let message = whole(request.into_body()).await?;
    let status = match asked(message.get(5..)?) {
        Some((subject, path)) => grants.status(grant_key(&subject, &path)).await,
        None => 401,
    };
    let head = Response::builder().header("content-type", "application/grpc").body(()).ok()?;
    let mut stream = respond.send_response(head, false).ok()?;
    stream.send_data(verdict(status), false).ok()?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers).ok()
}

async fn whole(mut body: RecvStream) -> Option<Bytes> {
    let mut message = BytesMut::new();
    while let Some(part) = body.data().await {
        let part = part.ok()?;
        body.flow_control().release_capacity(part.len()).ok()?;
        message.extend_from_slice(&part);
    }
    Some(message.freeze())
}

/// Subject and path of a `CheckRequest`: attributes (1), request (4), http (2), headers (3), path (4).
fn asked(message: &[u8]) -> Option<(String, String)> {
    let http = [1, 4, 2].into_iter().try_fold(message, |within, number| field(within, number))?;
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok();
    let subject = fields(http).filter(|(number, _)| *number == 3).find_map(|(_, header)| {
        (field(header, 1)? == b"x-sub").then(|| field(header, 2)).flatten()
    })?;
    Some((text(subject)?, text(field(http, 4)?)?))
}

fn field(message: &[u8], wanted: u64) -> Option<&[u8]> {
    fields(message).find_map(|(number, value)| (number == wanted).then_some(value))
}

/// The fields of a protobuf message; those that are numbers have an empty value.
fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        let tag = varint(&mut rest)?;
        let length = match tag & 7 {
            0 => varint(&mut rest).map(|_| 0)?,
            1 => return rest.split_off(..8).map(|_| (tag >> 3, &[][..])),
            5 => return rest.split_off(..4).map(|_| (tag >> 3, &[][..])),
            2 => usize::try_from(varint(&mut rest)?).ok()?,
            _ => return None,
        };
        Some((tag >> 3, rest.split_off(..length)?))
    })
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *rest.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// A `CheckResponse` with its gRPC frame: `status.code` (1, 1), `denied_response.status.code` (2, 1, 1).
fn verdict(status: u16) -> Bytes {
    let [low, high] = match status {
        200 => return Bytes::from_static(&[0, 0, 0, 0, 2, 0x0a, 0]),
        401 => [0x91, 3],
        403 => [0x93, 3],
        _ => [0xf7, 3],
    };
    let frame = [0, 0, 0, 0, 11];
    let denied = [0x0a, 2, 0x08, 7, 0x12, 5, 0x0a, 3, 0x08, low, high];
    Bytes::from([&frame[..], &denied[..]].concat())
}
