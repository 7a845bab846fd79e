//! Text of any length cut to a limit, with a mark that says so (nothing in a log, an event or a
//! label may be as long as a client likes).

use std::sync::Arc;

use crate::domain::hash::sha256;
use crate::domain::ids::hex;

/// Names: subjects, actors, tools, templates, roles, hosts.
pub const NAME: usize = 512;
/// What people wrote: justifications, reasons, comments.
pub const TEXT: usize = 8192;
/// A request target: 4 KiB as its record bounds it, and room for that record's own mark.
pub const TARGET: usize = 4352;

/// `text` when it has at most `limit` bytes; otherwise its beginning and a mark with the whole
/// length and digest, so that two long texts that begin alike can be told apart.
#[must_use]
pub fn text(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let digest = sha256(&[text.as_bytes()]);
    let begin = text.get(..text.floor_char_boundary(limit)).unwrap_or_default();
    let short = digest.get(..8).unwrap_or_default();
    format!("{begin}…[cut from {} bytes, sha256 {}]", text.len(), hex(short))
}

/// [`text`] that shares what is short enough.
#[must_use]
pub fn shared(value: &Arc<str>, limit: usize) -> Arc<str> {
    if value.len() <= limit { Arc::clone(value) } else { text(value, limit).into() }
}

/// At most `count` items, each at most [`NAME`] bytes; a last item says how many were left out.
#[must_use]
pub fn list(items: &[Arc<str>], count: usize) -> Vec<Arc<str>> {
    let mut kept: Vec<Arc<str>> = items.iter().take(count).map(|item| shared(item, NAME)).collect();
    if items.len() > count {
        kept.push(format!("…[{} more]", items.len() - count).into());
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_text_stays_as_it_is() {
        assert_eq!(text("grün", 5), "grün");
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_marked() {
        let cut = text("grün", 3);
        assert!(cut.starts_with("gr…[cut from 5 bytes, sha256 "), "{cut}");
        assert_ne!(text("aaab", 3), text("aaac", 3));
    }

    #[test]
    fn a_long_list_says_how_many_it_left_out() {
        let items: Vec<Arc<str>> = (0..5).map(|n| n.to_string().into()).collect();
        let kept = list(&items, 3);
        assert_eq!(
            kept.iter().map(AsRef::as_ref).collect::<Vec<_>>(),
            ["0", "1", "2", "…[2 more]"]
        );
    }
}
