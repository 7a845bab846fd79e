//! A key server on loopback that answers as it is told.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

#[derive(Clone)]
pub enum Answer {
    /// The whole response.
    Bytes(Vec<u8>),
    /// By path: the body of a JSON response.
    Paths(Vec<(&'static str, String)>),
    /// A JSON body that never ends.
    Endless,
    /// Nothing, for ever.
    Silence,
    /// Hangs up.
    Gone,
}

pub struct KeyServer {
    pub url: String,
    answer: Arc<Mutex<Answer>>,
    hits: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for KeyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl KeyServer {
    pub async fn start(answer: Answer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answer, hits) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let (answers, counter) = (Arc::clone(&answer), Arc::clone(&hits));
        let task = tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                let answer = answers.lock().unwrap().clone();
                tokio::spawn(async move {
                    let mut head = vec![0; 4096];
                    let read = stream.read(&mut head).await.unwrap_or_default();
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    serve(&mut stream, &head, answer).await;
                });
            }
        });
        Self { url, answer, hits, task }
    }

    pub fn now_answers(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    pub fn hits(&self) -> usize {
        self.hits.load(Ordering::SeqCst)
    }
}

async fn serve(stream: &mut tokio::net::TcpStream, head: &str, answer: Answer) {
    let bytes = match answer {
        Answer::Bytes(bytes) => bytes,
        Answer::Paths(paths) => {
            let path = head.split(' ').nth(1).unwrap_or_default();
            match paths.into_iter().find(|(known, _)| *known == path) {
                Some((_, body)) => response("200 OK", "application/json", &body),
                None => response("404 Not Found", "text/plain", "no"),
            }
        }
        Answer::Endless => {
            let head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"keys\":[";
            let _ = stream.write_all(head).await;
            let chunk = vec![b' '; 64 * 1024];
            while stream.write_all(&chunk).await.is_ok() {}
            return;
        }
        Answer::Silence => std::future::pending().await,
        Answer::Gone => return,
    };
    let _ = stream.write_all(&bytes).await;
}

pub fn response(status: &str, kind: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    let head = format!("content-type: {kind}\r\ncontent-length: {length}\r\nconnection: close");
    format!("HTTP/1.1 {status}\r\n{head}\r\n\r\n{body}").into_bytes()
}
