//! YAML as a small tree with line numbers. Scalars keep their text: what a scalar means is decided
//! where it is read, so `0123`, `no` and `${NAME}` cannot turn into something else on the way.

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

/// Files above this size are refused, in bytes.
pub const MAX_BYTES: u64 = 1 << 20;
/// Aliases copy what they point at; this bounds the tree that they can unfold into.
const MAX_NODES: usize = 50_000;
const MAX_DEPTH: usize = 64;

#[derive(Clone, Debug)]
pub struct Node {
    /// Counted from 1.
    pub line: usize,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    /// `plain` is false for quoted and block scalars, which are always text.
    Scalar {
        text: String,
        plain: bool,
    },
    List(Vec<Node>),
    /// In file order, repeated keys included.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub struct Key {
    pub text: String,
    pub line: usize,
}

impl Node {
    /// The same tree for a JSON value, whose depth somebody else bounds; all on line 1.
    pub fn of_json(value: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        let plain = |text: String| Value::Scalar { text, plain: true };
        let value = match value {
            Json::Null => plain("null".to_owned()),
            Json::Bool(value) => plain(value.to_string()),
            Json::Number(number) => plain(number.to_string()),
            Json::String(text) => Value::Scalar { text: text.clone(), plain: false },
            Json::Array(items) => Value::List(items.iter().map(Self::of_json).collect()),
            Json::Object(members) => {
                let entry = |(name, value): (&String, &Json)| {
                    (Key { text: name.clone(), line: 1 }, Self::of_json(value))
                };
                Value::Map(members.iter().map(entry).collect())
            }
        };
        Self { line: 1, value }
    }
}

/// The text is not a YAML document that a configuration can be read from.
#[derive(Debug)]
pub struct Unreadable {
    pub line: usize,
    pub found: String,
}

/// Reads one document; `None` when there is nothing but comments.
///
/// # Errors
/// Broken YAML, tags, several documents, keys that are not plain text, nesting or unfolding
/// beyond bounds.
pub fn parse(text: &str) -> Result<Option<Node>, Unreadable> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: Vec::new(), nodes: 0 };
    let mut root = None;
    while let Some((event, span)) = builder.next()? {
        match event {
            Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => (),
            Event::DocumentStart(..) if root.is_none() => (),
            Event::DocumentStart(..) => return Err(refuse(&span, "a second document")),
            event => root = Some(builder.node(event, &span, 0)?),
        }
    }
    let is_empty =
        |node: &Node| matches!(&node.value, Value::Scalar { text, plain: true } if is_null(text));
    Ok(root.filter(|node| !is_empty(node)))
}

/// Whether a plain scalar means "nothing" (YAML 1.2 core schema).
#[must_use]
pub fn is_null(text: &str) -> bool {
    matches!(text, "" | "~" | "null" | "Null" | "NULL")
}

struct Builder<'a> {
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
    anchors: Vec<(usize, Node)>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    /// The next event that is not a comment.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Unreadable> {
        loop {
            match self.parser.next_event() {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok((Event::Comment(..), _))) => (),
                Some(Ok(found)) => return Ok(Some(found)),
            }
        }
    }

    fn inside(&mut self) -> Result<(Event<'a>, Span), Unreadable> {
        self.next()?.ok_or(Unreadable { line: 1, found: "an unfinished document".to_owned() })
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Unreadable> {
        self.nodes += 1;
        if self.nodes > MAX_NODES || depth > MAX_DEPTH {
            return Err(refuse(span, "more nesting or aliases than a configuration needs"));
        }
        if event.tag().is_some() {
            return Err(refuse(span, "a YAML tag"));
        }
        let (line, anchor) = (span.start.line(), event.anchor_id());
        let value = match event {
            Event::Scalar(text, style, ..) => {
                Value::Scalar { text: text.into_owned(), plain: style == ScalarStyle::Plain }
            }
            Event::SequenceStart(..) => Value::List(self.list(depth)?),
            Event::MappingStart(..) => Value::Map(self.map(depth)?),
            Event::Alias(id) => return self.alias(id, span),
            _ => return Err(refuse(span, "something that is not a value")),
        };
        let node = Node { line, value };
        if let Some(id) = anchor {
            self.anchors.push((id, node.clone()));
        }
        Ok(node)
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Unreadable> {
        let mut items = Vec::new();
        loop {
            let (event, span) = self.inside()?;
            if matches!(event, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Node)>, Unreadable> {
        let mut entries = Vec::new();
        loop {
            let (event, span) = self.inside()?;
            if matches!(event, Event::MappingEnd) {
                return Ok(entries);
            }
            let Value::Scalar { text, .. } = self.node(event, &span, depth + 1)?.value else {
                return Err(refuse(&span, "a key that is not text"));
            };
            let key = Key { text, line: span.start.line() };
            let (event, span) = self.inside()?;
            entries.push((key, self.node(event, &span, depth + 1)?));
        }
    }

    fn alias(&mut self, id: usize, span: &Span) -> Result<Node, Unreadable> {
        let anchored = self.anchors.iter().find(|(anchor, _)| *anchor == id);
        let Some((_, node)) = anchored else {
            return Err(refuse(span, "an alias of something unfinished"));
        };
        self.nodes += size(node);
        if self.nodes > MAX_NODES {
            return Err(refuse(span, "more nesting or aliases than a configuration needs"));
        }
        Ok(node.clone())
    }
}

fn size(node: &Node) -> usize {
    match &node.value {
        Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(size).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, value)| 1 + size(value)).sum::<usize>(),
    }
}

fn refuse(span: &Span, found: &str) -> Unreadable {
    Unreadable { line: span.start.line(), found: found.to_owned() }
}

/// The scanner's words name characters and structure, never a value.
fn broken(error: &ScanError) -> Unreadable {
    Unreadable { line: error.marker().line(), found: format!("broken YAML ({})", error.info()) }
}
