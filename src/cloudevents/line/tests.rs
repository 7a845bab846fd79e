use std::time::Duration;

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

use super::*;
use crate::cloudevents::CloudEvent;
use crate::cloudevents::tests::record;
use crate::domain::ids::Partition;

/// Whatever must be escaped, and the bytes beside it.
const ODD: &str = "[\"\\\\/\u{0}-\u{20}\u{7e}-\u{a0}\u{2028}\u{2029}aé€𐍈]{0,24}";

/// The last instant that has a text.
const LAST: u64 = 253_402_207_200_000;

fn text() -> BoxedStrategy<Arc<str>> {
    let odd = prop_oneof![4 => "[a-z./:-]{0,40}", 3 => ODD, 1 => any::<String>()];
    // Around the lengths at which texts are cut, also in the middle of a character.
    let long = (prop_oneof![Just(NAME), Just(TARGET), Just(TEXT)], 0..40_usize, ODD)
        .prop_map(|(limit, less, odd)| "é".repeat((limit - less) / 2) + &odd);
    prop_oneof![12 => odd, 1 => long].prop_map(Into::into).boxed()
}

fn texts() -> BoxedStrategy<Vec<Arc<str>>> {
    let many = vec("[a-z\n]{0,3}".prop_map(Into::into), ITEMS - 1..ITEMS + 3);
    prop_oneof![12 => vec(text(), 0..4), 1 => many].boxed()
}

fn grant_ids() -> impl Strategy<Value = Vec<GrantId>> {
    let partition = prop_oneof![0..1024_u16, any::<u16>()].prop_map(Partition);
    let id = (partition, any::<[u8; 16]>());
    vec(id.prop_map(|(partition, random)| GrantId { partition, random }), 0..4)
}

fn time() -> impl Strategy<Value = Timestamp> {
    let near = 1_795_339_800_000..1_795_339_802_000_u64;
    let edges = proptest::sample::select(vec![0, 999, 1000, LAST]);
    prop_oneof![near, 0..=LAST, edges].prop_map(Timestamp::from_millis)
}

fn trace() -> impl Strategy<Value = TraceContext> {
    (any::<[u8; 16]>(), any::<[u8; 8]>(), any::<u8>())
        .prop_map(|(trace_id, span_id, flags)| TraceContext { trace_id, span_id, flags })
}

prop_compose! {
    fn records()(at in time(), allowed: bool, key in of(any::<[u8; 16]>()), trace in of(trace()),
                 [id, detail, method, host, target] in [text(), text(), text(), text(), text()],
                 [tool, upstream_path, subject, issuer] in [(); 4].map(|()| of(text())),
                 [action, resource, object_id, scope, rule, policy_scope]
                     in [(); 6].map(|()| of(text())),
                 [roles, evaluated_policies, derived_roles] in [texts(), texts(), texts()],
                 grants in grant_ids(),
                 reason in proptest::sample::select(vec!["allowed", "no-grant", "", "a\"b\n"]))
        -> DecisionRecord {
        let (route, attributes, default_effect) = (None, None, "deny");
        let (key, grants) = (key.map(SubjectKey), grants.into());
        let (roles, evaluated_policies) = (roles.into(), evaluated_policies.into());
        DecisionRecord {
            id, at, allowed, reason, detail, tool, method, host, target, upstream_path, subject,
            issuer, key, route, grants, action, resource, object_id, scope, attributes, roles,
            evaluated_policies, rule, policy_scope, derived_roles, default_effect, trace,
        }
    }
}

fn as_text(line: &[u8]) -> &str {
    std::str::from_utf8(line).expect("UTF-8")
}

proptest! {
    #[test]
    fn a_line_is_what_serde_makes_of_the_event(
        records in vec(records(), 1..4),
        source in text(),
        cut_grants in grant_ids(),
        cut_at in time(),
        open in prop_oneof![0..1000_u64, any::<u64>()],
    ) {
        let mut writer = LineWriter::new(&source);
        for record in records {
            let mut line = Vec::new();
            writer.decision(&mut line, &record);
            let event = CloudEvent::of_decision(&record, &source).to_json().expect("serialises");
            prop_assert_eq!(as_text(&line), event + "\n");
            let cut = LeaseCut {
                record: Arc::new(record),
                grants: cut_grants.clone(),
                cause: "revoked",
                at: cut_at,
                open: Duration::from_millis(open),
            };
            line.clear();
            writer.cut(&mut line, &cut);
            let event = CloudEvent::of_cut(&cut, &source).to_json().expect("serialises");
            prop_assert_eq!(as_text(&line), event + "\n");
        }
    }
}

