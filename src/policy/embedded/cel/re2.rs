//! `matches`: patterns as the PDP's RE2 reads them, compiled once.
//!
//! The classes `\w \d \s \b` of the `regex` crate are Unicode, those of RE2 are ASCII: a policy
//! that denies what is not `^\w+$` would let more through. So they are rewritten, and everything
//! that one of the two reads differently or not at all is refused.

use regex::Regex;
use regex_syntax::ast::{
    self, AssertionKind, Ast, ClassPerlKind, ClassSet, ClassSetItem, Flag, FlagsItemKind,
    GroupKind, HexLiteralKind, LiteralKind, RepetitionKind, RepetitionRange,
};

/// RE2's bound on counted repetitions, also when they are nested.
const MAX_REPEAT: u32 = 1000;
const MAX_SIZE: usize = 1 << 20;

/// # Errors
/// Says what of the pattern is not supported.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let pattern = &literal_braces(pattern);
    let ast = ast::parse::Parser::new().parse(pattern).map_err(|error| error.kind().to_string())?;
    let mut rewrite = Rewrite { pattern, edits: Vec::new() };
    rewrite.visit(&ast, 1)?;
    let text = rewrite.apply()?;
    regex::RegexBuilder::new(&text)
        .size_limit(MAX_SIZE)
        .build()
        .map_err(|_| "the pattern cannot be compiled".to_owned())
}

/// Escapes each `{` that RE2 reads as a character: where it is no `{2}`, `{2,}` or `{2,3}`. A
/// number with a leading zero is none.
fn literal_braces(pattern: &str) -> String {
    let mut text = String::with_capacity(pattern.len());
    let mut rest = pattern;
    let mut in_class = false;
    let mut class_start = false;
    while let Some(character) = rest.chars().next() {
        let after = rest.get(character.len_utf8()..).unwrap_or_default();
        let was_start = std::mem::take(&mut class_start);
        let taken = match character {
            // `\x{41}`, `\p{L}`: the brace belongs to the escape.
            '\\' => escape_length(after) + 1,
            '[' if !in_class => {
                in_class = true;
                class_start = true;
                1
            }
            '^' if was_start => {
                class_start = true;
                1
            }
            ']' if in_class && !was_start => {
                in_class = false;
                1
            }
            '{' if !in_class && !is_count(after) => {
                text.push('\\');
                1
            }
            other => other.len_utf8(),
        };
        let (part, left) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        text.push_str(part);
        rest = left;
    }
    text
}

/// How many bytes belong to the backslash before them.
fn escape_length(after: &str) -> usize {
    let Some(first) = after.chars().next() else { return 0 };
    let braced = matches!(first, 'x' | 'p' | 'P' | 'b' | 'u' | 'U') && after.get(1..2) == Some("{");
    match after.find('}') {
        Some(end) if braced => end + 1,
        Some(_) | None => first.len_utf8(),
    }
}

