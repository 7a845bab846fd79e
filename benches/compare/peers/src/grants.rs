//! Reads of Redis for the helpers: one connection, everything that is asked in one wake-up in one write.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::{address, push_get, take_reply};

const DEADLINE: Duration = Duration::from_millis(200);
type Question = (String, oneshot::Sender<bool>);

#[derive(Clone)]
pub struct Grants(mpsc::UnboundedSender<Question>);

impl Grants {
    /// On the `LocalSet` that runs this. From `REDIS`.
    #[must_use]
    pub fn spawn() -> Self {
        let (ask, questions) = mpsc::unbounded_channel();
        tokio::task::spawn_local(read_grants(questions));
        Self(ask)
    }

    /// 200: there is a grant under this key; 403: there is none; 503: nobody knows.
    pub async fn status(&self, key: String) -> u16 {
        let (ask, answer) = oneshot::channel();
        drop(self.0.send((key, ask)));
        match tokio::time::timeout(DEADLINE, answer).await {
            Ok(Ok(true)) => 200,
            Ok(Ok(false)) => 403,
            _ => 503,
        }
    }
}

/// Reconnects for ever; what was asked of a connection that died is answered 503.
async fn read_grants(mut questions: mpsc::UnboundedReceiver<Question>) {
    let mut next = Vec::new();
    loop {
        if let Ok(mut stream) = TcpStream::connect(address("REDIS")).await {
            drop(stream.set_nodelay(true));
            let _ended = converse(&mut stream, &mut questions, &mut next).await;
        }
        next.clear();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn converse(
    stream: &mut TcpStream,
    questions: &mut mpsc::UnboundedReceiver<Question>,
    next: &mut Vec<Question>,
) -> std::io::Result<()> {
    let (mut input, mut output) = stream.split();
    let (mut waiting, mut answered, mut asked) = (VecDeque::new(), BytesMut::new(), Vec::new());
    loop {
        tokio::select! {
            count = questions.recv_many(next, 256) => {
                if count == 0 { return Ok(()) }
                for (key, answer) in next.drain(..) {
                    push_get(&mut asked, &key);
                    waiting.push_back(answer);
                }
                output.write_all(&asked).await?;
                asked.clear();
            }
            read = input.read_buf(&mut answered) => {
                if read? == 0 { return Ok(()) }
                while let Some((granted, length)) = take_reply(&answered) {
                    drop(answered.split_to(length));
                    let Some(answer) = waiting.pop_front() else { return Ok(()) };
                    let _gone: Result<(), bool> = oneshot::Sender::send(answer, granted);
                }
            }
        }
    }
}
