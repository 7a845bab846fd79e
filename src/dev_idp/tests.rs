use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};

use super::{DevIdpError, Minter, router};
use crate::clock::SystemClock;
use crate::http_client::HttpClient;

struct Running {
    url: String,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Running {
    async fn start(key_dir: Option<&Path>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = router(url.clone(), Arc::new(SystemClock), key_dir).unwrap();
        let task = tokio::spawn(async move { hold(listener, app).await });
        Self { url, task }
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> (StatusCode, Value) {
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).unwrap();
        let client = HttpClient::new();
        let response: Response<Bytes> =
            client.send(request, Duration::from_secs(10), 65_536).await.unwrap();
        (response.status(), serde_json::from_slice(response.body()).unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Request::get(format!("{}{path}", self.url)), "").await
    }

    async fn token(&self, form: &str) -> (StatusCode, Value) {
        let request = Request::post(format!("{}/token", self.url))
            .header("content-type", "application/x-www-form-urlencoded");
        self.send(request, form).await
    }
}

/// Serves with hyper itself: the axum of this build comes without its own server.
async fn hold(listener: tokio::net::TcpListener, app: axum::Router) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = hyper_util::service::TowerToHyperService::new(app.clone());
        let io = hyper_util::rt::TokioIo::new(stream);
        tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
    }
}

#[tokio::test]
async fn its_documents_lead_to_its_keys() {
    let idp = Running::start(None).await;
    let (status, document) = idp.get("/.well-known/openid-configuration").await;
    assert_eq!((status, &document["issuer"]), (StatusCode::OK, &json!(idp.url)));
    assert_eq!(document["jwks_uri"], format!("{}/jwks.json", idp.url));
    let (status, keys) = idp.get("/jwks.json").await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(keys["keys"][0]["kty"], "EC");
    assert!(keys["keys"][0].get("d").is_none());
}

#[tokio::test]
async fn everybody_gets_a_token_that_says_who_they_are() {
    let idp = Running::start(None).await;
    for (user, groups, roles) in [
        ("alice", json!(["engineering"]), json!([])),
        ("bob", json!(["engineering", "on-call-leads"]), json!(["approver"])),
        ("carol", json!(["security", "engineering"]), json!(["approver", "admin"])),
        ("dave", json!(["engineering"]), json!(["suspended"])),
        ("erin", json!(["audit"]), json!(["auditor"])),
    ] {
        let form = format!("user={user}&expires_in=60&audience=my%20tools");
        let (status, answer) = idp.token(&form).await;
        assert_eq!((status, &answer["token_type"]), (StatusCode::OK, &json!("Bearer")));
        assert_eq!(answer["expires_in"], 60);
        let token = answer["access_token"].as_str().unwrap();
        let claims: Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
        assert_eq!((&claims["sub"], &claims["iss"]), (&json!(user), &json!(idp.url)));
        assert_eq!((&claims["groups"], &claims["roles"]), (&groups, &roles));
        assert_eq!(claims["email"], format!("{user}@example.test"));
        assert_eq!(claims["aud"], "my tools");
        assert_eq!(claims["exp"].as_u64().unwrap(), claims["iat"].as_u64().unwrap() + 60);
    }
}

#[tokio::test]
async fn a_bad_form_is_a_problem_that_says_what_is_wrong() {
    let idp = Running::start(None).await;
    for (form, word) in [
        ("", "user"),
        ("user=mallory", "alice"),
        ("user=alice&expires_in=0", "expires_in"),
        ("user=alice&expires_in=86401", "expires_in"),
        ("user=alice&expires_in=-1", "expires_in"),
        ("user=alice&expires_in=%2B60", "expires_in"),
        ("user=alice&audience=", "audience"),
        ("user=alice&user=bob", "twice"),
        ("user=alice&admin=1", "fields"),
        ("user=%ff", "UTF-8"),
    ] {
        let (status, problem) = idp.token(form).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{form}");
        assert_eq!(problem["type"], "urn:tidegate:problem:invalid-input");
        assert!(problem["detail"].as_str().unwrap().contains(word), "{form} {problem}");
    }
    let long = format!("user={}", "a".repeat(5000));
    assert_eq!(idp.token(&long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(idp.get("/nowhere").await.0, StatusCode::NOT_FOUND);
    assert_eq!(idp.get("/token").await.0, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_page_under_a_foreign_name_cannot_use_it() {
    let idp = Running::start(None).await;
    let request = |host: &str| Request::get(format!("{}/jwks.json", idp.url)).header("host", host);
    assert_eq!(idp.send(request("evil.example.test"), "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(idp.send(request("127.0.0.1.evil.test:80"), "").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(idp.send(request("localhost:8082"), "").await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_kept_key_survives_a_restart_and_is_private() {
    let directory = tempfile::tempdir().unwrap();
    let first = Running::start(Some(directory.path())).await.get("/jwks.json").await;
    let second = Running::start(Some(directory.path())).await.get("/jwks.json").await;
    assert_eq!(first, second);
    let file = directory.path().join("dev-idp-es256.pkcs8");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(&file, b"not a key").unwrap();
    assert!(Minter::kept_in(directory.path()).is_err());
}

#[test]
fn an_issuer_that_is_not_a_listener_is_refused() {
    for issuer in ["", "localhost", "ftp://a", "http://a/path", "http://a?x", "http://u@a"] {
        let made = router(issuer.to_owned(), Arc::new(SystemClock), None);
        assert!(matches!(made, Err(DevIdpError::Issuer(_))), "{issuer}");
    }
}
