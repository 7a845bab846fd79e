//! Times and durations as the API, the catalog and events write them: RFC 3339 times in UTC with
//! milliseconds, ISO 8601 durations of weeks, days (24 hours), hours, minutes and seconds.

use std::time::Duration;

use jiff::SpanRelativeTo;

use super::time::Timestamp;

/// Longer than this is not a duration anybody can ask for (100 years).
const LONGEST: Duration = Duration::from_hours(24 * 36_525);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct InvalidTime {
    pub expected: &'static str,
    pub found: String,
}

const DURATION: &str = "an ISO 8601 duration like PT30M, PT8H or P1D (no years or months)";
const TIME: &str = "an RFC 3339 time like 2026-11-22T09:30:00Z";

/// `2026-11-22T09:30:00.123Z`
#[must_use]
pub fn time(at: Timestamp) -> String {
    let millis = i64::try_from(at.min(Timestamp::MAX).millis()).unwrap_or_default();
    let instant = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    format!("{instant:.3}")
}

/// # Errors
/// Not an RFC 3339 time with an offset, or before 1970.
pub fn parse_time(text: &str) -> Result<Timestamp, InvalidTime> {
    let wrong = || InvalidTime { expected: TIME, found: text.chars().take(64).collect() };
    let shape = text.len() >= 20 && text.as_bytes().get(10) == Some(&b'T') && text.is_ascii();
    let instant: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    let millis = u64::try_from(instant.as_millisecond()).map_err(|_| wrong())?;
    if shape && !text.contains('[') { Ok(Timestamp::from_millis(millis)) } else { Err(wrong()) }
}

/// `PT30M`, `PT8H`, `P1D`, `P1DT2H`; zero is `PT0S`. Fractions of a second are kept.
#[must_use]
pub fn duration(span: Duration) -> String {
    let part = |value: u64, unit: char| {
        if value > 0 { format!("{value}{unit}") } else { String::new() }
    };
    let total = span.as_secs();
    let days = part(total / 86_400, 'D');
    let seconds = match span.subsec_millis() {
        0 => part(total % 60, 'S'),
        millis => format!("{}.{millis:03}S", total % 60),
    };
    let time = part(total / 3600 % 24, 'H') + &part(total / 60 % 60, 'M') + &seconds;
    match (days.is_empty(), time.is_empty()) {
        (true, true) => "PT0S".to_owned(),
        (false, true) => format!("P{days}"),
        (_, false) => format!("P{days}T{time}"),
    }
}

/// # Errors
/// Not an ISO 8601 duration, negative, with years or months, or longer than 100 years.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidTime> {
    let wrong = || InvalidTime { expected: DURATION, found: text.chars().take(64).collect() };
    if !text.starts_with('P') {
        return Err(wrong());
    }
    let span: jiff::Span = text.parse().map_err(|_| wrong())?;
    if span.get_years() != 0 || span.get_months() != 0 {
        return Err(wrong());
    }
    let exact = span.to_duration(SpanRelativeTo::days_are_24_hours()).map_err(|_| wrong())?;
    let exact = Duration::try_from(exact).map_err(|_| wrong())?;
    if exact <= LONGEST { Ok(exact) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_reads_back_as_itself() {
        for (text, seconds) in
            [("PT30M", 1800), ("PT8H", 28_800), ("P1D", 86_400), ("P1DT1S", 86_401), ("PT0S", 0)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
            assert_eq!(duration(Duration::from_secs(seconds)), text);
        }
        assert_eq!(duration(Duration::from_millis(1500)), "PT1.500S");
        assert_eq!(parse_duration("PT1.5S"), Ok(Duration::from_millis(1500)));
        assert_eq!(parse_duration("PT90M"), Ok(Duration::from_secs(5400)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in [
            "", "30m", "1h", "-PT1H", "PT-1H", "P1Y", "P1M", "P", "PT", "PT1", "P999999D",
            "PT9e9S", " PT1H",
        ] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_time_reads_back_as_itself() {
        let at = Timestamp::from_millis(1_795_339_800_123);
        assert_eq!(time(at), "2026-11-22T09:30:00.123Z");
        assert_eq!(parse_time("2026-11-22T09:30:00.123Z"), Ok(at));
        assert_eq!(parse_time("2026-11-22T10:30:00.123+01:00"), Ok(at));
        for text in [
            "",
            "2026-11-22",
            "2026-11-22T09:30:00",
            "1969-12-31T23:59:59Z",
            "20261122T093000Z",
            "2026-11-22 09:30:00Z",
        ] {
            assert!(parse_time(text).is_err(), "{text}");
        }
    }
}
