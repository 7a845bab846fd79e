//! Patterns of paths: `*` and `?` stay within a part, `[a-z]` and `[^a-z]` are one character.

/// What one place of a pattern takes.
enum Piece {
    /// Any number of bytes of one part.
    Star,
    /// One character that is no slash.
    Any,
    Literal(char),
    /// One character in or outside of these ranges; a slash may be among them.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Whether all of a path fits; `None` when the pattern is malformed.
///
/// As in Go a star begins with nothing and takes one byte after the other, so that inside of a
/// character it goes on with its bytes, and only the last star passed is tried again.
pub(super) fn matches(pattern: &str, path: &str) -> Option<bool> {
    let pieces = parse(pattern)?;
    let path = path.as_bytes();
    let (mut piece, mut at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let rest = path.get(at..).unwrap_or_default();
        match pieces.get(piece) {
            None if rest.is_empty() => return Some(true),
            Some(Piece::Star) => {
                star = Some((piece, at));
                piece += 1;
                continue;
            }
            Some(wanted) => {
                if let Some(width) = taken(wanted, rest) {
                    piece += 1;
                    at += width;
                    continue;
                }
            }
            None => {}
        }
        // Back to the last star, which takes one byte more.
        let Some((place, from)) = star else { return Some(false) };
        match path.get(from) {
            Some(byte) if *byte != b'/' => {
                star = Some((place, from + 1));
                piece = place + 1;
                at = from + 1;
            }
            _ => return Some(false),
        }
    }
}

/// How many bytes a piece takes.
fn taken(piece: &Piece, rest: &[u8]) -> Option<usize> {
    let (letter, width) = first(rest)?;
    let fits = match piece {
        Piece::Star => false,
        Piece::Any => letter != '/',
        Piece::Literal(wanted) => {
            let mut bytes = [0; 4];
            return rest
                .starts_with(wanted.encode_utf8(&mut bytes).as_bytes())
                .then(|| wanted.len_utf8());
        }
        Piece::Class { negated, ranges } => {
            ranges.iter().any(|(low, high)| (low..=high).contains(&&letter)) != *negated
        }
    };
    fits.then_some(width)
}

/// The first character; a byte that begins none is a replacement character.
fn first(bytes: &[u8]) -> Option<(char, usize)> {
    let most = bytes.get(..bytes.len().min(4))?;
    let chunk = most.utf8_chunks().next()?;
    match chunk.valid().chars().next() {
        Some(letter) => Some((letter, letter.len_utf8())),
        None => Some((char::REPLACEMENT_CHARACTER, 1)),
    }
}

fn parse(pattern: &str) -> Option<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut letters = pattern.chars().peekable();
    while let Some(letter) = letters.next() {
        pieces.push(match letter {
            '*' => Piece::Star,
            '?' => Piece::Any,
            '[' => class(&mut letters)?,
            other => Piece::Literal(other),
        });
    }
    Some(pieces)
}

fn class(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Piece> {
    let negated = letters.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && letters.next_if_eq(&']').is_some() {
            return Some(Piece::Class { negated, ranges });
        }
        let low = bound(letters)?;
        let high = match letters.next_if_eq(&'-') {
            Some(_) => bound(letters)?,
            None => low,
        };
        ranges.push((low, high));
    }
}

fn bound(letters: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    let bound = letters.next().filter(|letter| !matches!(letter, '-' | ']'))?;
    letters.peek().map(|_| bound)
}
