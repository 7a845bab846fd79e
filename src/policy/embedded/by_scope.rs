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

    /// Each with the name of its scope.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        let root = self.root.iter().map(|it| ("", it));
        root.chain(self.others.iter().map(|(scope, it)| (&**scope, it)))
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

#[cfg(test)]
mod tests {
    use super::ByScope;

    #[test]
    fn the_root_and_other_scopes_are_kept_apart_and_each_is_made_once() {
        let mut it = ByScope::<u8>::default();
        assert!(!it.contains("") && !it.contains("acme"));
        *it.or_default("") = 1;
        *it.or_default("acme") = 2;
        *it.or_default("") += 10;
        assert_eq!((it.get(""), it.get("acme"), it.get("acme.hr")), (Some(&11), Some(&2), None));
        it.values_mut().for_each(|value| *value += 1);
        assert_eq!(it.values().sum::<u8>(), 15);
    }
}
