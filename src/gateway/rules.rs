//! The first rule that fits, found along the path: what it costs follows the path's segments, not the
//! number of rules.
//!
//! A tree of segments with the positions of rules in it. Where a literal and a wildcard could both
//! lead on, both are followed, and the lowest position wins: the rules are tried in their order, and
//! only those that cannot fit are passed over. [`fit`] has the last word on each.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::config::Rule;
use crate::domain::access::first_segment;

use super::route::{Fit, fit};

/// The rules of one tool.
#[derive(Debug, Default)]
pub struct Rules {
    rules: Vec<Arc<Rule>>,
    root: Node,
}

/// What is left of a path begins here.
#[derive(Debug, Default)]
struct Node {
    /// The lowest position at or below this node.
    first: usize,
    /// Rules whose pattern ends here; in order.
    ends: Vec<usize>,
    /// Rules that take any rest (`**`); in order.
    rests: Vec<usize>,
    literals: FxHashMap<Box<str>, Self>,
    /// `*` and `{name}`.
    wildcard: Option<Box<Self>>,
}

/// What is looked for, and the best that was found.
struct Search<'a> {
    rules: &'a [Arc<Rule>],
    method: &'a str,
    path: &'a str,
    best: Option<usize>,
}

impl Rules {
    #[must_use]
    pub fn new(rules: Vec<Arc<Rule>>) -> Self {
        let mut root = Node::default();
        for (position, rule) in rules.iter().enumerate() {
            if let Some(pattern) = rule.path.as_str().strip_prefix('/') {
                root.add(position, pattern);
            }
        }
        Self { rules, root }
    }

    /// In the order in which they are tried.
    #[must_use]
    pub fn all(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The first one that is about `method` and `path`. Allocates nothing.
    #[must_use]
    pub fn first(&self, method: &str, path: &str) -> Option<&Arc<Rule>> {
        let mut search = Search { rules: &self.rules, method, path, best: None };
        self.root.look(path.strip_prefix('/')?, &mut search);
        search.best.and_then(|position| self.rules.get(position))
    }
}

impl Node {
    fn at(position: usize) -> Self {
        Self { first: position, ..Self::default() }
    }

    /// Positions come in rising order, so the one that made a node is its lowest.
    fn add(&mut self, position: usize, pattern: &str) {
        let mut node = self;
        for part in pattern.split('/') {
            if part == "**" {
                node.rests.push(position);
                return;
            }
            node = if part == "*" || part.starts_with('{') {
                node.wildcard.get_or_insert_with(|| Box::new(Self::at(position)))
            } else {
                node.literals.entry(part.into()).or_insert_with(|| Self::at(position))
            };
        }
        node.ends.push(position);
    }

    /// As deep as the deepest pattern, which has at most 1024 bytes.
    fn look(&self, rest: &str, search: &mut Search<'_>) {
        search.among(&self.rests);
        let (segment, rest) = first_segment(rest);
        let literal = self.literals.get(segment);
        let wildcard = self.wildcard.as_deref().filter(|_| !segment.is_empty());
        for node in [literal, wildcard].into_iter().flatten() {
            if search.best.is_some_and(|best| best < node.first) {
                continue;
            }
            if let Some(rest) = rest {
                node.look(rest, search);
            } else {
                search.among(&node.ends);
                search.among(&node.rests);
            }
        }
    }
}

impl Search<'_> {
    fn among(&mut self, positions: &[usize]) {
        for &position in positions {
            if self.best.is_some_and(|best| best <= position) {
                return;
            }
            let rule = self.rules.get(position);
            if rule.is_some_and(|rule| fit(rule, self.method, self.path) == Fit::Fits) {
                self.best = Some(position);
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::AccessMode;
    use crate::domain::access::PathPattern;

    fn rule(method: Option<&str>, path: &str) -> Option<Arc<Rule>> {
        Some(Arc::new(Rule {
            methods: method.map(|method| method.parse().expect("a method")).into_iter().collect(),
            path: PathPattern::new(path).ok()?,
            access: AccessMode::Grant,
            action: "read".into(),
            resource: "tool".into(),
            id: None,
            scope: None,
            default_effect_allow: false,
        }))
    }

    fn rules() -> impl Strategy<Value = Vec<Arc<Rule>>> {
        let part = prop_oneof![Just("a"), Just("b"), Just("*"), Just("{x}"), Just("**"), Just("")];
        let path =
            prop::collection::vec(part, 1..5).prop_map(|parts| format!("/{}", parts.join("/")));
        let method = prop_oneof![Just(None), Just(Some("GET")), Just(Some("POST"))];
        let rules = prop::collection::vec((method, path), 0..40);
        rules.prop_map(|all| all.iter().filter_map(|(method, path)| rule(*method, path)).collect())
    }

    fn path() -> impl Strategy<Value = String> {
        let part = prop_oneof![Just("a"), Just("b"), Just("c"), Just("")];
        prop::collection::vec(part, 0..6).prop_map(|parts| format!("/{}", parts.join("/")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn the_rule_that_is_found_is_the_first_of_the_list_that_fits(
            rules in rules(), path in path(), method in prop_oneof![Just("GET"), Just("PUT")],
        ) {
            let listed = rules.iter().find(|rule| fit(rule, method, &path) == Fit::Fits);
            let tree = Rules::new(rules.clone());
            let found = tree.first(method, &path);
            prop_assert_eq!(
                found.map(Arc::as_ptr), listed.map(Arc::as_ptr),
                "{} in {:?}", path, rules.iter().map(|it| it.path.as_str()).collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_path_that_is_none_finds_no_rule() {
        let tree = Rules::new(rule(None, "/**").into_iter().collect());
        assert!(tree.first("GET", "").is_none());
        assert!(tree.first("GET", "a").is_none());
        assert!(tree.first("GET", "/").is_some());
    }
}
