//! Changes texts in ways that break readers: structure is kept often enough to get far.

use crate::work::Random;

pub const YAML: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ": ",
    "- ",
    "\n",
    "  ",
    "&a ",
    "*a",
    "<<: *a",
    "!!binary ",
    "? ",
    "| ",
    "> ",
    "---\n",
    "\"",
    "'",
    "#",
    "\t",
    "EFFECT_ALLOW",
    "EFFECT_DENY",
    "\"**\"",
    "*",
    "scope: a.b",
    "derivedRoles: ",
    "condition: ",
    "{ match: { expr: \"V.a\" } }",
    "all: { of: [",
    "variables: { local: { a: V.b, b: V.a } }",
    "null",
    "~",
    "1e999",
    "\u{feff}",
    "\0",
    "output: { when: { ruleActivated: 'P' } }",
    "rolePolicy: ",
    "parentRoles: [user]",
    "principals: [",
    "{ actions: [",
];
pub const JSON: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    ":",
    ",",
    "\"",
    "null",
    "true",
    "1e308",
    "-0",
    "9223372036854775808",
    "\\u0000",
    "\\ud800",
    "\"attr\":{",
    "\"scope\":\"a.b.c\"",
    "\"policyVersion\":\"20210210\"",
    "\"roles\":[",
    "\"*\"",
    "\"a:b:c\"",
    "\"jwt\":{\"token\":\"x\"}",
    "\"2021-05-01T00:00:00Z\"",
    "\"10.0.0.0/8\"",
    "\"^(a|b)*$\"",
    "[[[[1]]]]",
    "\"\"",
];
pub const CEL: &[&str] = &[
    "(",
    ")",
    "[",
    "]",
    "{",
    "}",
    ".",
    ",",
    "?",
    ":",
    "!",
    "-",
    "+",
    "*",
    "/",
    "%",
    "&&",
    "||",
    "==",
    "<",
    ">=",
    " in ",
    "P.attr.l",
    "P.attr.s",
    "P.attr.map",
    "R.attr",
    "V.x",
    "C.limit",
    "G.env",
    ".map(x, x)",
    ".all(x, x > 0)",
    ".exists(i, x, i > x)",
    ".filter(x, true)",
    ".transformMap(k, v, v)",
    "cel.bind(x, P.attr.l, x + x)",
    ".flatten()",
    ".join(',')",
    ".split('')",
    ".format([1])",
    "lists.range(9999)",
    ".sortBy(x, -x)",
    ".distinct()",
    ".reverse()",
    ".matches('(a{1,99}){1,99}')",
    "'%99999999d'",
    ".replace('', 'xx')",
    ".substring(1, 2)",
    "timestamp('9999-12-31T23:59:59Z')",
    "duration('9999999h')",
    "hierarchy('a.b.c')",
    "ip('::1')",
    "cidr('0.0.0.0/0')",
    "int(",
    "string(",
    "double('nan')",
    "1e308",
    "9223372036854775807",
    "0x7fffffffffffffff",
    "18446744073709551615u",
    "b'\\xff'",
    "'\\U0010ffff'",
    "optional.of(1)",
    "[?",
    ".?",
    ".orValue(",
    "base64.decode('####')",
    "json.encode(P.attr)",
    "math.bitShiftLeft(1, 64)",
    "sets.contains(",
    "regex.replace(P.attr.s, 'a', 'bbbb')",
    "has(P.attr.x)",
    "now()",
    "dyn(",
];
const NUMBERS: &[&str] = &[
    "0",
    "-1",
    "1",
    "63",
    "64",
    "65",
    "255",
    "4096",
    "99999",
    "2147483648",
    "9223372036854775807",
    "18446744073709551616",
    "1e400",
];

/// No input is longer: most bounds are far below.
const LONGEST: usize = 200_000;

pub struct Mutator<'m> {
    random: &'m mut Random,
    seeds: &'m [String],
    words: &'m [&'m str],
}

impl<'m> Mutator<'m> {
    pub fn new(random: &'m mut Random, seeds: &'m [String], words: &'m [&'m str]) -> Self {
        Self { random, seeds, words }
    }

    pub fn files(&mut self, count: usize) -> Vec<Vec<u8>> {
        (0..count).map(|_| self.file()).collect()
    }

    fn file(&mut self) -> Vec<u8> {
        let mut text = self.seed().as_bytes().to_vec();
        for _ in 0..self.random.below(6) {
            self.change(&mut text);
            text.truncate(LONGEST);
        }
        text
    }

    fn seed(&mut self) -> &'m str {
        &self.seeds[self.random.below(self.seeds.len())]
    }

    fn word(&mut self) -> &'m str {
        self.words[self.random.below(self.words.len())]
    }

    fn change(&mut self, text: &mut Vec<u8>) {
        let (from, to) = self.part(text.len());
        match self.random.below(12) {
            0 => drop(text.drain(from..to)),
            1 => {
                let part = text[from..to].to_vec();
                self.insert(text, &part);
            }
            2 => {
                let other = self.seed().as_bytes();
                let (from, to) = self.part(other.len());
                let part = other[from..to].to_vec();
                self.insert(text, &part);
            }
            3 | 4 => {
                let word = self.word().as_bytes().to_vec();
                self.insert(text, &word);
            }
            5 => {
                let word = self.word().as_bytes().to_vec();
                let times = [2, 8, 40, 70, 500, 20_000][self.random.below(6)];
                self.insert(text, &word.repeat(times));
            }
            6 => {
                let part = text[from..to.min(from + 200)].to_vec();
                let times = [2, 10, 100, 1000][self.random.below(4)];
                self.insert(text, &part.repeat(times));
            }
            7 if !text.is_empty() => {
                let at = self.random.below(text.len());
                text[at] = u8::try_from(self.random.below(256)).unwrap_or(0);
            }
            8 => self.number(text),
            9 => self.line(text, true),
            10 => self.line(text, false),
            _ => {
                let word = self.word().as_bytes().to_vec();
                text.splice(from..to.min(from + 8), word);
            }
        }
    }

    fn insert(&mut self, text: &mut Vec<u8>, part: &[u8]) {
        let at = self.random.below(text.len() + 1);
        text.splice(at..at, part.iter().copied());
    }

    fn part(&mut self, length: usize) -> (usize, usize) {
        let from = self.random.below(length + 1);
        let most = if self.random.below(4) == 0 { length } else { 40 };
        (from, (from + self.random.below(most + 1)).min(length))
    }

    fn number(&mut self, text: &mut Vec<u8>) {
        let start = self.random.below(text.len() + 1);
        let Some(from) = text[start..].iter().position(u8::is_ascii_digit) else { return };
        let from = start + from;
        let length = text[from..].iter().take_while(|it| it.is_ascii_digit()).count();
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        text.splice(from..from + length, number.bytes());
    }

    /// Takes a line away, or puts it somewhere else as well.
    fn line(&mut self, text: &mut Vec<u8>, remove: bool) {
        let mut lines: Vec<Vec<u8>> =
            text.split_inclusive(|it| *it == b'\n').map(<[u8]>::to_vec).collect();
        if lines.is_empty() {
            return;
        }
        let at = self.random.below(lines.len());
        if remove {
            lines.remove(at);
        } else {
            let line = lines[at].clone();
            lines.insert(self.random.below(lines.len() + 1), line);
        }
        *text = lines.concat();
    }
}
