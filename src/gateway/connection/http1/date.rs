//! `Date` (RFC 9110, section 6.6.1).

use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use crate::domain::time::Timestamp;

/// An IMF-fixdate (RFC 9110, section 5.6.7).
pub type Date = [u8; 29];

thread_local! {
    /// The last second that was asked for, and how it is written.
    static LAST: Cell<(u64, Date)> = const { Cell::new((0, *b"Thu, 01 Jan 1970 00:00:00 GMT")) };
}

/// This time as a date.
pub fn date(now: Timestamp) -> Date {
    let seconds = now.min(Timestamp::MAX).seconds();
    let (last, date) = LAST.get();
    if last == seconds {
        return date;
    }
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let date = Date::try_from(text.as_bytes()).unwrap_or(date);
    LAST.set((seconds, date));
    date
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_second_has_its_date() {
        for (millis, said) in [
            (784_111_777_000, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_777_999, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784_111_778_000, "Sun, 06 Nov 1994 08:49:38 GMT"),
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(date(Timestamp::from_millis(millis)), said.as_bytes());
        }
    }
}
