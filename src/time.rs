//! Time as an argument: the core never reads a clock.

use core::time::Duration;

/// Seconds since 1970-01-01T00:00:00Z, leap seconds not counted (a `NumericDate` of RFC 7519 section 2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// Reads a date and time of RFC 3339 in its one usual form: UTC, whole seconds, from 1970 on (`2027-01-31T12:00:00Z`).
    pub(crate) fn parse(text: &str) -> Option<Self> {
        const FORM: &[u8] = b"0000-00-00T00:00:00Z";
        let is_formed = text.len() == FORM.len()
            && text
                .bytes()
                .zip(FORM)
                .all(|(byte, form)| if *form == b'0' { byte.is_ascii_digit() } else { byte == *form });
        let number = |range: core::ops::Range<usize>| text.get(range).and_then(|digits| digits.parse::<u64>().ok());
        let [year, month, day] = [number(0..4)?, number(5..7)?, number(8..10)?];
        let [hour, minute, second] = [number(11..13)?, number(14..16)?, number(17..19)?];
        let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let months = [31, if is_leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        let months_before = usize::try_from(month).ok()?.checked_sub(1)?;
        let is_day = (1..=*months.get(months_before)?).contains(&day);
        if !is_formed || year < 1970 || !is_day || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        // Days of all the years before, by the Gregorian calendar.
        let until = |year: u64| {
            let leap_days = (year / 4).saturating_add(year / 400).saturating_sub(year / 100);
            year.saturating_mul(365).saturating_add(leap_days)
        };
        let days = until(year.saturating_sub(1)).saturating_sub(until(1969));
        let days = months.iter().take(months_before).fold(days, |sum, days| sum.saturating_add(*days));
        let days = days.saturating_add(day).saturating_sub(1);
        let units = [(24, hour), (60, minute), (60, second)];
        Some(Self(units.into_iter().fold(days, |sum, (per, more)| sum.saturating_mul(per).saturating_add(more))))
    }

    /// This time moved into the future, at most to the end of time.
    #[must_use]
    pub const fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// This time moved into the past, at most to the beginning of time.
    #[must_use]
    pub const fn minus(self, seconds: u64) -> Self {
        Self(self.0.saturating_sub(seconds))
    }

    /// Whole seconds from `now` to this time; 0 if it has passed.
    #[must_use]
    pub const fn seconds_from(self, now: Self) -> u64 {
        self.0.saturating_sub(now.0)
    }
}
