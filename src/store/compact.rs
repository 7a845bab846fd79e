//! The content of a live value, byte by byte (docs/store.md, "Live value").
//!
//! ```text
//! value     := format (1 byte, 1)  count (1 byte, 0 to 64)  grant*
//! grant     := length of the rest (u16)  partition (u16)  id (16 bytes)  generation (u64)
//!              expires_at (u64)  flags (1 byte)  [not_before (u64)]  tool  role  template
//!              narrowing*
//! flags     := bit 0 confirmed, bit 1 not_before is there; all others 0
//! narrowing := methods (u8 count, each a name)  paths (u8 count, each u16 length and text)
//! name      := length (u8) and text; so are tool, role and template
//! ```
//! Numbers are big endian, times milliseconds since the epoch, texts UTF-8.

use crate::domain::access::{Narrowing, pattern_captures};
use crate::domain::grant::Grant;
use crate::domain::ids::{GrantId, Partition};
use crate::domain::time::Timestamp;

use super::live::LiveGrant;

pub const FORMAT: u8 = 1;
/// The most grants that one subject's value holds.
pub const MOST_GRANTS: usize = 64;

const CONFIRMED: u8 = 1;
const HAS_START: u8 = 2;

/// A grant, or so many grants, that the format cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DoesNotFit(pub &'static str);

/// The content of a live value with these grants.
///
/// # Errors
/// More than 64 grants, or one with names or narrowings beyond what the format counts.
pub fn encode<'a>(grants: impl ExactSizeIterator<Item = &'a Grant>) -> Result<Vec<u8>, DoesNotFit> {
    let count = grants.len();
    if count > MOST_GRANTS {
        return Err(DoesNotFit("more than 64 grants"));
    }
    let mut content = vec![FORMAT, byte(count)?];
    for grant in grants {
        let body = encode_grant(grant)?;
        content.extend_from_slice(&short(body.len())?);
        content.extend_from_slice(&body);
    }
    Ok(content)
}

fn encode_grant(grant: &Grant) -> Result<Vec<u8>, DoesNotFit> {
    let mut body = Vec::with_capacity(128);
    body.extend_from_slice(&grant.id.partition.0.to_be_bytes());
    body.extend_from_slice(&grant.id.random);
    body.extend_from_slice(&grant.generation.to_be_bytes());
    body.extend_from_slice(&grant.expires_at.millis().to_be_bytes());
    let confirmed = if grant.confirmed { CONFIRMED } else { 0 };
    let scheduled = if grant.not_before.is_some() { HAS_START } else { 0 };
    body.push(confirmed | scheduled);
    if let Some(start) = grant.not_before {
        body.extend_from_slice(&start.millis().to_be_bytes());
    }
    for name in [&grant.access.tool, &grant.access.role, &grant.template] {
        push_name(&mut body, name)?;
    }
    for narrowing in grant.narrowings.iter().filter(|narrowing| !narrowing.is_empty()) {
        push_narrowing(&mut body, narrowing)?;
    }
    Ok(body)
}

fn push_narrowing(body: &mut Vec<u8>, narrowing: &Narrowing) -> Result<(), DoesNotFit> {
    body.push(byte(narrowing.methods.len())?);
    for method in &narrowing.methods {
        push_name(body, method)?;
    }
    body.push(byte(narrowing.paths.len())?);
    for path in &narrowing.paths {
        body.extend_from_slice(&short(path.as_str().len())?);
        body.extend_from_slice(path.as_str().as_bytes());
    }
    Ok(())
}

fn push_name(body: &mut Vec<u8>, name: &str) -> Result<(), DoesNotFit> {
    body.push(byte(name.len())?);
    body.extend_from_slice(name.as_bytes());
    Ok(())
}

fn byte(number: usize) -> Result<u8, DoesNotFit> {
    u8::try_from(number).map_err(|_too_large| DoesNotFit("a name or a list that is too long"))
}

fn short(number: usize) -> Result<[u8; 2], DoesNotFit> {
    let number =
        u16::try_from(number).map_err(|_too_large| DoesNotFit("a grant that is too large"))?;
    Ok(number.to_be_bytes())
}

