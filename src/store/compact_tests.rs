use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::domain::access::{Access, PathPattern};
use crate::domain::ids::RequestId;
use crate::domain::subject::Subject;

fn grant(number: u8) -> Grant {
    let partition = Partition(7);
    Grant {
        id: GrantId { partition, random: [number; 16] },
        subject: Subject::new("https://idp.example.com", "alice"),
        access: "warehouse:operator".parse::<Access>().expect("an access"),
        template: "warehouse-operator".into(),
        request: RequestId { partition, random: [1; 16] },
        approvers: vec!["bob".into()],
        approver_groups: None,
        generation: 3,
        granted_at: Timestamp::from_millis(1_000),
        not_before: None,
        expires_at: Timestamp::from_millis(5_000),
        narrowings: Vec::new(),
        ended: None,
        confirmed: true,
        terms: crate::domain::rules::Terms::default(),
        revision: 1,
    }
}

fn narrowing(methods: &[&str], paths: &[&str]) -> Narrowing {
    let path = |text: &&str| PathPattern::new(text).expect("a pattern");
    Narrowing {
        methods: methods.iter().map(|&method| Arc::from(method)).collect(),
        paths: paths.iter().map(path).collect(),
    }
}

fn encoded(grants: &[Grant]) -> Vec<u8> {
    encode(grants.iter()).expect("it fits")
}

#[test]
fn an_ordinary_grant_takes_less_than_four_hundred_bytes() {
    let mut ordinary = grant(1);
    ordinary.narrowings = vec![narrowing(&["GET", "HEAD"], &["/docs/{doc}", "/public/**"])];
    let one = encoded(&[ordinary.clone()]).len();
    let two = encoded(&[ordinary.clone(), ordinary]).len();
    assert!(two - one < 400, "{}", two - one);
}

#[test]
fn a_narrowed_grant_covers_only_what_every_narrowing_covers() {
    let mut narrowed = grant(1);
    narrowed.narrowings = vec![
        narrowing(&["GET", "HEAD"], &[]),
        Narrowing::default(),
        narrowing(&[], &["/docs/{doc}", "/public/**"]),
    ];
    let content = encoded(&[narrowed]);
    let read = grants(&content).next().expect("one grant");
    assert!(read.covers("GET", "/docs/7"));
    assert!(read.covers("HEAD", "/public/a/b"));
    assert!(!read.covers("POST", "/docs/7"));
    assert!(!read.covers("GET", "/docs/7/edit"));
    assert!(!read.covers("get", "/docs/7"));
}

#[test]
fn a_narrowing_that_cannot_be_read_covers_nothing() {
    assert!(!covers(&[1], "GET", "/"));
    assert!(!covers(&[0, 1, 0, 9, b'/'], "GET", "/"));
}

#[test]
fn a_value_holds_at_most_sixty_four_grants() {
    let full: Vec<Grant> = (0..64).map(grant).collect();
    assert_eq!(grants(&encoded(&full)).count(), 64);
    let over: Vec<Grant> = (0..65).map(grant).collect();
    assert_eq!(encode(over.iter()), Err(DoesNotFit("more than 64 grants")));
    assert!(!is_whole(&[FORMAT, 65]));
}

#[test]
fn a_cut_or_lengthened_value_is_not_whole() {
    let mut scheduled = grant(2);
    scheduled.not_before = Some(Timestamp::from_millis(2_000));
    scheduled.narrowings = vec![narrowing(&["GET"], &["/**"])];
    let content = encoded(&[grant(1), scheduled]);
    assert!(is_whole(&content));
    for length in 0..content.len() {
        assert!(!is_whole(&content[..length]), "cut at {length}");
    }
    assert!(!is_whole(&[&content[..], &[0]].concat()));
    assert!(!is_whole(&[&[FORMAT + 1], &content[1..]].concat()));
}

fn any_grant() -> impl Strategy<Value = Grant> {
    let names = ("[a-z._-]{1,64}", "[a-zA-Z0-9]{1,64}", "[a-z-]{1,64}");
    let times = (any::<u64>(), proptest::option::of(any::<u64>()), any::<u64>());
    let methods = proptest::collection::vec("[A-Z]{1,20}", 0..5);
    let paths = proptest::collection::vec("(/[a-z0-9]{1,20}){1,4}", 0..5);
    let narrowings = proptest::collection::vec((methods, paths), 0..4);
    (names, times, any::<[u8; 16]>(), any::<bool>(), narrowings).prop_map(
        |((tool, role, template), (generation, start, end), random, confirmed, narrowings)| {
            let mut made = grant(0);
            made.id.random = random;
            made.access = Access { tool: tool.into(), role: role.into() };
            made.template = template.into();
            made.generation = generation;
            made.not_before = start.map(Timestamp::from_millis);
            made.expires_at = Timestamp::from_millis(end);
            made.confirmed = confirmed;
            made.narrowings = narrowings
                .iter()
                .map(|(methods, paths)| {
                    let methods: Vec<&str> = methods.iter().map(String::as_str).collect();
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    narrowing(&methods, &paths)
                })
                .collect();
            made
        },
    )
}

proptest! {
    #[test]
    fn every_grant_reads_back_as_it_was_written(made in proptest::collection::vec(any_grant(), 0..8)) {
        let content = encoded(&made);
        prop_assert!(is_whole(&content));
        let read: Vec<LiveGrant<'_>> = grants(&content).collect();
        prop_assert_eq!(read.len(), made.len());
        for (read, made) in read.iter().zip(&made) {
            prop_assert_eq!(read.id, made.id);
            prop_assert_eq!(read.tool, &*made.access.tool);
            prop_assert_eq!(read.role, &*made.access.role);
            prop_assert_eq!(read.template, &*made.template);
            prop_assert_eq!(read.generation, made.generation);
            prop_assert_eq!(read.not_before, made.not_before);
            prop_assert_eq!(read.expires_at, made.expires_at);
            prop_assert_eq!(read.confirmed, made.confirmed);
            for (method, path) in [("GET", "/a"), ("A", "/a/b"), ("POST", "/")] {
                let expected = made.narrowings.iter().all(|n| n.covers(method, path));
                prop_assert_eq!(read.covers(method, path), expected);
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let bytes = [&[FORMAT], &bytes[..]].concat();
        for grant in grants(&bytes) {
            let _ = grant.covers("GET", "/");
        }
        if is_whole(&bytes) {
            prop_assert_eq!(grants(&bytes).count(), usize::from(bytes[1]));
        }
    }
}
