use super::{Framing, HeadLimits, Violation};

const LIMITS: HeadLimits = HeadLimits { head_bytes: 4096, header_count: 20, target_bytes: 1024 };

/// Everything at once: how much passed, and what was wrong.
fn accept(bytes: &[u8]) -> (usize, Option<Violation>) {
    match Framing::new(LIMITS).accept(bytes) {
        Ok(passed) => (passed, None),
        Err((passed, violation)) => (passed, Some(violation)),
    }
}

/// The same, cut in two at `at`.
fn accept_cut(bytes: &[u8], at: usize) -> (usize, Option<Violation>) {
    let mut framing = Framing::new(LIMITS);
    let first = match framing.accept(&bytes[..at]) {
        Ok(passed) => passed,
        Err((passed, violation)) => return (passed, Some(violation)),
    };
    match framing.accept(&bytes[first..]) {
        Ok(passed) => (first + passed, None),
        Err((passed, violation)) => (first + passed, Some(violation)),
    }
}

/// Byte by byte.
fn accept_trickle(bytes: &[u8]) -> (usize, Option<Violation>) {
    let mut framing = Framing::new(LIMITS);
    let mut passed = 0;
    for end in 1..=bytes.len() {
        match framing.accept(&bytes[passed..end]) {
            Ok(more) => passed += more,
            Err((more, violation)) => return (passed + more, Some(violation)),
        }
    }
    (passed, None)
}

