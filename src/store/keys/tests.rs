use super::*;

#[test]
fn keys_are_spelled_as_the_table_says() {
    let p = Partition(7);
    let subject_key = SubjectKey([0xab; 16]);
    let hex = "ab".repeat(16);
    assert_eq!(head(p).as_str(), "tg:{p07}:head");
    assert_eq!(head(Partition(1023)).as_str(), "tg:{p1023}:head");
    assert_eq!(head(Partition(100)).as_str(), "tg:{p100}:head");
    assert_eq!(live(p, subject_key).as_str(), format!("tg:{{p07}}:live:{hex}"));
    let id = RequestId { partition: p, random: [0; 16] };
    assert_eq!(request(id).as_str(), format!("tg:{{p07}}:request:{}", "0".repeat(26)));
    let longest = answer(Partition(1023), IdempotencyKey([0xff; 32]));
    assert!(longest.as_str().ends_with(&"f".repeat(64)));
    assert_eq!(grants(p, Slice::Of(subject_key)).as_str(), format!("tg:{{p07}}:grants:of:{hex}"));
}

#[test]
fn only_what_the_data_plane_reads_is_hot() {
    let p = Partition(0);
    let subject_key = SubjectKey([1; 16]);
    for key in [head(p), markers(p), live(p, subject_key), ended(p, subject_key)] {
        assert!(is_hot(key.as_bytes()), "{key}");
    }
    for key in [meta(), subject(p, subject_key), events(p), timers(p)] {
        assert!(!is_hot(key.as_bytes()), "{key}");
    }
}

#[test]
fn a_member_reads_back_as_its_id() {
    assert_eq!(member_id(Partition(3), &member([9; 16])), Some([9; 16]));
    assert_eq!(member_id(Partition(3), &Key::EMPTY.with(b"garbage")), None);
}
