use super::table::{BAD, Bad};
use super::{Folder, GOOD, changed};

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