const HOSTILE_HEADS: &[&str] = &[
    // Lines.
    "GET / HTTP/1.1\nHost: a\n\n",
    "GET / HTTP/1.1\r\nHost: a\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\n",
    "GET / HTTP/1.1\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\rb\r\n\r\n",
    "\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "\nGET / HTTP/1.1\r\n\r\n",
    " GET / HTTP/1.1\r\n\r\n",
    // Request lines.
    "GET /\r\n\r\n",
    "GET  / HTTP/1.1\r\n\r\n",
    "GET /  HTTP/1.1\r\n\r\n",
    "GET / HTTP/1.1 \r\n\r\n",
    "GET\t/ HTTP/1.1\r\n\r\n",
    "GET / HTTP/0.9\r\n\r\n",
    "GET / HTTP/1.2\r\n\r\n",
    "GET / HTTP/2.0\r\n\r\n",
    "GET / HTTP/1.10\r\n\r\n",
    "GET / HTTP/1,1\r\n\r\n",
    "GET / http/1.1\r\n\r\n",
    "GET / HTTP/+1.1\r\n\r\n",
    "GET / \r\n\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "G(T / HTTP/1.1\r\n\r\n",
    " / HTTP/1.1\r\n\r\n",
    "GET /#x HTTP/1.1\r\n\r\n",
    "GET /a?b#c HTTP/1.1\r\n\r\n",
    "GET /a b HTTP/1.1\r\n\r\n",
    "GET /a\tb HTTP/1.1\r\n\r\n",
    "GET /\u{e4} HTTP/1.1\r\n\r\n",
    "GET /\u{0} HTTP/1.1\r\n\r\n",
    "GET /\u{7f} HTTP/1.1\r\n\r\n",
    "GET /<x> HTTP/1.1\r\n\r\n",
    "GET x HTTP/1.1 x HTTP/1.1\r\n\r\n",
    "GET ../x HTTP/1.1\r\n\r\n",
    // Header lines.
    "GET / HTTP/1.1\r\nHost : a\r\n\r\n",
    "GET / HTTP/1.1\r\nHost\r\n\r\n",
    "GET / HTTP/1.1\r\n: a\r\n\r\n",
    "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\r\n b\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\r\n\tb\r\n\r\n",
    "GET / HTTP/1.1\r\nX\u{0}: a\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\u{0}b\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\u{b}b\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\u{1b}b\r\n\r\n",
    "GET / HTTP/1.1\r\nX: a\u{7f}b\r\n\r\n",
    "GET / HTTP/1.1\r\nX Y: a\r\n\r\n",
    "GET / HTTP/1.1\r\nX(: a\r\n\r\n",
    "GET / HTTP/1.1\r\nX\u{e4}: a\r\n\r\n",
    "GET / HTTP/1.1\r\n\"X\": a\r\n\r\n",
    // HTTP/1.0 with a body.
    "POST / HTTP/1.0\r\nContent-Length: 1\r\n\r\nx",
    "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
];

const HOSTILE_LENGTHS: &[&str] = &[
    "Content-Length: 1\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked\r\nContent-Length: 1",
    "Transfer-Encoding: chunked\r\nContent-Length: 0",
    "Content-Length: 1\r\nContent-Length: 1",
    "Content-Length: 1\r\nContent-Length: 2",
    "Content-Length: 1, 1",
    "Content-Length: 1,2",
    "Content-Length: +1",
    "Content-Length: -1",
    "Content-Length: 0x1",
    "Content-Length: 1_0",
    "Content-Length: 1 0",
    "Content-Length: 01",
    "Content-Length: 1.0",
    "Content-Length:",
    "Content-Length: 99999999999999999999",
    "Content-Length: 18446744073709551617",
    "Content_Length: 1",
    "content.length: 1",
    "Content~Length: 1",
    "transfer+encoding: chunked",
    "Transfer_Encoding: chunked",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, identity",
    "Transfer-Encoding: identity",
    "Transfer-Encoding: xchunked",
    "Transfer-Encoding: chunked;q=1",
    "Transfer-Encoding: \"chunked\"",
    "Transfer-Encoding:",
    "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
    "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: \u{b}chunked",
];

/// Heads that can be read in more than one way, or in none.
pub fn hostile_heads() -> Vec<Vec<u8>> {
    let mut heads: Vec<Vec<u8>> =
        HOSTILE_HEADS.iter().map(|head| head.as_bytes().to_vec()).collect();
    for framing in HOSTILE_LENGTHS {
        for method in ["GET", "POST"] {
            let head = format!("{method} / HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n0\r\n\r\n");
            heads.push(head.into_bytes());
        }
    }
    heads
}

#[test]
fn a_hostile_head_is_refused_whole_however_it_is_cut() {
    let heads = hostile_heads();
    assert!(heads.len() >= 60, "{}", heads.len());
    for head in heads {
        let shown = String::from_utf8_lossy(&head).into_owned();
        let (passed, violation) = accept(&head);
        assert_eq!(passed, 0, "{shown:?}");
        assert!(violation.is_some(), "{shown:?}");
        for at in 1..head.len() {
            assert_eq!(accept_cut(&head, at), (0, violation), "{shown:?} cut at {at}");
        }
        assert_eq!(accept_trickle(&head), (0, violation), "{shown:?} byte by byte");
    }
}

#[test]
fn a_good_message_passes_whole_however_it_is_cut() {
    for message in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        "GET /a/%41?b=c&d={x}|y HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t\u{e4} b\t\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: CHUNKED\r\n\r\n5\r\nhello\r\na;x=\"y\"\r\n0123456789\r\n\
         0\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        let bytes = message.as_bytes();
        assert_eq!(accept(bytes), (bytes.len(), None), "{message:?}");
        for at in 1..bytes.len() {
            assert_eq!(accept_cut(bytes, at), (bytes.len(), None), "{message:?} cut at {at}");
        }
        assert_eq!(accept_trickle(bytes), (bytes.len(), None), "{message:?}");
    }
}

