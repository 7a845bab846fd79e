//! Mappings of a configuration file, and which of their keys are known.

use std::cell::RefCell;

use super::problems::suggestion;
use super::reader::{At, Context};
use super::yaml::{Key, Node};

/// A mapping being read: it remembers which keys are known, and reports the others at the end.
pub struct Map<'a> {
    pub context: &'a Context<'a>,
    pub path: String,
    pub line: usize,
    entries: &'a [(Key, Node)],
    known: RefCell<Vec<&'static str>>,
    later: RefCell<Vec<&'static str>>,
}

impl<'a> Map<'a> {
    pub(super) fn new(
        context: &'a Context<'a>,
        path: String,
        line: usize,
        entries: &'a [(Key, Node)],
    ) -> Self {
        let (known, later) = (RefCell::default(), RefCell::default());
        Self { context, path, line, entries, known, later }
    }

    pub fn get(&self, key: &'static str) -> Option<At<'a>> {
        self.known.borrow_mut().push(key);
        self.find(key)
    }

    /// Whether the key is there, whatever it holds.
    pub fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    fn find(&self, key: &str) -> Option<At<'a>> {
        let (_, node) = self.entries.iter().find(|(found, _)| found.text == key)?;
        Some(At { context: self.context, path: self.below(key), node })
    }

    /// The value, or the problem that it is missing.
    pub fn need<T>(
        &self,
        key: &'static str,
        expected: &str,
        read: impl FnOnce(&At<'a>) -> Option<T>,
    ) -> Option<T> {
        let Some(at) = self.get(key) else {
            self.context.problem(&self.below(key), Some(self.line), "nothing", expected);
            return None;
        };
        read(&at)
    }

    /// The value, or `default` when the key is absent (not when its value is wrong).
    pub fn or<T>(
        &self,
        key: &'static str,
        default: T,
        read: impl FnOnce(&At<'a>) -> Option<T>,
    ) -> Option<T> {
        self.get(key).map_or(Some(default), |at| read(&at))
    }

    /// `Some(None)` when the key is absent.
    #[expect(clippy::option_option, reason = "wrong, absent and there are three answers")]
    pub fn maybe<T>(
        &self,
        key: &'static str,
        read: impl FnOnce(&At<'a>) -> Option<T>,
    ) -> Option<Option<T>> {
        self.get(key).map_or(Some(None), |at| read(&at).map(Some))
    }

    /// Keys that the documentation names and this version does not know yet.
    pub fn later(&self, keys: &[&'static str]) {
        self.later.borrow_mut().extend(keys);
        for key in keys {
            if let Some(at) = self.find(key) {
                at.refuse_as::<()>("a key not supported by this version yet", "it to be removed");
            }
        }
    }

    /// Every entry, for mappings whose keys the user chooses.
    pub fn entries<T>(&self, read: impl Fn(&str, &At<'a>) -> Option<T>) -> Option<Vec<T>> {
        let entry = |(key, node): &'a (Key, Node)| {
            let at = At { context: self.context, path: self.below(&key.text), node };
            read(&key.text, &at)
        };
        self.duplicates();
        let read: Vec<Option<T>> = self.entries.iter().map(entry).collect();
        read.into_iter().collect()
    }

    pub fn refuse<T>(&self, found: impl Into<String>, expected: impl Into<String>) -> Option<T> {
        self.context.problem(&self.path, Some(self.line), found, expected);
        None
    }

    /// The line of a key, or of the whole mapping when the key is not there.
    pub fn line_of(&self, key: &str) -> usize {
        let entry = self.entries.iter().find(|(found, _)| found.text == key);
        entry.map_or(self.line, |(found, _)| found.line)
    }

    /// Reports repeated keys and keys that nobody asked for.
    pub fn finish(&self) {
        self.duplicates();
        let (known, later) = (self.known.borrow(), self.later.borrow());
        let is_strange = |(key, _): &&(Key, Node)| {
            !known.contains(&key.text.as_str()) && !later.contains(&key.text.as_str())
        };
        for (key, _) in self.entries.iter().filter(is_strange) {
            let near = suggestion(&key.text, known.iter().copied());
            let expected = match near {
                Some(near) => format!("a known key; did you mean `{near}`?"),
                None => format!("one of the keys {}", known.join(", ")),
            };
            self.context.problem(
                &self.below(&key.text),
                Some(key.line),
                "an unknown key",
                expected,
            );
        }
    }

    fn duplicates(&self) {
        for (index, (key, _)) in self.entries.iter().enumerate() {
            let earlier = self.entries.iter().take(index).find(|(other, _)| other.text == key.text);
            if let Some((first, _)) = earlier {
                let found = format!("the key again (first on line {})", first.line);
                self.context.problem(
                    &self.below(&key.text),
                    Some(key.line),
                    found,
                    "each key once",
                );
            }
        }
    }

    pub fn below(&self, key: &str) -> String {
        self.context.below(&self.path, key)
    }
}
