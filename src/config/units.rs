//! Durations and sizes as the configuration writes them.

use std::time::Duration;

/// `250ms`, `10s`, `30m`, `1h`, `90d`: whole numbers of one unit.
#[must_use]
pub fn duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.checked_mul(millis).map(Duration::from_millis)
}

/// As [`duration`] reads it back, in the largest unit that fits.
#[must_use]
pub fn show(span: Duration) -> String {
    let millis = span.as_millis();
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")];
    let fits = units.into_iter().find(|(size, _)| millis >= *size && millis.is_multiple_of(*size));
    fits.map_or_else(|| format!("{millis}ms"), |(size, unit)| format!("{}{unit}", millis / size))
}

/// A whole number, also with the suffix `KiB` or `MiB`.
#[must_use]
pub fn count(text: &str) -> Option<u64> {
    let (number, factor) = match (text.strip_suffix("KiB"), text.strip_suffix("MiB")) {
        (Some(number), _) => (number, 1 << 10),
        (_, Some(number)) => (number, 1 << 20),
        (None, None) => (text, 1),
    };
    let number = number.trim_end();
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_whole_number_and_one_unit() {
        for (text, millis) in [
            ("250ms", 250),
            ("10s", 10_000),
            ("30m", 1_800_000),
            ("1h", 3_600_000),
            ("90d", 7_776_000_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
            assert_eq!(show(Duration::from_millis(millis)), text);
        }
        for text in
            ["", "10", "s", "1.5s", "-1s", "1 s", "1w", "PT1H", "99999999999999999999d", "ä"]
        {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_may_have_a_binary_suffix() {
        assert_eq!(count("16KiB"), Some(16_384));
        assert_eq!(count("1 MiB"), Some(1 << 20));
        assert_eq!(count("100"), Some(100));
        for text in ["", "-1", "1.5", "1KB", "KiB", "+1", "99999999999999999999"] {
            assert_eq!(count(text), None, "{text}");
        }
    }
}