/// What stands after a `{` counts repetitions.
fn is_count(after: &str) -> bool {
    let Some((inside, _)) = after.split_once('}') else { return false };
    let (least, most) = inside.split_once(',').unwrap_or((inside, "1"));
    let is_number = |text: &str| {
        let is_padded = text.len() > 1 && text.starts_with('0');
        !text.is_empty() && !is_padded && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    is_number(least) && (most.is_empty() || is_number(most))
}

struct Rewrite<'p> {
    pattern: &'p str,
    edits: Vec<(ast::Span, &'static str)>,
}

impl Rewrite<'_> {
    /// `repeat` is the product of the counted repetitions around this node.
    fn visit(&mut self, node: &Ast, repeat: u32) -> Result<(), String> {
        match node {
            Ast::Empty(_) | Ast::Dot(_) => Ok(()),
            Ast::Flags(set) => flags(&set.flags),
            Ast::Literal(literal) => self.literal(literal),
            Ast::Assertion(assertion) => self.assertion(assertion),
            Ast::ClassUnicode(_) => Err("Unicode classes (\\p) are not supported".to_owned()),
            Ast::ClassPerl(class) => {
                self.edits.push((class.span, perl(class, false)));
                Ok(())
            }
            Ast::ClassBracketed(class) => match &class.kind {
                ClassSet::Item(item) => self.item(item, true),
                ClassSet::BinaryOp(_) => Err("set operations in a class are not RE2".to_owned()),
            },
            Ast::Repetition(repetition) => self.repetition(repetition, repeat),
            Ast::Group(group) => {
                match &group.kind {
                    GroupKind::CaptureIndex(_) | GroupKind::CaptureName { .. } => {}
                    GroupKind::NonCapturing(set) => flags(set)?,
                }
                self.visit(&group.ast, repeat)
            }
            Ast::Alternation(alternation) => {
                alternation.asts.iter().try_for_each(|ast| self.visit(ast, repeat))
            }
            Ast::Concat(concat) => concat.asts.iter().try_for_each(|ast| self.visit(ast, repeat)),
        }
    }

    fn repetition(&mut self, repetition: &ast::Repetition, repeat: u32) -> Result<(), String> {
        if matches!(*repetition.ast, Ast::Repetition(_)) {
            return Err("a repetition of a repetition is not RE2".to_owned());
        }
        let count = match &repetition.op.kind {
            RepetitionKind::ZeroOrOne | RepetitionKind::ZeroOrMore | RepetitionKind::OneOrMore => 1,
            RepetitionKind::Range(range) => match range {
                RepetitionRange::Exactly(n)
                | RepetitionRange::AtLeast(n)
                | RepetitionRange::Bounded(_, n) => *n,
            },
        };
        let product = repeat.saturating_mul(count.max(1));
        if product > MAX_REPEAT {
            return Err(format!("repeats more than {MAX_REPEAT} times"));
        }
        self.visit(&repetition.ast, product)
    }

    fn assertion(&mut self, assertion: &ast::Assertion) -> Result<(), String> {
        match assertion.kind {
            AssertionKind::StartLine
            | AssertionKind::EndLine
            | AssertionKind::StartText
            | AssertionKind::EndText => Ok(()),
            AssertionKind::WordBoundary => {
                self.edits.push((assertion.span, r"(?-u:\b)"));
                Ok(())
            }
            AssertionKind::NotWordBoundary => Err(r"`\B` is not supported".to_owned()),
            AssertionKind::WordBoundaryStart
            | AssertionKind::WordBoundaryEnd
            | AssertionKind::WordBoundaryStartAngle
            | AssertionKind::WordBoundaryEndAngle
            | AssertionKind::WordBoundaryStartHalf
            | AssertionKind::WordBoundaryEndHalf => {
                Err("this kind of word boundary is not RE2".to_owned())
            }
        }
    }

    fn literal(&mut self, literal: &ast::Literal) -> Result<(), String> {
        match &literal.kind {
            LiteralKind::Verbatim | LiteralKind::Meta | LiteralKind::Superfluous => Ok(()),
            LiteralKind::HexFixed(HexLiteralKind::X) | LiteralKind::HexBrace(HexLiteralKind::X) => {
                Ok(())
            }
            LiteralKind::Special(kind) => match kind {
                ast::SpecialLiteralKind::Space => Err("`\\ ` is not supported".to_owned()),
                ast::SpecialLiteralKind::Bell
                | ast::SpecialLiteralKind::FormFeed
                | ast::SpecialLiteralKind::Tab
                | ast::SpecialLiteralKind::LineFeed
                | ast::SpecialLiteralKind::CarriageReturn
                | ast::SpecialLiteralKind::VerticalTab => Ok(()),
            },
            LiteralKind::Octal | LiteralKind::HexFixed(_) | LiteralKind::HexBrace(_) => {
                Err(format!("the escape '{}' is not RE2", self.text(&literal.span)?))
            }
        }
    }

    fn item(&mut self, item: &ClassSetItem, outermost: bool) -> Result<(), String> {
        match item {
            ClassSetItem::Empty(_) | ClassSetItem::Ascii(_) => Ok(()),
            ClassSetItem::Literal(literal) => self.literal(literal),
            ClassSetItem::Range(range) => {
                self.literal(&range.start)?;
                self.literal(&range.end)
            }
            ClassSetItem::Perl(class) => {
                self.edits.push((class.span, perl(class, true)));
                Ok(())
            }
            ClassSetItem::Unicode(_) => Err("Unicode classes (\\p) are not supported".to_owned()),
            ClassSetItem::Union(union) if outermost => {
                union.items.iter().try_for_each(|item| self.item(item, false))
            }
            // RE2 reads the inner `[` as a character.
            ClassSetItem::Bracketed(_) | ClassSetItem::Union(_) => {
                Err("a class in a class is not RE2".to_owned())
            }
        }
    }

    fn text(&self, span: &ast::Span) -> Result<&str, String> {
        self.pattern
            .get(span.start.offset..span.end.offset)
            .ok_or_else(|| "the pattern cannot be read".to_owned())
    }

    fn apply(mut self) -> Result<String, String> {
        self.edits.sort_by_key(|(span, _)| span.start.offset);
        let mut text = String::new();
        let mut from = 0;
        for (span, replacement) in &self.edits {
            text.push_str(self.pattern.get(from..span.start.offset).ok_or("overlapping classes")?);
            text.push_str(replacement);
            from = span.end.offset;
        }
        text.push_str(self.pattern.get(from..).ok_or("overlapping classes")?);
        Ok(text)
    }
}