#[test]
fn nothing_passes_behind_a_request_for_an_upgrade_until_it_is_refused() {
    let asked = "GET / HTTP/1.1\r\nupGrade: foo\r\n\r\n";
    let both = format!("{asked}GET / HTTP/1.1\r\n\r\n");
    let mut framing = Framing::new(LIMITS);
    assert_eq!(framing.accept(both.as_bytes()), Ok(asked.len()));
    assert!(framing.is_undecided());
    assert_eq!(framing.accept(&both.as_bytes()[asked.len()..]), Ok(0));
    framing.refuse_upgrade();
    assert_eq!(framing.accept(&both.as_bytes()[asked.len()..]), Ok(both.len() - asked.len()));
    assert_eq!(framing.heads(), 2);
    // With a body, or in HTTP/1.0, nothing can be switched.
    for message in [
        "POST / HTTP/1.1\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nxGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\nUpgrade: websocket\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(accept(message.as_bytes()), (message.len(), None));
    }
}

#[test]
fn a_chunk_that_can_be_read_in_two_ways_is_refused_where_it_begins() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in [
        "+1\r\nx\r\n",
        "-1\r\nx\r\n",
        "0x1\r\nx\r\n",
        "1_0\r\nx\r\n",
        " 1\r\nx\r\n",
        "1 \r\nx\r\n",
        "1 ;a=b\r\nx\r\n",
        "\r\nx\r\n",
        ";a=b\r\nx\r\n",
        "10000000000000000\r\nx\r\n",
        "fffffffffffffffff\r\nx\r\n",
        "1\nx\r\n",
        "1\r\r\nx\r\n",
        "1;a\nx\r\n",
        "1;a\u{0}\r\nx\r\n",
        "1;\rx\r\n",
        "g\r\nx\r\n",
        "0\n\r\n",
        "0\r\n\n",
        "0\r\n X: y\r\n\r\n",
        "0\r\nX : y\r\n\r\n",
        "0\r\nX\r\n\r\n",
        "0\r\nX: \u{0}\r\n\r\n",
    ] {
        let whole = format!("{head}{body}");
        let (passed, violation) = accept(whole.as_bytes());
        assert!(matches!(violation, Some(Violation::Body(_))), "{body:?}: {violation:?}");
        assert!(
            whole.as_bytes()[head.len()..passed].iter().all(|b| b"0\r\n".contains(b)),
            "{body:?}"
        );
        assert_eq!(accept_trickle(whole.as_bytes()), (passed, violation), "{body:?}");
    }
    for body in ["1\r\nxx\r\n", "1\r\nx\n", "1\r\nx\rx", "2\r\nx\r\n0\r\n\r\n"] {
        let (_, violation) = accept(format!("{head}{body}").as_bytes());
        assert!(matches!(violation, Some(Violation::Body(_))), "{body:?}");
    }
}

#[test]
fn long_chunk_lines_and_trailers_are_refused() {
    let head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = format!("{head}1;{}", "a".repeat(300));
    let one = format!("{head}0\r\nX: {}", "a".repeat(9000));
    let many = format!("{head}0\r\n{}", "X: aaaaaaaaaaaaaaaa\r\n".repeat(500));
    for message in [extension, one, many] {
        assert!(matches!(accept(message.as_bytes()).1, Some(Violation::Body(_))));
    }
}

#[test]
fn limits_of_a_head_have_their_own_answers() {
    let target = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(1024));
    let endless_target = format!("GET /{}", "a".repeat(2000));
    assert_eq!(accept(target.as_bytes()), (0, Some(Violation::TargetTooLong)));
    assert_eq!(accept(endless_target.as_bytes()), (0, Some(Violation::TargetTooLong)));
    let large = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "a".repeat(4096));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(5000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(21));
    for head in [large, endless, many] {
        assert_eq!(accept(head.as_bytes()), (0, Some(Violation::HeadTooLarge)));
    }
    let enough = format!("GET / HTTP/1.1\r\n{}\r\n", "X: a\r\n".repeat(20));
    assert_eq!(accept(enough.as_bytes()), (enough.len(), None));
}

#[test]
fn a_good_request_before_a_bad_one_passes_alone() {
    let good = "POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nok";
    let both = format!("{good}GET / HTTP/1.1\nHost: a\n\n");
    assert_eq!(accept(both.as_bytes()).0, good.len());
    assert_eq!(accept_trickle(both.as_bytes()).0, good.len());
}
