//! Expressions of a wanted type, with a share that has another one.

use super::rng::Rng;
use super::templates::{LEAVES, TEMPLATES};

pub struct Expressions {
    /// Of a hundred parts so many have a type that does not fit.
    pub ill_typed: usize,
    /// Names of the policy: type and text.
    pub names: Vec<(char, String)>,
    leaves: Vec<&'static (char, &'static str)>,
    templates: Vec<&'static (char, &'static str)>,
    bound: Vec<String>,
    fresh: usize,
}

/// b: boolean, i: int, d: double, s: string, l: list, q: list of strings, m: map, t: timestamp,
/// u: duration, h: hierarchy, o: optional, x: anything.
///
/// A hierarchy never stands where anything may: comparing it within lists fails here and not in the
/// PDP (docs/policies.md), which says nothing about policies.
const CONFUSED: [char; 10] = ['b', 'i', 'd', 's', 'l', 'q', 'm', 't', 'u', 'o'];

impl Expressions {
    pub fn new(ill_typed: usize) -> Self {
        Self {
            ill_typed,
            names: Vec::new(),
            leaves: LEAVES.iter().collect(),
            templates: TEMPLATES.iter().collect(),
            bound: Vec::new(),
            fresh: 0,
        }
    }

    /// Leaves and templates besides the usual ones.
    pub fn with(
        mut self,
        leaves: &'static [(char, &'static str)],
        templates: &'static [(char, &'static str)],
    ) -> Self {
        self.leaves.extend(leaves);
        self.templates.extend(templates);
        self
    }

    pub fn write(&mut self, wanted: char, depth: usize, rng: &mut Rng) -> String {
        let mut wanted = wanted;
        if wanted == 'x' || rng.percent(self.ill_typed) {
            wanted = *rng.pick(&CONFUSED);
        }
        if depth == 0 || rng.percent(12) {
            return self.leaf(wanted, rng);
        }
        let fitting: Vec<&str> =
            self.templates.iter().filter(|(of, _)| *of == wanted).map(|(_, text)| *text).collect();
        if fitting.is_empty() {
            return self.leaf(wanted, rng);
        }
        let template = *rng.pick(&fitting);
        self.fill(template, depth, rng)
    }

    fn leaf(&mut self, wanted: char, rng: &mut Rng) -> String {
        if !self.bound.is_empty() && rng.percent(50) {
            return rng.pick(&self.bound).clone();
        }
        let named: Vec<&(char, String)> =
            self.names.iter().filter(|(of, _)| *of == wanted || *of == 'x').collect();
        if !named.is_empty() && rng.percent(25) {
            return rng.pick(&named).1.clone();
        }
        if rng.percent(8) {
            let attr = *rng.pick(&["s", "i", "d", "b", "l", "q", "m", "t", "u", "n", "gone"]);
            return format!("{}.attr.{attr}", rng.pick(&["R", "P", "request.resource"]));
        }
        let fitting: Vec<&str> =
            self.leaves.iter().filter(|(of, _)| *of == wanted).map(|(_, text)| *text).collect();
        (*rng.pick(&fitting)).to_owned()
    }

    /// `$b` is a boolean and so on, `@` and `#` are names that the template binds.
    fn fill(&mut self, template: &str, depth: usize, rng: &mut Rng) -> String {
        let before = self.bound.len();
        let first = format!("v{}", self.fresh);
        let second = format!("v{}", self.fresh + 1);
        self.fresh += 2;
        let mut text = String::new();
        let mut rest = template.chars();
        while let Some(character) = rest.next() {
            match character {
                '$' => {
                    let wanted = rest.next().expect("a type");
                    text.push_str(&self.write(wanted, depth - 1, rng));
                }
                '@' | '#' => {
                    let name = if character == '@' { &first } else { &second };
                    text.push_str(name);
                    if !self.bound.contains(name) {
                        self.bound.push(name.clone());
                    }
                }
                other => text.push(other),
            }
        }
        self.bound.truncate(before);
        text
    }
}