fn flags(flags: &ast::Flags) -> Result<(), String> {
    for item in &flags.items {
        match item.kind {
            FlagsItemKind::Negation
            | FlagsItemKind::Flag(
                Flag::CaseInsensitive | Flag::MultiLine | Flag::DotMatchesNewLine | Flag::SwapGreed,
            ) => {}
            FlagsItemKind::Flag(Flag::Unicode | Flag::CRLF | Flag::IgnoreWhitespace) => {
                return Err("the flags x, u and R are not RE2".to_owned());
            }
        }
    }
    Ok(())
}

/// The ASCII class that RE2 means; `\s` has no vertical tab there.
fn perl(class: &ast::ClassPerl, in_brackets: bool) -> &'static str {
    match (&class.kind, class.negated, in_brackets) {
        (ClassPerlKind::Digit, false, false) => "[0-9]",
        (ClassPerlKind::Digit, false, true) => "0-9",
        (ClassPerlKind::Digit, true, _) => "[^0-9]",
        (ClassPerlKind::Space, false, false) => r"[\t\n\f\r\x20]",
        (ClassPerlKind::Space, false, true) => r"\t\n\f\r\x20",
        (ClassPerlKind::Space, true, _) => r"[^\t\n\f\r\x20]",
        (ClassPerlKind::Word, false, false) => "[0-9A-Za-z_]",
        (ClassPerlKind::Word, false, true) => "0-9A-Za-z_",
        (ClassPerlKind::Word, true, _) => "[^0-9A-Za-z_]",
    }
}

#[cfg(test)]
mod tests {
    use super::compile;

    fn matches(pattern: &str, text: &str) -> bool {
        compile(pattern).unwrap().is_match(text)
    }

    #[test]
    fn perl_classes_are_ascii() {
        assert!(matches(r"^\d+$", "123"));
        assert!(!matches(r"^\d+$", "١٢٣"));
        assert!(!matches(r"^\w+$", "é"));
        assert!(matches(r"^\W$", "é"));
        assert!(matches(r"^[\w.-]+$", "a.b-c"));
        assert!(!matches(r"^[\w.-]+$", "é"));
        assert!(matches(r"^[^\d]$", "١"));
        assert!(matches(r"^[\D]$", "١"));
        assert!(!matches(r"^\s$", "\u{b}"));
        assert!(!matches(r"^\s$", "\u{a0}"));
    }

    #[test]
    fn word_boundaries_are_ascii() {
        assert!(matches(r"\bfoo\b", "éfoo"));
        assert!(matches(r"\bfoo\b", "a foo b"));
        assert!(!matches(r"\bfoo\b", "afoo"));
    }

    #[test]
    fn a_brace_that_counts_nothing_is_a_character() {
        assert!(matches(r"^{a}$", "{a}"));
        assert!(matches("^{\"a\":1}*$", "{\"a\":1}}}"));
        assert!(matches(r"^a{02}$", "a{02}"));
        assert!(!matches(r"^a{02}$", "aa"));
        assert!(matches(r"^a{ 2}$", "a{ 2}"));
        assert!(matches(r"^a{,2}$", "a{,2}"));
        assert!(matches(r"^a{2", "a{2"));
        assert!(matches(r"^[{]a{2}\x{41}\{$", "{aaA{"));
        assert!(matches(r"^[]{]{$", "{{"));
        for pattern in [r"{2}", r"a{2,1}", r"a{1}{2}"] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }

    #[test]
    fn what_re2_does_not_read_the_same_way_is_refused() {
        for pattern in [
            r"\p{L}",
            r"\B",
            r"a**",
            r"a{1001}",
            r"(a{100}){100}",
            r"[a[b]]",
            r"[a&&b]",
            r"(?x)a",
            r"(?u)a",
            r"\u0061",
            r"\<a",
            r"\b{start}a",
            r"(?=a)",
            r"(a)\1",
            r"(",
        ] {
            assert!(compile(pattern).is_err(), "{pattern}");
        }
    }
}
