//! When a certificate is valid: two times out of its DER (RFC 5280, section 4.1). rustls leaves that
//! to clients; a server that shows an expired certificate should not start.

use crate::domain::time::Timestamp;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// The explicit tag of the version.
const VERSION: u8 = 0xa0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    pub not_before: Timestamp,
    /// The last moment of it.
    pub not_after: Timestamp,
}

impl Validity {
    /// `None`: this is not the DER of a certificate.
    pub fn of(certificate: &[u8]) -> Option<Self> {
        let (whole, _) = tagged(certificate, SEQUENCE)?;
        let (mut fields, _) = tagged(whole, SEQUENCE)?;
        if let Some((_, rest)) = tagged(fields, VERSION) {
            fields = rest;
        }
        // Serial number, signature algorithm, issuer.
        for tag in [INTEGER, SEQUENCE, SEQUENCE] {
            fields = tagged(fields, tag)?.1;
        }
        let (times, _) = tagged(fields, SEQUENCE)?;
        let (not_before, rest) = time(times)?;
        let (not_after, _) = time(rest)?;
        Some(Self { not_before, not_after })
    }
}

/// The content of one value with this tag, and what follows it.
fn tagged(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = value(bytes)?;
    (found == tag).then_some((content, rest))
}

/// Tag, content, and what follows. Lengths of at most three bytes: no certificate is longer.
fn value(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |sum, &digit| sum << 8 | usize::from(digit)), rest)
        }
        0x80 | 0x84..=0xff => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`: certificates have no other forms.
fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (tag, text, rest) = value(bytes)?;
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let (year, digits) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let (year, digits) = number(digits, 2)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, digits)
        }
        (GENERALIZED_TIME, 14) => number(digits, 4)?,
        _ => return None,
    };
    let (month, digits) = number(digits, 2)?;
    let (day, digits) = number(digits, 2)?;
    let (hour, digits) = number(digits, 2)?;
    let (minute, digits) = number(digits, 2)?;
    let (second, _) = number(digits, 2)?;
    let small = |number: i16| i8::try_from(number).ok();
    let day = jiff::civil::Date::new(year, small(month)?, small(day)?).ok()?;
    let time = jiff::civil::Time::new(small(hour)?, small(minute)?, small(second)?, 0).ok()?;
    let at = day.to_datetime(time).to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    // What is before the epoch is as good as the epoch.
    let millis = u64::try_from(at.timestamp().as_millisecond()).unwrap_or(0);
    Some((Timestamp::from_millis(millis), rest))
}

fn number(digits: &[u8], length: usize) -> Option<(i16, &[u8])> {
    let (these, rest) = digits.split_at_checked(length)?;
    let number = these.iter().fold(0, |sum, digit| sum * 10 + i16::from(digit - b'0'));
    Some((number, rest))
}
