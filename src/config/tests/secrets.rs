use super::{Folder, changed};

const STORE: &str = "embedded: { path: ./data }";

/// `SECRET` holds `hunter2-canary`; some files hold it in the text itself.
#[test]
fn no_message_shows_a_secret_or_what_a_variable_holds() {
    let folder = Folder::new();
    let wrong = [
        ("environment: production", "environment: \"${SECRET}\""),
        ("./seal.key", "\"${SECRET}\""),
        ("./seal.key", "hunter2-canary"),
        ("{ id: k1, file: ./seal.key }", "{ id: k1, key: hunter2-canary }"),
        ("\"http://127.0.0.1:3000\"", "\"http://me:hunter2-canary@127.0.0.1\""),
        ("\"http://127.0.0.1:3000\"", "\"${SECRET}\""),
        (STORE, "redis: { url: \"redis://:hunter2-canary@h\" }"),
        (STORE, "redis: { url: \"redis//:hunter2-canary@h\" }"),
        (STORE, "redis: { url: \"${SECRET}\" }"),
        (STORE, "redis: { url: [hunter2-canary] }"),
        (STORE, "redis: { cluster: [\"rediss://:hunter2-canary@h\"] }"),
        (STORE, "redis: { cluster: \"rediss://:hunter2-canary@h\" }"),
        (STORE, "redis: \"rediss://:hunter2-canary@h\""),
        (STORE, "redis: { url: \"redis://h\", password: hunter2-canary }"),
        (STORE, "redis: { url: \"redis://:hunter2-canary@h\", password: hunter2-canary }"),
        (STORE, "redis: { url: \"redis://127.0.0.1\", password: [hunter2-canary] }"),
        (STORE, "redis: { url: \"redis://127.0.0.1\", password: { hunter2: hunter2 }, tls: [] }"),
        (
            STORE,
            "redis: { url: \"redis://127.0.0.1\", tls: { certificate: ./jwks.json, key: hunter2-canary } }",
        ),
        (
            STORE,
            "redis: { sentinel: { master: m, nodes: [], username: u, password: \"${SECRET}\" } }",
        ),
        ("jwks_file: ./jwks.json", "jwks_url: \"http://me:hunter2-canary@127.0.0.1/jwks\""),
        ("jwks_file: ./jwks.json", "secret_file: hunter2-canary, algorithms: [HS256]"),
        ("[GET]", "[\"${SECRET}\"]"),
        ("\"{path.doc}\"", "\"{${SECRET}}\""),
        ("\"/docs/{doc}\"", "\"/docs/**/${SECRET}\""),
        ("[warehouse.localhost]", "[\"${SECRET}:80\"]"),
        ("audiences: [tidegate]", "audiences: [\"${SECRET}\", \"${SECRET}\"]"),
        ("name: warehouse", "name: \"${SECRET} \""),
    ];
    for (from, to) in wrong {
        let problems = folder.load(&changed(from, to)).expect_err(to);
        let told = format!("{problems} {problems:?}");
        assert!(!told.contains("hunter2"), "{to}: {told}");
    }
}

#[test]
fn a_loaded_configuration_does_not_show_its_seal_keys() {
    let config = Folder::new().load(super::GOOD).expect("loads").config;
    assert!(!format!("{config:?}").contains("7, 7"));
}

#[test]
fn a_loaded_configuration_does_not_show_the_password_of_its_redis() {
    for store in [
        "redis: { url: \"redis://me:hunter2-canary@127.0.0.1\" }",
        "redis: { url: \"redis://127.0.0.1\", password: \"${SECRET}\" }",
        "redis: { sentinel: { master: m, nodes: [\"redis://127.0.0.1\"], password: \"${SECRET}\" } }",
    ] {
        let config = Folder::new().load(&changed(STORE, store)).expect(store).config;
        assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    }
}

#[test]
fn a_message_carries_no_control_characters() {
    let text = changed("environment: production", "environment: \"\\e[2Jx\"\n\"\\e[31m\": 1");
    let told = Folder::new().load(&text).expect_err("bad").to_string();
    assert!(!told.contains('\u{1b}'), "{told:?}");
}

#[test]
fn broken_yaml_is_told_without_its_text() {
    let folder = Folder::new();
    for text in [
        "a: *hunter2-canary\n",
        "a: \"hunter2-canary\n",
        "a: `hunter2-canary\n",
        "a: {hunter2-canary: [\n",
        "%hunter2-canary x\n---\na: b: hunter2-canary\n",
        "a: \"\\hunter2-canary\"\n",
        "a: !<hunter2-canary\n",
        "a: !hunter2-canary!x y\n",
    ] {
        let told = folder.load(text).expect_err(text).to_string();
        assert!(!told.contains("hunter2"), "{told}");
    }
}
