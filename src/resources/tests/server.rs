//! One answer of bytes for each connection, and what was asked.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

pub struct Server {
    pub port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    answer: Arc<Mutex<Option<Vec<u8>>>>,
}

impl Server {
    /// `None`: it never answers.
    pub async fn saying(answer: Option<&[u8]>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let said = Arc::new(Mutex::new(answer.map(<[u8]>::to_vec)));
        let (log, source) = (asked.clone(), said.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (log, source) = (log.clone(), source.clone());
                tokio::spawn(async move {
                    let mut buffer = vec![0; 4096];
                    let read = stream.read(&mut buffer).await.unwrap_or_default();
                    let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                    log.lock().expect("not poisoned").push(text);
                    let answer = source.lock().expect("not poisoned").clone();
                    if let Some(answer) = answer {
                        let _ = stream.write_all(&answer).await;
                    }
                    // Held open: no answer ends because the connection does.
                    let _ = stream.read(&mut buffer).await;
                });
            }
        });
        Self { port, asked, answer: said }
    }

    /// An HTTP answer.
    pub async fn json(status: &str, body: &str) -> Self {
        Self::saying(Some(&response(status, body))).await
    }

    pub fn now_says(&self, status: &str, body: &str) {
        *self.answer.lock().expect("not poisoned") = Some(response(status, body));
    }

    pub fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }

    /// The targets of what was asked over HTTP.
    pub fn targets(&self) -> Vec<String> {
        let target = |text: &String| text.split(' ').nth(1).unwrap_or_default().to_owned();
        self.asked().iter().map(target).collect()
    }
}

pub fn response(status: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nlocation: /documents/other\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
