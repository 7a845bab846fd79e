//! From source to syntax: the parser of the `cel` crate, without its macros.

use super::error::CompileError;
use super::syntax;
use cel::common::ast::SourceInfo;
use cel::{IdedExpr, ParseError};

pub(super) const MAX_SOURCE: usize = 8192;
const MAX_RECURSION: u16 = 64;
/// Brackets open at the same time: the parser's stack grows with them.
const MAX_BRACKETS: usize = 48;

/// Punctuation of a source that is parsed on the caller's stack.
const SIMPLE_PARTS: usize = 120;

/// The syntax with where each part begins.
pub(super) struct Parsed {
    pub expr: IdedExpr,
    pub positions: Positions,
}

/// Where parts of a source are.
pub(super) struct Positions {
    info: SourceInfo,
}

impl Positions {
    /// Byte offset of a part.
    pub fn offset(&self, id: u64) -> u32 {
        self.info.offset_for(id).map_or(0, |(start, _)| start)
    }

    pub fn error(&self, offset: u32, message: impl Into<String>) -> CompileError {
        let (line, column) = line_and_column(&self.info.source, offset as usize);
        CompileError { line, column, message: message.into() }
    }
}

/// # Errors
/// Says where the source is no CEL.
pub(super) fn parse(source: &str) -> Result<Parsed, CompileError> {
    if source.len() > MAX_SOURCE {
        return Err(CompileError::whole(format!("longer than {MAX_SOURCE} bytes")));
    }
    if deepest_bracket(source) > MAX_BRACKETS {
        return Err(CompileError::whole(format!(
            "more than {MAX_BRACKETS} brackets in each other"
        )));
    }
    let parser = cel::Env::default()
        .with_optional_support(true)
        .parser()
        .enable_optional_syntax(true)
        .enable_ident_escape_syntax(true)
        .error_recovery_limit(4)
        .max_recursion_depth(MAX_RECURSION);
    match parser.parse_with_source_info(source) {
        Ok((expr, info)) => Ok(Parsed { expr, positions: Positions { info } }),
        Err(errors) => Err(refusal(&errors.errors)),
    }
}

/// The first fault that is about the source itself.
fn refusal(errors: &[ParseError]) -> CompileError {
    let is_syntax = |error: &&ParseError| error.msg.starts_with(syntax::PREFIX);
    match errors.iter().find(is_syntax).or(errors.first()) {
        None => CompileError::whole("not valid CEL"),
        Some(first) => CompileError {
            line: usize::try_from(first.pos.0).unwrap_or(1).max(1),
            column: usize::try_from(first.pos.1).unwrap_or(1).max(1),
            message: format!("not valid CEL: {}", syntax::plain(&first.msg)),
        },
    }
}

/// Whether it has so few parts that no recursion over them goes deep.
pub(super) fn is_simple(source: &str) -> bool {
    source.bytes().filter(u8::is_ascii_punctuation).take(SIMPLE_PARTS + 1).count() <= SIMPLE_PARTS
}

/// Brackets in strings count too: that only refuses more.
fn deepest_bracket(source: &str) -> usize {
    let mut open = 0_usize;
    let mut deepest = 0;
    for byte in source.bytes() {
        match byte {
            b'(' | b'[' | b'{' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b')' | b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

fn line_and_column(source: &str, offset: usize) -> (usize, usize) {
    let before = source.get(..offset).unwrap_or(source);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
