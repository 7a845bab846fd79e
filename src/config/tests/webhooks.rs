//! `webhook` in `audit.sinks`.

use std::time::Duration;

use crate::config::{Problem, SinkConfig, WebhookConfig};

use super::{Folder, HOOK_SECRET, changed};

const URL: &str = r#"name: siem, url: "https://siem.example.com/in""#;

fn text(webhooks: &[String]) -> String {
    let sinks: Vec<String> =
        webhooks.iter().map(|it| format!("{{ webhook: {{ {it} }} }}")).collect();
    changed("store:", &format!("audit: {{ sinks: [{}] }}\nstore:", sinks.join(", ")))
}

fn loaded(webhook: &str) -> WebhookConfig {
    let loaded = Folder::new().load(&text(&[webhook.to_owned()])).map_err(|p| p.to_string());
    match loaded.expect("loads").config.audit.sinks.as_slice() {
        [SinkConfig::Webhook(webhook)] => (**webhook).clone(),
        other => panic!("{other:?}"),
    }
}

fn refused(webhook: &str) -> Problem {
    let problems = Folder::new().load(&text(&[webhook.to_owned()])).expect_err(webhook).0;
    let [problem] = problems.as_slice() else { panic!("{problems:?}") };
    problem.clone()
}

#[test]
fn a_webhook_needs_a_name_an_address_and_a_secret_and_the_rest_has_defaults() {
    let webhook = loaded(&format!("{URL}, secret_file: ./hook.secret"));
    assert_eq!(&*webhook.name, "siem");
    assert_eq!(webhook.url.to_string(), "https://siem.example.com/in");
    assert_eq!(webhook.secrets.len(), 1);
    assert_eq!(*webhook.secrets[0].0, [7; 32]);
    assert_eq!((webhook.types, webhook.subjects, webhook.ca), (None, None, None));
    assert_eq!(webhook.timeout, Duration::from_secs(5));
    assert_eq!(webhook.retry_for, Duration::from_secs(86_400));
    assert_eq!(webhook.max_in_flight, 8);
}

#[test]
fn a_secret_comes_from_a_file_or_a_variable_and_two_may_be_in_use() {
    let other = "whsec_CAgICAgICAgICAgICAgICAgICAgICAgI";
    let both = loaded(&format!("{URL}, secret: [\"${{HOOK_SECRET}}\", {other}]"));
    let lengths: Vec<usize> = both.secrets.iter().map(|secret| secret.0.len()).collect();
    assert_eq!(lengths, [32, 24]);
    assert!(!format!("{both:?}").contains("7, 7"));
}

#[test]
fn what_does_not_fit_is_refused_with_its_key_and_without_the_secret() {
    let canary = HOOK_SECRET.trim_start_matches("whsec_");
    let hook = "secret_file: ./hook.secret";
    let long = format!("whsec_{}", "BwcH".repeat(22));
    let rows = [
        (format!("url: \"https://a\", {hook}"), "name", "found nothing"),
        (format!("name: \"a b\", url: \"https://a\", {hook}"), "name", "a-z"),
        (format!("name: a, {hook}"), "url", "found nothing"),
        (format!("name: a, url: \"ftp://a\", {hook}"), "url", "another scheme"),
        (format!("name: a, url: \"/in\", {hook}"), "url", "no address"),
        (format!("name: a, url: \"https://u:{canary}@a\", {hook}"), "url", "credentials"),
        (format!("name: a, url: \"https://a/#b\", {hook}"), "url", "fragment"),
        (format!("name: a, url: \"http://siem.example.com/{canary}\", {hook}"), "url", "TLS"),
        (URL.to_owned(), "", "neither secret_file nor secret"),
        (format!("{URL}, {hook}, secret: {HOOK_SECRET}"), "", "both secret_file and secret"),
        (format!("{URL}, secret: {canary}"), "secret", "whsec_"),
        (format!("{URL}, secret: whsec_{canary}AA"), "secret", "24 to 64 bytes"),
        (format!("{URL}, secret: whsec_BwcH"), "secret", "24 to 64 bytes"),
        (format!("{URL}, secret: {long}"), "secret", "24 to 64 bytes"),
        (format!("{URL}, secret: []"), "secret", "at least one"),
        (format!("{URL}, secret: [{HOOK_SECRET}, {HOOK_SECRET}]"), "secret", "twice"),
        (format!("{URL}, secret_file: ./seal.key"), "secret_file", "something else"),
        (format!("{URL}, secret_file: {HOOK_SECRET}"), "secret_file", "no such file"),
        (format!("{URL}, {hook}, types: []"), "types", "at least one"),
        (format!("{URL}, {hook}, types: [grants.*]"), "types[0]", "grant.*"),
        (format!("{URL}, {hook}, types: [dev.tidegate.grant.expired.v1]"), "types[0]", "without"),
        (format!("{URL}, {hook}, timeout: 2m"), "timeout", "100ms to 1m"),
        (format!("{URL}, {hook}, retry_for: 1s"), "retry_for", "like 250ms"),
        (format!("{URL}, {hook}, ca: ./no.pem"), "ca", "exists"),
        (format!("{URL}, {hook}, max_in_flight: 0"), "max_in_flight", "1 to 64"),
        (format!("{URL}, {hook}, retries: 3"), "retries", "unknown key"),
    ];
    for (webhook, key, told) in rows {
        let problem = refused(&webhook);
        let path = format!("audit.sinks[0].webhook{}{key}", if key.is_empty() { "" } else { "." });
        assert_eq!(problem.path, path, "{webhook}");
        let text = format!("{problem} {problem:?}");
        assert!(text.contains(told), "{webhook}: {text}");
        assert!(!text.contains(canary), "{text}");
    }
}

#[test]
fn two_webhooks_have_two_names_and_may_have_one_address() {
    let of = |name: &str| format!("name: {name}, url: \"https://a\", secret_file: ./hook.secret");
    assert!(Folder::new().load(&text(&[of("a"), of("b")])).is_ok());
    let other = "name: a, url: \"https://b\", secret_file: ./hook.secret".to_owned();
    let problems = Folder::new().load(&text(&[of("a"), other])).expect_err("one name").0;
    assert_eq!(problems[0].path, "audit.sinks");
    assert!(problems[0].found.contains("the same name of a webhook"), "{problems:?}");
}

#[test]
fn development_may_send_in_the_clear_and_is_warned() {
    let hook = "name: a, url: \"http://siem.example.com\", secret_file: ./hook.secret".to_owned();
    let text = text(&[hook]).replace("production", "development");
    let loaded = Folder::new().load(&text).map_err(|p| p.to_string()).expect("loads");
    assert!(loaded.warnings[0].contains("audit.sinks[0].webhook.url"), "{:?}", loaded.warnings);
}