#[test]
fn the_text_of_every_byte_is_that_of_serde() {
    for byte in 0..=0x7f_u8 {
        for text in [char::from(byte).to_string(), format!("{0}long enough, {0}é{0}", byte as char)]
        {
            let mut line = Vec::new();
            json::text(&mut line, &text);
            let expected = serde_json::to_string(&text).expect("serialises");
            assert_eq!(format!("\"{}\"", as_text(&line)), expected);
        }
    }
}

#[test]
fn wherever_a_byte_stands_its_text_is_that_of_serde() {
    for length in 1..20 {
        for place in 0..length {
            for byte in 0..=0x80_u8 {
                let mut text = "\u{7f}".repeat(length);
                text.replace_range(place..=place, &char::from(byte).to_string());
                let mut line = Vec::new();
                json::text(&mut line, &text);
                let expected = serde_json::to_string(&text).expect("serialises");
                assert_eq!(format!("\"{}\"", as_text(&line)), expected);
            }
        }
    }
}

/// The record with each of the facts at its end changed, one at a time.
fn with_other_ends(of: &DecisionRecord) -> Vec<DecisionRecord> {
    let text = |text: &str| Some(Arc::from(text));
    let changes: [fn(&mut DecisionRecord, Option<Text>); 13] = [
        |record, _| record.allowed = false,
        |record, _| record.reason = "bypassed",
        |record, _| record.default_effect = "allow",
        |record, text| record.detail = text.unwrap_or_default(),
        |record, text| record.scope = text,
        |record, text| record.rule = text,
        |record, text| record.policy_scope = text,
        |record, text| record.roles.extend(text),
        |record, _| drop(record.roles.pop()),
        |record, text| record.evaluated_policies = text.into_iter().collect(),
        |record, _| record.evaluated_policies.clear(),
        |record, text| record.derived_roles.extend(text),
        |record, text| record.roles = text.into_iter().cycle().take(ITEMS + 2).collect(),
    ];
    let apart = changes.iter().map(|change| {
        let mut record = of.clone();
        change(&mut record, text("another"));
        record
    });
    apart.collect()
}

#[test]
fn a_line_whose_end_is_known_is_what_serde_makes_of_its_own_record() {
    let mut writer = LineWriter::new("/tidegate/test");
    let all = with_other_ends(&record());
    let mut written = 0;
    let mut check = |record: &DecisionRecord| {
        written += 1;
        let id = format!("abcd0123-{written}").into();
        let object_id = Some(format!("doc-{written}").into());
        let record = DecisionRecord { id, object_id, ..record.clone() };
        let mut line = Vec::new();
        writer.decision(&mut line, &record);
        let event = CloudEvent::of_decision(&record, "/tidegate/test").to_json().unwrap();
        assert_eq!(as_text(&line), event + "\n");
    };
    for changed in &all {
        check(&record());
        check(changed);
        // Often enough to take the place of the one that is known.
        (0..20).for_each(|_| check(changed));
        check(&record());
        all.iter().for_each(&mut check);
        (0..20).for_each(|_| check(&record()));
    }
}

#[test]
fn events_of_several_seconds_carry_their_own_times() {
    let mut writer = LineWriter::new("/tidegate/test");
    for at in [1_795_339_800_999, 1_795_339_801_000, 1_795_339_800_001, 1_795_339_800_010] {
        let record = DecisionRecord { at: Timestamp::from_millis(at), ..record() };
        let mut line = Vec::new();
        writer.decision(&mut line, &record);
        let time = iso8601::time(record.at);
        assert!(as_text(&line).contains(&format!("\"time\":\"{time}\"")), "{}", as_text(&line));
    }
}

#[test]
fn a_record_whose_texts_are_short_is_written_without_an_allocation() {
    let (mut writer, mut lines) = (LineWriter::new("/tidegate/test"), Vec::with_capacity(65_536));
    let record = DecisionRecord { detail: "a \"quoted\"\nword".into(), ..record() };
    writer.decision(&mut lines, &record);
    let write = || (0..20).for_each(|_| writer.decision(&mut lines, &record));
    assert_eq!(allocation_counter::measure(write).count_total, 0);
    assert_eq!(lines.split_inclusive(|&byte| byte == b'\n').count(), 21);
}
