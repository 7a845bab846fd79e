//! Something for each scope. The root, which every check asks for, has a place of its own: its name
//! is empty, and comparing empty texts is slow on some processors.

use rustc_hash::FxHashMap;

/// Lookups by what a request says, never insertions: hostile keys cannot make these slow.
#[derive(Debug)]
pub(super) struct ByScope<T> {
    root: Option<T>,
    others: FxHashMap<Box<str>, T>,
}

impl<T> ByScope<T> {
    #[inline]
    pub fn get(&self, scope: &str) -> Option<&T> {
        if scope.is_empty() { self.root.as_ref() } else { self.others.get(scope) }
    }

    #[inline]
    pub fn contains(&self, scope: &str) -> bool {
        self.get(scope).is_some()
    }

    pub fn values(&self) -> impl Iterator<Item = &T> {
        self.root.iter().chain(self.others.values())
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.root.iter_mut().chain(self.others.values_mut())
    }
}

impl<T: Default> ByScope<T> {
    /// What is there, or what is put there.
    pub fn or_default(&mut self, scope: &str) -> &mut T {
        if scope.is_empty() {
            self.root.get_or_insert_default()
        } else {
            self.others.entry(scope.into()).or_default()
        }
    }
}

impl<T> Default for ByScope<T> {
    fn default() -> Self {
        Self { root: None, others: FxHashMap::default() }
    }
}
