use std::path::Path;

use axum::body::Body;
use http::Request;

use super::super::router::document;
use super::harness::World;
use crate::problem::ProblemCode;

#[test]
fn the_committed_openapi_document_is_the_one_the_code_makes() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json");
    let made = document().to_pretty_json().expect("a document") + "\n";
    if std::env::var_os("TIDEGATE_BLESS").is_some() {
        std::fs::write(&path, &made).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        committed == made,
        "docs/openapi.json is out of date; write it anew: TIDEGATE_BLESS=1 cargo nextest run openapi"
    );
    assert!(made.contains("\"openapi\": \"3.1.0\""));
}

#[tokio::test]
async fn the_openapi_document_and_a_page_per_problem_are_served_to_anybody() {
    let world = World::new();
    let get = |path: &str, accept: &str| {
        Request::get(path).header("accept", accept).body(Body::empty()).unwrap()
    };
    let document = world.send(get("/openapi.json", "*/*")).await;
    assert!(document.body["paths"]["/api/v1/requests"]["post"].is_object());
    for code in ProblemCode::ALL {
        let path = format!("/problems/{}", code.code());
        let json = world.send(get(&path, "application/json")).await;
        assert_eq!(json.body["status"], code.status());
        let page = world.send(get(&path, "text/html")).await;
        assert!(page.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(page.text.contains(code.title()));
    }
    let unknown = world.send(get("/problems/nothing", "*/*")).await;
    assert_eq!(unknown.problem(), (404, "not-found".into()));
}
