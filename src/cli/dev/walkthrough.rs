//! `tidegate dev --walkthrough`: the whole story as real HTTP calls, each printed with its status.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Value, json};

use super::setup::Addresses;
use super::stream;
use crate::http_client::HttpClient;

const DEADLINE: Duration = Duration::from_secs(10);
const MAX_BODY: usize = 1 << 20;

/// A step that did not come out as it should: what was expected and what was found.
#[derive(Debug, thiserror::Error)]
#[error("{step}: expected {expected}, found {found}")]
pub struct WentWrong {
    step: String,
    expected: String,
    found: String,
}

struct Story {
    client: HttpClient,
    at: Addresses,
    number: u32,
}

/// What a call came back with.
struct Told {
    status: StatusCode,
    body: Value,
}

/// Plays the story.
///
/// # Errors
/// The first step that did not come out as it should.
pub async fn play(at: Addresses) -> Result<(), WentWrong> {
    let mut story = Story { client: HttpClient::new(), at, number: 0 };
    let (alice, bob) = (story.token("alice").await?, story.token("bob").await?);
    story.first_grant(&alice, &bob).await?;
    story.stream_that_ends(&alice, &bob).await?;
    println!("\nEvery step came out as it should.");
    Ok(())
}

impl Story {
    /// Refused, asked, approved, allowed, revoked, refused.
    async fn first_grant(&mut self, alice: &str, bob: &str) -> Result<(), WentWrong> {
        self.visit("Without a token nobody gets in", None, 401, "no-credential").await?;
        self.visit("alice has no grant; the answer says how to ask", Some(alice), 403, "no-grant")
            .await?;
        let request = self.ask(alice, "alice asks for half an hour").await?;
        let path = format!("/requests/{request}/approve");
        self.api("alice cannot approve her own request", alice, &path, json!({}), 403).await?;
        let told = self.api("bob approves", bob, &path, json!({}), 200).await?;
        let grant = text(&told.body, "/grants/0");
        self.visit("The very next request is allowed", Some(alice), 200, "").await?;
        self.write("A reader cannot write", alice).await?;
        let path = format!("/grants/{grant}/revoke");
        let reason = json!({ "reason": "that was enough" });
        self.api("bob revokes", bob, &path, reason, 200).await?;
        self.visit("The very next request is refused", Some(alice), 403, "grant-revoked").await?;
        Ok(())
    }

    /// A grant of two seconds that ends while a stream is open.
    async fn stream_that_ends(&mut self, alice: &str, bob: &str) -> Result<(), WentWrong> {
        let request = self.ask(alice, "alice asks again").await?;
        let path = format!("/requests/{request}/approve");
        let bounds = json!({ "duration": "PT2S", "comment": "two seconds will do" });
        self.api("bob approves, for two seconds only", bob, &path, bounds, 200).await?;
        let step = self.step("alice opens a stream that would never end by itself");
        let events = stream::read_until_cut(self.at.proxy, "/notes/ticks", alice, DEADLINE).await;
        let events = events.map_err(|found| WentWrong {
            step,
            expected: "a stream that is cut when the grant ends".to_owned(),
            found: found.to_string(),
        })?;
        println!("   GET /notes/ticks -> 200, {events} events, cut when the grant ended");
        self.visit("The grant has expired", Some(alice), 403, "grant-expired").await?;
        Ok(())
    }

    fn step(&mut self, what: &str) -> String {
        self.number += 1;
        println!("{:2}. {what}", self.number);
        format!("step {} ({what})", self.number)
    }

    async fn token(&mut self, user: &str) -> Result<String, WentWrong> {
        let step = self.step(&format!("A token for {user}"));
        let uri = format!("http://{}/token", self.at.idp);
        let request = Request::post(uri)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Full::from(format!("user={user}")));
        let told = self.call(&step, request, 200).await?;
        Ok(text(&told.body, "/access_token"))
    }

    async fn visit(
        &mut self,
        what: &str,
        token: Option<&str>,
        status: u16,
        problem: &str,
    ) -> Result<(), WentWrong> {
        let step = self.step(what);
        let mut request = Request::get(format!("http://{}/notes/", self.at.proxy));
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let told = self.call(&step, request.body(Full::default()), status).await?;
        let found = text(&told.body, "/type");
        let found = found.trim_start_matches("urn:tidegate:problem:");
        if found == problem {
            return Ok(());
        }
        Err(WentWrong { step, expected: problem.to_owned(), found: found.to_owned() })
    }

    async fn write(&mut self, what: &str, token: &str) -> Result<(), WentWrong> {
        let step = self.step(what);
        let request = Request::post(format!("http://{}/notes/", self.at.proxy))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .body(Full::from("a note"));
        self.call(&step, request, 403).await.map(drop)
    }

    async fn ask(&mut self, token: &str, what: &str) -> Result<String, WentWrong> {
        let body = json!({
            "template": "notes-reader", "duration": "PT30M", "justification": "look something up",
        });
        let told = self.api(what, token, "/requests", body, 201).await?;
        Ok(text(&told.body, "/id"))
    }

    async fn api(
        &mut self,
        what: &str,
        token: &str,
        path: &str,
        body: Value,
        status: u16,
    ) -> Result<Told, WentWrong> {
        let step = self.step(what);
        let request = Request::post(format!("http://{}/api/v1{path}", self.at.api))
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(body.to_string()));
        self.call(&step, request, status).await
    }

    /// Sends one call, prints it with its status, and compares.
    async fn call(
        &self,
        step: &str,
        request: Result<Request<Full<Bytes>>, http::Error>,
        expected: u16,
    ) -> Result<Told, WentWrong> {
        let wrong = |found: String| WentWrong {
            step: step.to_owned(),
            expected: expected.to_string(),
            found,
        };
        let request = request.map_err(|error| wrong(error.to_string()))?;
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = self.client.send(request, DEADLINE, MAX_BODY).await;
        let answer = answer.map_err(|error| wrong(error.to_string()))?;
        print_call(&method, &path, &answer);
        let status = answer.status();
        let body = serde_json::from_slice(answer.body()).unwrap_or_default();
        if status.as_u16() == expected {
            return Ok(Told { status, body });
        }
        Err(wrong(format!("{status}: {}", String::from_utf8_lossy(answer.body()))))
    }
}

fn print_call(method: &Method, path: &str, answer: &Response<Bytes>) {
    let body: Value = serde_json::from_slice(answer.body()).unwrap_or_default();
    let detail = match body.pointer("/detail").and_then(Value::as_str) {
        Some(detail) => format!(" ({detail})"),
        None => String::new(),
    };
    println!("   {method} {path} -> {}{detail}", answer.status());
}

fn text(body: &Value, pointer: &str) -> String {
    body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}
