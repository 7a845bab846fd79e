use serde_json::{Value, json};

use super::*;
use crate::domain::course::Recipient;
use crate::domain::event::{Event, EventKind, Resource, Snapshot};
use crate::domain::ids::{GrantId, Partition, RequestId};
use crate::domain::request::Bounds;
use crate::domain::subject::{Actor, Person, Subject, SubjectKey};
use crate::domain::time::Timestamp;
use crate::telemetry::trace::TraceContext;

const SOURCE: &str = "/tidegate/test";

fn origin() -> Origin {
    Origin { source: SOURCE.into(), public_url: "https://access.test".into() }
}

fn stored(reason: &str) -> StoredEvent {
    let request = RequestId { partition: Partition(7), random: [1; 16] };
    let alice = Person {
        email: Some("alice@example.com".into()),
        groups: vec!["engineering".into()],
        ..Person::named(Subject::new("https://idp", "alice"))
    };
    let after = Snapshot::Request {
        status: "pending".into(),
        template: "reader".into(),
        duration_ms: 3_600_000,
        justification: "INC-1".into(),
        digest: "00".into(),
        approvals: 0,
        bounds: Some(Bounds { duration_ms: Some(60_000), ..Bounds::default() }),
        text: None,
    };
    StoredEvent {
        partition: Partition(7),
        seq: 12,
        index: 1,
        commit: CommitId([3; 16]),
        subject: alice.subject.clone(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".into()),
        event: Event {
            kind: EventKind::RequestSubmitted,
            resource: Resource::Request(request),
            correlation: Some(request),
            actor: Actor::Person(alice),
            at: Timestamp::from_millis(1_795_339_800_123),
            reason: Some(reason.into()),
            before: None,
            after,
            notify: Vec::new(),
        },
    }
}

pub fn record() -> DecisionRecord {
    DecisionRecord {
        id: "abcd0123-0000000000001".into(),
        at: Timestamp::from_millis(1_795_339_800_123),
        allowed: true,
        reason: "allowed",
        detail: "".into(),
        tool: Some("notes".into()),
        method: "GET".into(),
        host: "notes.localhost".into(),
        target: "/notes/1".into(),
        upstream_path: Some("/1".into()),
        subject: Some("alice".into()),
        issuer: Some("https://idp".into()),
        key: Some(SubjectKey::new("https://idp", "alice")),
        route: None,
        grants: [GrantId { partition: Partition(7), random: [2; 16] }].into_iter().collect(),
        action: Some("read".into()),
        resource: Some("tool".into()),
        object_id: Some("notes".into()),
        scope: None,
        attributes: None,
        roles: ["user".into(), "viewer".into()].into_iter().collect(),
        evaluated_policies: ["resource.tool.vdefault".into()].into_iter().collect(),
        rule: None,
        policy_scope: None,
        derived_roles: Vec::new(),
        default_effect: "deny",
        trace: TraceContext::parse(b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    }
}

fn json_of(event: &CloudEvent) -> Value {
    serde_json::from_str(&event.to_json().expect("serialises")).expect("is JSON")
}

#[test]
fn a_transition_carries_the_documented_names() {
    let event = json_of(&CloudEvent::of_stored(&stored("because"), &origin()));
    let request = RequestId { partition: Partition(7), random: [1; 16] };
    let commit = CommitId([3; 16]);
    let expected = json!({
        "specversion": "1.0",
        "id": format!("{commit}-1"),
        "source": "/tidegate/test",
        "type": "dev.tidegate.request.submitted.v1",
        "subject": format!("requests/{request}"),
        "time": "2026-11-22T09:30:00.123Z",
        "datacontenttype": "application/json",
        "sequence": "00000000000000000012.00001",
        "partitionkey": Subject::new("https://idp", "alice").key().to_string(),
        "correlationid": request.to_string(),
        "causationid": commit.to_string(),
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "authid": "alice",
        "recordedtime": "2026-11-22T09:30:00.123Z",
        "data": {
            "actor": {"type": "person", "name": "alice"},
            "reason": "because",
            "resource": format!("requests/{request}"),
            "after": {
                "of": "request", "status": "pending", "template": "reader", "duration": "PT1H",
                "justification": "INC-1", "digest": "00", "approvals": 0,
                "bounds": {"duration": "PT1M"},
            },
        },
    });
    assert_eq!(event, expected);
}

#[test]
fn a_decision_carries_the_documented_names() {
    let event = json_of(&CloudEvent::of_decision(&record(), SOURCE));
    assert_eq!(event["type"], "dev.tidegate.decision.allowed.v1");
    assert_eq!(event["id"], "abcd0123-0000000000001");
    assert_eq!(event["authid"], "alice");
    let grant = GrantId { partition: Partition(7), random: [2; 16] }.to_string();
    let expected = json!({
        "decision_id": "abcd0123-0000000000001", "tool": "notes", "method": "GET",
        "host": "notes.localhost", "target": "/notes/1", "upstream_path": "/1",
        "subject": "alice", "issuer": "https://idp", "grants": [grant], "detail": "",
        "trace": "0af7651916cd43dd8448eb211c80319c",
        "authz.action": "read", "authz.resource": "tool", "authz.objectID": "notes",
        "authz.scope": null, "authz.roles": ["user", "viewer"],
        "authz.evaluated_policies": ["resource.tool.vdefault"], "authz.default_effect": "deny",
        "authz.effect": "allow", "authz.reason": "allowed",
    });
    assert_eq!(event["data"], expected);
    let denied = DecisionRecord { allowed: false, reason: "no-grant", ..record() };
    let event = json_of(&CloudEvent::of_decision(&denied, SOURCE));
    assert_eq!(event["type"], "dev.tidegate.decision.denied.v1");
    assert_eq!(event["data"]["authz.effect"], "deny");
}

#[test]
fn both_kinds_of_event_read_back_as_themselves() {
    for event in
        [CloudEvent::of_stored(&stored("x"), &origin()), CloudEvent::of_decision(&record(), SOURCE)]
    {
        let text = event.to_json().expect("serialises");
        assert_eq!(serde_json::from_str::<CloudEvent>(&text).expect("reads back"), event);
    }
}

#[test]
fn an_event_is_one_line_whatever_people_write() {
    let hostile = "a\nb\r\u{1b}[31m\u{0}\"}";
    let line = CloudEvent::of_stored(&stored(hostile), &origin()).to_json().expect("serialises");
    assert!(!line.chars().any(char::is_control), "{line}");
    let back: Value = serde_json::from_str(&line).expect("is JSON");
    assert_eq!(back["data"]["reason"], hostile);
}

#[test]
fn a_text_of_a_mebibyte_is_cut_and_marked() {
    let event = CloudEvent::of_stored(&stored(&"x".repeat(1 << 20)), &origin());
    let line = event.to_json().expect("serialises");
    assert!(line.len() < 16_384, "{}", line.len());
    assert!(line.contains("…[cut from 1048576 bytes, sha256 "));
    let target = "/".repeat(1 << 20).into();
    let event = CloudEvent::of_decision(&DecisionRecord { target, ..record() }, SOURCE);
    assert!(event.to_json().expect("serialises").len() < 16_384);
}

#[test]
fn an_event_tells_a_person_by_name_alone() {
    let line = CloudEvent::of_stored(&stored("x"), &origin()).to_json().expect("serialises");
    for private in ["alice@example.com", "engineering"] {
        assert!(!line.contains(private), "{line}");
    }
}

#[test]
fn sequences_sort_as_text_in_the_order_of_their_numbers() {
    let numbers = [(0, 0), (1, 9), (1, 10), (9, 0), (10, 0), (u64::MAX, u16::MAX)];
    let texts: Vec<String> = numbers.map(|(seq, index)| sequence(seq, index)).to_vec();
    assert!(texts.is_sorted());
}

#[test]
fn no_field_of_an_event_is_named_like_a_secret() {
    let line = json_of(&CloudEvent::of_decision(&record(), SOURCE)).to_string();
    for word in ["token", "secret", "cookie", "password", "authorization", "claims"] {
        assert!(!line.contains(word), "{word}");
    }
}

#[test]
fn the_cut_of_an_open_exchange_names_its_decision_its_grants_and_its_cause() {
    let record = Arc::new(record());
    let cut = LeaseCut {
        grants: record.grants.to_vec(),
        record,
        cause: "revoked",
        at: Timestamp::from_millis(1_795_339_805_123),
        open: std::time::Duration::from_secs(5),
    };
    let event = CloudEvent::of_cut(&cut, SOURCE);
    assert_eq!(event.event_type, "dev.tidegate.lease.cut.v1");
    assert_eq!(event.id, "abcd0123-0000000000001-cut");
    assert_eq!(event.subject, cut.grants.first().map(|id| format!("grants/{id}")));
    assert_eq!(event.authid.as_deref(), Some("system"));
    let text = event.to_json().expect("JSON");
    let json: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(json["data"]["decision_id"], "abcd0123-0000000000001");
    assert_eq!(
        (&json["data"]["cause"], &json["data"]["open_for"]),
        (&json!("revoked"), &json!(5000))
    );
    let read: CloudEvent = serde_json::from_str(&text).expect("an event");
    assert_eq!(read, event);
}

#[test]
fn a_notice_names_its_recipients_and_a_link_that_opens_the_request() {
    let mut told = stored("x");
    let email = Some("ben@example.com".into());
    told.event.notify = vec![
        Recipient::Person { name: "bob".into(), email: None },
        Recipient::Person { name: "ben".into(), email },
        Recipient::Group { name: "ghosts".into() },
    ];
    let request = RequestId { partition: Partition(7), random: [1; 16] };
    let notice = |event: &CloudEvent| json_of(event)["data"]["notice"].clone();
    let mut expected = json!({
        "recipients": [
            { "kind": "person", "name": "bob" },
            { "kind": "person", "name": "ben", "email": "ben@example.com" },
            { "kind": "group", "name": "ghosts" },
        ],
        "link": format!("https://access.test/api/v1/requests/{request}"),
    });
    let event = CloudEvent::of_stored(&told, &origin());
    assert_eq!(notice(&event), expected);
    let text = event.to_json().expect("JSON");
    assert_eq!(serde_json::from_str::<CloudEvent>(&text).expect("reads back"), event);
    expected["recipients"][1].as_object_mut().expect("a person").remove("email");
    assert_eq!(notice(&event.without_addresses()), expected);
    // A grant's notice opens its request, too.
    told.event.resource = Resource::Grant(GrantId { partition: Partition(7), random: [2; 16] });
    let event = CloudEvent::of_stored(&told, &origin());
    assert_eq!(notice(&event)["link"], expected["link"]);
}
