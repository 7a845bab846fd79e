use super::{Folder, GOOD, changed};

/// What is replaced in the good file, by what, at which key path, and words of the message.
struct Bad(&'static str, &'static str, &'static str, &'static [&'static str]);

const RULE: &str = r#"{ path: "/**", action: write }"#;
const ISSUER: &str =
    r#"{ issuer: "https://idp.example.com", jwks_file: ./jwks.json, audiences: [tidegate] }"#;

const BAD: &[Bad] = &[
    Bad("tools:", "tool:", "tool", &["unknown key", "did you mean `tools`?"]),
    Bad("tools:", "tool:", "tools", &["found nothing", "at least one tool"]),
    Bad(
        "environment: production",
        "environment: produktion",
        "environment",
        &["produktion", "did you mean `production`?"],
    ),
    Bad(
        "environment: production",
        "environment:",
        "environment",
        &["found nothing", "production, development"],
    ),
    Bad("environment: production", "deployment: a b", "deployment", &["\"a b\"", "a-z"]),
    Bad(
        "policy:",
        "policy: { directory: ./policies }\npolicy:",
        "policy",
        &["the key again", "each key once"],
    ),
    Bad(
        "policy: { directory: ./policies }",
        "policy: { directory: ./nowhere }",
        "policy.directory",
        &["./nowhere", "existing directory"],
    ),
    Bad(
        "./policies }",
        "./policies, engine: cerbos }",
        "policy.engine",
        &["not supported by this version yet"],
    ),
    Bad("./policies }", "./policies, engine: cel }", "policy.engine", &["\"cel\"", "embedded"]),
    Bad(
        "./policies }",
        "./policies, role_hierarchy: {} }",
        "policy.role_hierarchy",
        &["not supported by this version yet"],
    ),
    Bad(
        "./policies }",
        "./policies, providers: [] }",
        "policy.providers",
        &["not supported by this version yet"],
    ),
    Bad(
        "./policies }",
        "./policies, role_mapping: { leads: [] } }",
        "policy.role_mapping.leads",
        &["an empty list", "at least one role"],
    ),
    Bad("policy: { directory: ./policies }", "", "policy", &["found nothing"]),
    Bad("catalog: {", "catalog: { reload: 1s,", "catalog.reload", &["unknown key", "directory"]),
    Bad(
        "store:",
        "listeners: { admin: { address: \"0.0.0.0:9090\" } }\nstore:",
        "listeners.admin",
        &["0.0.0.0:9090", "loopback"],
    ),
    Bad(
        "store:",
        "listeners: { api: { address: \"127.0.0.1:8080\" } }\nstore:",
        "listeners.api",
        &["clashes with listeners.proxy[0]"],
    ),
    Bad(
        "store:",
        "listeners: { proxy: [{ address: \"0.0.0.0:9090\" }] }\nstore:",
        "listeners.admin",
        &["clashes with listeners.proxy[0]"],
    ),
    Bad(
        "store:",
        "listeners: { proxy: [] }\nstore:",
        "listeners.proxy",
        &["an empty list", "at least one"],
    ),
    Bad(
        "store:",
        "listeners: { api: { address: localhost } }\nstore:",
        "listeners.api.address",
        &["\"localhost\"", "IP:PORT"],
    ),
    Bad(
        "store:",
        "listeners: { api: { address: \"127.0.0.1:81\", tls: {} } }\nstore:",
        "listeners.api.tls",
        &["not supported by this version yet"],
    ),
    Bad(
        "embedded: { path: ./data }",
        "redis: { url: \"redis://127.0.0.1\" }",
        "store.redis",
        &["not supported by this version yet"],
    ),
    Bad("embedded: { path: ./data }", "# none", "store", &["no store", "embedded"]),
    Bad(
        "embedded: { path: ./data }",
        "embedded: { path: ./jwks.json }",
        "store.embedded.path",
        &["./jwks.json", "a directory"],
    ),
    Bad(
        "embedded: { path: ./data }",
        "embedded: { path: ./data, fsync: false }",
        "store.embedded.fsync",
        &["unknown key"],
    ),
    Bad(
        "seal_keys: [{ id: k1, file: ./seal.key }]",
        "",
        "store.seal_keys",
        &["found nothing", "seal.key"],
    ),
    Bad(
        "seal_keys: [{ id: k1, file: ./seal.key }]",
        "seal_keys: []",
        "store.seal_keys",
        &["an empty list"],
    ),
    Bad(
        "file: ./seal.key",
        "file: ./short.key",
        "store.seal_keys[0].file",
        &["31 bytes", "32 to 4096"],
    ),
    Bad(
        "file: ./seal.key",
        "file: ./long.key",
        "store.seal_keys[0].file",
        &["larger than 4096 bytes"],
    ),
    Bad(
        "file: ./seal.key",
        "file: ./open.key",
        "store.seal_keys[0].file",
        &["mode 644", "chmod 600"],
    ),
    Bad("file: ./seal.key", "file: ./absent.key", "store.seal_keys[0].file", &["no such file"]),
    Bad(
        "file: ./seal.key",
        "file: \"${UNSET}\"",
        "store.seal_keys[0].file",
        &["${UNSET}", "not set"],
    ),
    Bad(
        "{ id: k1, file: ./seal.key }",
        "{ id: k1, file: ./seal.key }, { id: k1, file: ./seal.key }",
        "store.seal_keys",
        &["the same id in entries 0 and 1"],
    ),
    Bad(
        "{ id: k1, file: ./seal.key }",
        "{ id: k1, file: ./seal.key }, { id: k2, file: ./seal.key }",
        "store.seal_keys",
        &["the same bytes"],
    ),
    Bad("audiences: [tidegate]", "audiences: []", "issuers[0].audiences", &["an empty list"]),
    Bad(", audiences: [tidegate]", "", "issuers[0].audiences", &["found nothing", "audience"]),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], algorithms: [none]",
        "issuers[0].algorithms[0]",
        &["\"none\"", "RS256"],
    ),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], algorithms: [RS265]",
        "issuers[0].algorithms[0]",
        &["did you mean `RS256`?"],
    ),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], algorithms: [HS256]",
        "issuers[0].algorithms[0]",
        &["HS256", "secret_file"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "secret_file: ./seal.key",
        "issuers[0]",
        &["secret_file without algorithms"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "secret_file: ./seal.key, algorithms: [RS256]",
        "issuers[0].algorithms[0]",
        &["RS256", "HS256"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "secret_file: ./short.key, algorithms: [HS256]",
        "issuers[0].secret_file",
        &["31 bytes"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "jwks_file: ./none.json",
        "issuers[0].jwks_file",
        &["./none.json"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "jwks_url: \"http://idp.example.com/jwks\"",
        "issuers[0].jwks_url",
        &["https"],
    ),
    Bad(
        "jwks_file: ./jwks.json",
        "jwks_file: ./jwks.json, discovery: true",
        "issuers[0]",
        &["more than one source"],
    ),
    Bad("jwks_file: ./jwks.json, ", "", "issuers[0]", &["no source of keys"]),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], leeway: 61s",
        "issuers[0].leeway",
        &["\"61s\"", "1m"],
    ),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], leeway: 30",
        "issuers[0].leeway",
        &["the number 30", "30m"],
    ),
    Bad(
        "audiences: [tidegate]",
        "audiences: [tidegate], claims: { sub: uid }",
        "issuers[0].claims.sub",
        &["unknown key", "subject"],
    ),
    Bad("name: warehouse", "name: ware house", "tools[0].name", &["\"ware house\""]),
    Bad("name: warehouse", "name: 12", "tools[0].name", &["the number 12"]),
    Bad(
        "hosts: [warehouse.localhost]",
        "encoded: refuse",
        "tools[0]",
        &["without hosts and without path_prefix"],
    ),
    Bad(
        "hosts: [warehouse.localhost]",
        "hosts: [\"*\"]",
        "tools[0].hosts[0]",
        &["\"*\"", "matches everything"],
    ),
    Bad(
        "hosts: [warehouse.localhost]",
        "hosts: [\"a.example:8080\"]",
        "tools[0].hosts[0]",
        &["without scheme, port"],
    ),
    Bad(
        "hosts: [warehouse.localhost]",
        "hosts: [Warehouse.localhost]",
        "tools[0].hosts[0]",
        &["lower case"],
    ),
    Bad("hosts: [warehouse.localhost]", "hosts: [a.b, a.b]", "tools[0].hosts", &["\"a.b\" twice"]),
    Bad(
        "hosts: [warehouse.localhost]",
        "path_prefix: /ware",
        "tools[0].path_prefix",
        &["/ware", "between two slashes"],
    ),
    Bad("hosts: [warehouse.localhost]", "path_prefix: /", "tools[0].path_prefix", &["\"/\""]),
    Bad(
        "hosts: [warehouse.localhost]",
        "path_prefix: /a/../b/",
        "tools[0].path_prefix",
        &["/a/../b/"],
    ),
    Bad(
        "\"http://127.0.0.1:3000\"",
        "\"https://127.0.0.1:3000\"",
        "tools[0].upstreams[0]",
        &["https", "not supported by this version yet"],
    ),
    Bad(
        "\"http://127.0.0.1:3000\"",
        "\"unix:/run/x\"",
        "tools[0].upstreams[0]",
        &["unix", "not supported by this version yet"],
    ),
    Bad(
        "\"http://127.0.0.1:3000\"",
        "\"http://127.0.0.1:3000/base\"",
        "tools[0].upstreams[0]",
        &["without credentials, path"],
    ),
    Bad("\"http://127.0.0.1:3000\"", "", "tools[0].upstreams", &["an empty list"]),
    Bad(
        "upstreams:",
        "credential: { header: Authorization }\n    upstreams:",
        "tools[0].credential.header",
        &["bearer"],
    ),
    Bad(
        "upstreams:",
        "credential: { header: X-A, cookie: b }\n    upstreams:",
        "tools[0].credential",
        &["two credential sources"],
    ),
    Bad("upstreams:", "credential: basic\n    upstreams:", "tools[0].credential", &["\"basic\""]),
    Bad(
        "upstreams:",
        "forward_credential: yes\n    upstreams:",
        "tools[0].forward_credential",
        &["\"yes\"", "true or false"],
    ),
    Bad(
        "upstreams:",
        "forward_credential: true\n    upstreams:",
        "api.audiences",
        &["tidegate", "forwards credentials"],
    ),
    Bad(
        "upstreams:",
        "timeouts: { connect: 0s }\n    upstreams:",
        "tools[0].timeouts.connect",
        &["\"0s\""],
    ),
    Bad("upstreams:", "encoded: allow\n    upstreams:", "tools[0].encoded", &["refuse, opaque"]),
    Bad(
        "methods: [GET]",
        "methods: [get]",
        "tools[0].rules[0].methods[0]",
        &["did you mean `GET`?"],
    ),
    Bad("methods: [GET]", "methods: [\"G T\"]", "tools[0].rules[0].methods[0]", &["RFC 9110"]),
    Bad(
        "methods: [GET]",
        "methods: []",
        "tools[0].rules[0].methods",
        &["an empty list", "any method"],
    ),
    Bad("methods: [GET]", "methods: [GET, GET]", "tools[0].rules[0].methods", &["\"GET\" twice"]),
    Bad(
        RULE,
        r#"{ path: "/a/**/b", action: write }"#,
        "tools[0].rules[1].path",
        &["/a/**/b", "only stand at the end"],
    ),
    Bad(RULE, "{ action: write }", "tools[0].rules[1].path", &["found nothing"]),
    Bad(RULE, r#"{ path: "/**" }"#, "tools[0].rules[1].action", &["found nothing"]),
    Bad(RULE, r#"{ path: "/**", access: policy }"#, "tools[0].rules[1].action", &["found nothing"]),
    Bad(
        RULE,
        r#"{ path: "/**", access: publik }"#,
        "tools[0].rules[1].access",
        &["did you mean `public`?"],
    ),
    Bad(
        RULE,
        r#"{ path: "/**", acess: public, action: w }"#,
        "tools[0].rules[1].acess",
        &["did you mean `access`?"],
    ),
    Bad(
        RULE,
        r#"{ path: "/**", action: w, default_effect: permit }"#,
        "tools[0].rules[1].default_effect",
        &["deny, allow"],
    ),
    Bad("\"{path.doc}\"", "\"{path.dok}\"", "tools[0].rules[0].id", &["{path.dok}", "captures"]),
    Bad("\"{path.doc}\"", "\"{path.doc\"", "tools[0].rules[0].id", &["not closed"]),
    Bad("\"{path.doc}\"", "\"{body.doc}\"", "tools[0].rules[0].id", &["{body.doc}"]),
    Bad(
        "\"{path.doc}\"",
        "\"{header.a b}\"",
        "tools[0].rules[0].id",
        &["no header has such a name"],
    ),
    Bad(
        "store:",
        "limits: { header_bytes: 0 }\nstore:",
        "limits.header_bytes",
        &["the number 0", "1024"],
    ),
    Bad(
        "store:",
        "limits: { concurrent_requests: 0 }\nstore:",
        "limits.concurrent_requests",
        &["from 1"],
    ),
    Bad("store:", "limits: { stream_grace: 0s }\nstore:", "limits.stream_grace", &["\"0s\""]),
    Bad("store:", "limits: { drain: 1s }\nstore:", "limits.drain", &["unknown key"]),
    Bad("store:", "audit: { retention: 1h }\nstore:", "audit.retention", &["\"1h\"", "1d"]),
    Bad(
        "store:",
        "audit: { decisions: { on_full: wait } }\nstore:",
        "audit.decisions.on_full",
        &["refuse, drop"],
    ),
    Bad(
        "store:",
        "audit: { sinks: [{ nats: {} }] }\nstore:",
        "audit.sinks[0].nats",
        &["not supported by this version yet"],
    ),
    Bad(
        "store:",
        "audit: { sinks: [{ file: { path: ./no/where } }] }\nstore:",
        "audit.sinks[0].file.path",
        &["existing directory"],
    ),
    Bad(
        "store:",
        "audit: { sinks: [stdout, stdout] }\nstore:",
        "audit.sinks",
        &["\"stdout\" twice"],
    ),
    Bad("store:", "api: { public_url: \"ftp://x\" }\nstore:", "api.public_url", &["http or https"]),
    Bad("store:", "<<: { deployment: x }\nstore:", "<<", &["unknown key"]),
    Bad(
        "policy:",
        "  - { name: warehouse, hosts: [b.localhost], upstreams: [\"http://a\"], rules: [{ path: /, action: a }] }\npolicy:",
        "tools",
        &["the same name"],
    ),
    Bad(
        "policy:",
        "  - { name: b, hosts: [warehouse.localhost], upstreams: [\"http://a\"], rules: [{ path: /, action: a }] }\npolicy:",
        "tools[1]",
        &["the host warehouse.localhost", "the tool warehouse already has"],
    ),
    Bad(
        "policy:",
        "  - { name: b, hosts: [b.c], upstreams: [\"http://a\"], rules: [] }\npolicy:",
        "tools[1].rules",
        &["an empty list", "every request is denied"],
    ),
    Bad(ISSUER, "[]", "issuers[0]", &["an empty list"]),
];

#[test]
fn every_bad_file_is_refused_with_its_key_path_and_what_was_expected() {
    let folder = Folder::new();
    let mut wrong = Vec::new();
    for Bad(from, to, path, words) in BAD {
        let problems = folder.load(&changed(from, to)).expect_err(to);
        let fits = |told: &String| words.iter().all(|word| told.contains(word));
        let mut here = problems.0.iter().filter(|p| p.path == *path).map(ToString::to_string);
        let has_lines = problems.0.iter().all(|p| p.line.is_some_and(|line| line > 0));
        if !here.any(|told| fits(&told)) || !has_lines || folder.path().join("data").exists() {
            wrong.push(format!("{to}: expected {path} {words:?} in {problems}"));
        }
    }
    assert!(BAD.len() >= 40 && wrong.is_empty(), "{}", wrong.join("\n"));
}

/// A follow-up problem would send somebody looking for a mistake that is not there.
#[test]
fn a_single_mistake_gives_a_single_problem() {
    let folder = Folder::new();
    let mut wrong = Vec::new();
    for Bad(from, to, ..) in BAD.iter().filter(|Bad(from, ..)| *from != "tools:") {
        let problems = folder.load(&changed(from, to)).expect_err(to);
        if problems.0.len() != 1 {
            wrong.push(format!("{to}: {problems}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn two_issuers_need_two_names_and_two_prefixes() {
    let folder = Folder::new();
    let second = |issuer: &str| {
        let item = format!(
            "  - {{ issuer: \"{issuer}\", jwks_file: ./jwks.json, audiences: [b] }}\ntools:"
        );
        folder.load(&changed("tools:", &item)).expect_err("two").to_string()
    };
    assert!(second("https://other").contains("the same prefix"));
    assert!(second("https://idp.example.com").contains("the same issuer"));
}

#[test]
fn all_problems_come_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("production", "prod")
        .replace("./seal.key", "./short.key")
        .replace("[tidegate]", "[]")
        .replace("[GET]", "[get]")
        .replace("catalog: {", "catalogue: {");
    let problems = Folder::new().load(&text).expect_err("five").0;
    let paths: Vec<&str> = problems.iter().map(|p| p.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "environment",
            "store.seal_keys[0].file",
            "issuers[0].audiences",
            "tools[0].rules[0].methods[0]",
            "catalogue"
        ]
    );
    assert!(problems.windows(2).all(|pair| pair[0].line < pair[1].line));
}

#[test]
fn what_is_no_plain_yaml_document_is_refused() {
    let folder = Folder::new();
    let bomb = (0..40).fold("a0: &a0 [x, x]\n".to_owned(), |text, i| {
        format!("{text}a{}: &a{} [*a{i}, *a{i}]\n", i + 1, i + 1)
    });
    let deep = "[".repeat(100) + &"]".repeat(100);
    let large = format!("# {}\n{GOOD}", "x".repeat(1 << 20));
    for (text, word) in [
        ("", "an empty file"),
        ("# nothing\n", "an empty file"),
        ("a: [", "broken YAML"),
        ("a: 1\n---\nb: 2\n", "a second document"),
        ("a: !!str x\n", "a YAML tag"),
        ("? [a]\n: b\n", "a key that is not text"),
        ("a: *nothing\n", "broken YAML"),
        ("just text\n", "a mapping of sections"),
        (bomb.as_str(), "more nesting or aliases"),
        (deep.as_str(), "more nesting or aliases"),
        (large.as_str(), "larger than 1 MiB"),
    ] {
        let told = folder.load(text).expect_err(word).to_string();
        assert!(told.contains(word), "{word}: {told}");
    }
    let none = crate::config::load(&folder.path().join("none.yaml"), &|_| None);
    assert!(none.expect_err("no file").to_string().contains("no file that can be read"));
    std::fs::write(folder.path().join("latin.yaml"), b"a: \xff\n").expect("written");
    let latin = crate::config::load(&folder.path().join("latin.yaml"), &|_| None);
    assert!(latin.expect_err("latin").to_string().contains("not UTF-8"));
}