/// Whether `content` is a whole value of this format, to the last byte.
#[must_use]
pub fn is_whole(content: &[u8]) -> bool {
    let Some((count, mut rest)) = header(content) else { return false };
    for _ in 0..count {
        let Some((grant, after)) = next_grant(rest) else { return false };
        if !narrowings_are_whole(grant.narrowings) {
            return false;
        }
        rest = after;
    }
    rest.is_empty()
}

/// The grants of a value. Stops at the first byte that does not fit; [`is_whole`] was asked first.
pub fn grants(content: &[u8]) -> impl Iterator<Item = LiveGrant<'_>> {
    let (count, mut rest) = header(content).unwrap_or((0, &[]));
    (0..count).map_while(move |_| {
        let (grant, after) = next_grant(rest)?;
        rest = after;
        Some(grant)
    })
}

/// Whether each of the encoded narrowings covers the request; one that cannot be read covers
/// nothing.
#[must_use]
pub fn covers(mut narrowings: &[u8], method: &str, path: &str) -> bool {
    while !narrowings.is_empty() {
        match narrowing_covers(narrowings, method, path) {
            Some((true, rest)) => narrowings = rest,
            Some((false, _)) | None => return false,
        }
    }
    true
}

fn header(content: &[u8]) -> Option<(u8, &[u8])> {
    let (&format, rest) = content.split_first()?;
    let (&count, rest) = rest.split_first()?;
    (format == FORMAT && usize::from(count) <= MOST_GRANTS).then_some((count, rest))
}

fn next_grant(bytes: &[u8]) -> Option<(LiveGrant<'_>, &[u8])> {
    let (body, after) = long_part(bytes)?;
    let (partition, body) = body.split_first_chunk::<2>()?;
    let (random, body) = body.split_first_chunk::<16>()?;
    let (generation, body) = number(body)?;
    let (expires_at, body) = number(body)?;
    let (&flags, body) = body.split_first()?;
    if flags & !(CONFIRMED | HAS_START) != 0 {
        return None;
    }
    let (not_before, body) = match flags & HAS_START {
        0 => (None, body),
        _ => number(body).map(|(start, rest)| (Some(Timestamp::from_millis(start)), rest))?,
    };
    let (tool, body) = name(body)?;
    let (role, body) = name(body)?;
    let (template, narrowings) = name(body)?;
    let grant = LiveGrant {
        id: GrantId { partition: Partition(u16::from_be_bytes(*partition)), random: *random },
        tool,
        role,
        template,
        generation,
        not_before,
        expires_at: Timestamp::from_millis(expires_at),
        confirmed: flags & CONFIRMED != 0,
        narrowings,
    };
    Some((grant, after))
}

fn narrowings_are_whole(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some((_, rest)) = narrowing_covers(bytes, "", "") else { return false };
        bytes = rest;
    }
    true
}

/// Whether the first narrowing of `bytes` covers the request, and what follows it.
fn narrowing_covers<'a>(bytes: &'a [u8], method: &str, path: &str) -> Option<(bool, &'a [u8])> {
    let (&methods, mut rest) = bytes.split_first()?;
    let mut method_fits = methods == 0;
    for _ in 0..methods {
        let (listed, after) = name(rest)?;
        method_fits |= listed == method;
        rest = after;
    }
    let (&paths, mut rest) = rest.split_first()?;
    let mut path_fits = paths == 0;
    for _ in 0..paths {
        let (pattern, after) = long_part(rest)?;
        let pattern = std::str::from_utf8(pattern).ok()?;
        path_fits |= pattern_captures(pattern, path, |_, _| ());
        rest = after;
    }
    Some((method_fits && path_fits, rest))
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

fn name(bytes: &[u8]) -> Option<(&str, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(length))?;
    Some((std::str::from_utf8(text).ok()?, rest))
}

fn long_part(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))
}

#[cfg(test)]
#[path = "compact_tests.rs"]
mod tests;
