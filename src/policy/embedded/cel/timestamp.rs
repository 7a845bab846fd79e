//! Points in time with the offset they were written with, as Go's `time.Time`.

use std::cmp::Ordering;

/// `0001-01-01T00:00:00Z` and the last second of the year 9999.
const MIN_SECONDS: i64 = -62_135_596_800;
const MAX_SECONDS: i64 = 253_402_300_799;
const BILLION: i128 = 1_000_000_000;

/// Within the years 1 to 9999. The offset only matters for text and is no part of equality.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timestamp {
    seconds: i64,
    nanos: u32,
    /// Seconds east of UTC.
    offset: i32,
}

/// A date and time of day, in whichever zone it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Civil {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    /// 0 is Sunday.
    pub weekday: i64,
    /// 0 is the first of January.
    pub year_day: i64,
}

impl Timestamp {
    /// `None` outside of the years 1 to 9999.
    #[must_use]
    pub fn from_unix(seconds: i64, nanos: u32) -> Option<Self> {
        (nanos < 1_000_000_000 && (MIN_SECONDS..=MAX_SECONDS).contains(&seconds)).then_some(Self {
            seconds,
            nanos,
            offset: 0,
        })
    }

    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.seconds
    }

    #[must_use]
    pub const fn nanos(self) -> u32 {
        self.nanos
    }

    /// Go's zero time.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.seconds == MIN_SECONDS && self.nanos == 0
    }

    #[must_use]
    pub fn order(self, other: Self) -> Ordering {
        (self.seconds, self.nanos).cmp(&(other.seconds, other.nanos))
    }

    fn total_nanos(self) -> i128 {
        i128::from(self.seconds) * BILLION + i128::from(self.nanos)
    }

    /// Keeps the offset; `None` when the year leaves 1 to 9999.
    #[must_use]
    pub fn checked_add(self, duration: i64) -> Option<Self> {
        let total = self.total_nanos() + i128::from(duration);
        let seconds = i64::try_from(total.div_euclid(BILLION)).ok()?;
        let nanos = u32::try_from(total.rem_euclid(BILLION)).ok()?;
        Some(Self { offset: self.offset, ..Self::from_unix(seconds, nanos)? })
    }

    #[must_use]
    pub fn checked_sub(self, duration: i64) -> Option<Self> {
        let total = self.total_nanos() - i128::from(duration);
        let seconds = i64::try_from(total.div_euclid(BILLION)).ok()?;
        let nanos = u32::try_from(total.rem_euclid(BILLION)).ok()?;
        Some(Self { offset: self.offset, ..Self::from_unix(seconds, nanos)? })
    }

    /// Nanoseconds from `earlier` to this; `None` beyond some 292 years.
    #[must_use]
    pub fn since(self, earlier: Self) -> Option<i64> {
        i64::try_from(self.total_nanos() - earlier.total_nanos()).ok()
    }

    /// RFC 3339 as Go reads it; `None` when it is not.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = Digits(text.as_bytes());
        let year = rest.number(4)?;
        rest.literal(b'-')?;
        let month = rest.number(2)?;
        rest.literal(b'-')?;
        let day = rest.number(2)?;
        rest.literal(b'T')?;
        let hour = rest.number(2)?;
        rest.literal(b':')?;
        let minute = rest.number(2)?;
        rest.literal(b':')?;
        let second = rest.number(2)?;
        let nanos = rest.fraction()?;
        let offset = rest.offset()?;
        if !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
            || hour > 23
            || minute > 59
            || second > 59
        {
            return None;
        }
        let seconds =
            days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second
                - i64::from(offset);
        Some(Self { offset, ..Self::from_unix(seconds, nanos)? })
    }

    /// RFC 3339 with as many fraction digits as needed, in the offset it was written with.
    #[must_use]
    pub fn to_text(self) -> String {
        let it = self.civil(self.offset);
        let fraction = match self.nanos {
            0 => String::new(),
            nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
        };
        let zone = match self.offset {
            0 => "Z".to_owned(),
            offset => {
                let sign = if offset < 0 { '-' } else { '+' };
                let minutes = offset.abs() / 60;
                format!("{sign}{:02}:{:02}", minutes / 60, minutes % 60)
            }
        };
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{fraction}{zone}",
            it.year, it.month, it.day, it.hour, it.minute, it.second
        )
    }

    /// The calendar at an offset, in seconds east of UTC.
    #[must_use]
    pub fn civil(self, offset: i32) -> Civil {
        let local = self.seconds + i64::from(offset);
        let days = local.div_euclid(86_400);
        let in_day = local.rem_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        Civil {
            year,
            month,
            day,
            hour: in_day / 3600,
            minute: in_day / 60 % 60,
            second: in_day % 60,
            weekday: (days + 4).rem_euclid(7),
            year_day: days - days_from_civil(year, 1, 1),
        }
    }
}

struct Digits<'t>(&'t [u8]);

impl Digits<'_> {
    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn literal(&mut self, wanted: u8) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    fn number(&mut self, digits: u32) -> Option<i64> {
        (0..digits).try_fold(0, |number, _| {
            let digit = self.next()?;
            digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
        })
    }

    /// Nanoseconds; what is beyond nine digits is dropped.
    fn fraction(&mut self) -> Option<u32> {
        if self.0.first() != Some(&b'.') {
            return Some(0);
        }
        self.next();
        let mut nanos = 0;
        let mut count = 0;
        while let Some(digit) = self.0.first().filter(|byte| byte.is_ascii_digit()) {
            if count < 9 {
                nanos = nanos * 10 + u32::from(digit - b'0');
            }
            count += 1;
            self.next();
        }
        (count > 0).then(|| nanos * 10u32.pow(9u32.saturating_sub(count)))
    }

    fn offset(&mut self) -> Option<i32> {
        let sign = match self.next()? {
            b'Z' => return self.0.is_empty().then_some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hours = self.number(2)?;
        self.literal(b':')?;
        let minutes = self.number(2)?;
        let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
        (self.0.is_empty() && hours < 24 && minutes < 60).then_some(sign * seconds)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar; years are counted from March.
const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}
