//! A request before it is written: good when it is made, then bent by a family.

use super::rng::Rng;
use super::scene::{Ground, Who};

/// What must become of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    pub forwarded: Forwarded,
    pub after: After,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    Must,
    /// The master rule decides.
    Maybe,
    /// It may be allowed and then break off, so that little or nothing of it arrives.
    Broken,
    Never,
}

/// What becomes of the bytes behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// They are the next request.
    GoesOn,
    /// Nobody reads them.
    Ends,
    Unknown,
}

impl Fate {
    pub const ALLOWED: Self = Self { forwarded: Forwarded::Must, after: After::GoesOn };
    pub const OPEN: Self = Self { forwarded: Forwarded::Maybe, after: After::GoesOn };
    pub const REFUSED: Self = Self { forwarded: Forwarded::Never, after: After::GoesOn };
    /// Refused, and the connection ends.
    pub const FATAL: Self = Self { forwarded: Forwarded::Never, after: After::Ends };
    /// Refused; whether the connection ends is not looked at.
    pub const BARRED: Self = Self { forwarded: Forwarded::Never, after: After::Unknown };
    /// A body that never ends properly.
    pub const BREAKS: Self = Self { forwarded: Forwarded::Broken, after: After::Ends };
    pub const UNSURE: Self = Self { forwarded: Forwarded::Broken, after: After::Unknown };

    /// The same, but the connection ends with it.
    pub const fn and_ends(self) -> Self {
        Self { after: After::Ends, ..self }
    }
}

#[derive(Clone, Debug)]
pub struct Draft {
    pub number: usize,
    pub who: Who,
    pub method: Vec<u8>,
    pub target: Vec<u8>,
    pub version: Vec<u8>,
    /// `Host` (`:authority`), one per value.
    pub hosts: Vec<Vec<u8>>,
    pub fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// What follows the head, as it is written.
    pub body: Vec<u8>,
    /// What a tool is to read of it.
    pub content: Vec<u8>,
    /// What becomes of it as it was made.
    pub fate: Fate,
    /// What a tool's prefix adds to the target.
    pub prefix: &'static str,
}

/// The mark of a request: where it is seen, that request is.
pub fn mark(number: usize) -> String {
    format!("c{number:08}z")
}

/// The mark of what is hidden in another request's bytes, and must never be one itself.
pub fn hidden_mark(number: usize) -> String {
    format!("s{number:08}z")
}

impl Draft {
    /// A good request of some person to some path; not every one is permitted.
    pub fn new(rng: &mut Rng, ground: &Ground, number: usize) -> Self {
        let who = *rng.pick(&Who::ALL);
        let area = *rng.pick(&["public", "public", "me", "policy", "grant", "grant", "write"]);
        let (host, prefix) = rng.pick(&ground.places);
        let method = if area == "write" { "POST" } else { "GET" };
        let mut made = Self {
            number,
            who,
            method: method.into(),
            target: format!("{prefix}/{area}/{}", mark(number)).into_bytes(),
            version: b"HTTP/1.1".to_vec(),
            hosts: vec![host.as_bytes().to_vec()],
            fields: Vec::new(),
            body: Vec::new(),
            content: Vec::new(),
            fate: who.may(area),
            prefix,
        };
        made.field("x-request-id", mark(number));
        if let Some(token) = ground.token(who) {
            made.field("authorization", format!("Bearer {token}"));
        }
        if area == "write" {
            let length = rng.below(40);
            made.sized(&vec![b'w'; length]);
        }
        made
    }

    /// One by this person to this area, without a body.
    pub fn by(rng: &mut Rng, ground: &Ground, number: usize, who: Who, area: &str) -> Self {
        loop {
            let made = Self::new(rng, ground, number);
            let path = format!("/{area}/");
            let there = memchr::memmem::find(&made.target, path.as_bytes()).is_some();
            if made.who == who && there {
                return made;
            }
        }
    }

    pub fn field(&mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        self.fields.push((name.as_ref().to_vec(), value.as_ref().to_vec()));
    }

    pub fn without(&mut self, name: &str) {
        self.fields.retain(|(key, _)| !key.eq_ignore_ascii_case(name.as_bytes()));
    }

    /// With a body of this length.
    pub fn sized(&mut self, content: &[u8]) {
        self.without("content-length");
        self.field("content-length", content.len().to_string());
        self.body = content.to_vec();
        self.content = content.to_vec();
    }

    /// With a body that is written as `body` and reads as `content`.
    pub fn chunked(&mut self, body: &[u8], content: &[u8]) {
        self.without("content-length");
        self.field("transfer-encoding", "chunked");
        self.body = body.to_vec();
        self.content = content.to_vec();
    }

    /// The path behind the prefix and the area, where families put their odd things.
    pub fn path(&mut self, path: &str) {
        self.target = format!("{}{path}", self.prefix).into_bytes();
    }

    /// A request that is hidden in this one's bytes: public, so that nothing but framing holds it.
    pub fn hidden(&self) -> Vec<u8> {
        let host = String::from_utf8_lossy(self.hosts.first().map_or(b"", Vec::as_slice));
        let (prefix, hidden) = (self.prefix, hidden_mark(self.number));
        format!("GET {prefix}/public/{hidden} HTTP/1.1\r\nHost: {host}\r\n\r\n").into_bytes()
    }

    /// As HTTP/1.1 writes it.
    pub fn lines(&self) -> Vec<Vec<u8>> {
        let mut first = [self.method.as_slice(), self.target.as_slice()].join(&b' ');
        if !self.version.is_empty() {
            first.push(b' ');
            first.extend_from_slice(&self.version);
        }
        let host = |value: &Vec<u8>| [b"Host: ", value.as_slice()].concat();
        let field = |(name, value): &(Vec<u8>, Vec<u8>)| [name, b": ".as_slice(), value].concat();
        let fields = self.hosts.iter().map(host).chain(self.fields.iter().map(field));
        std::iter::once(first).chain(fields).collect()
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in self.lines() {
            bytes.extend_from_slice(&line);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(&self.body);
        bytes
    }
}
