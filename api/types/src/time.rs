//! Points in time as Docker writes them: RFC 3339 in UTC with up to nine fractional digits, trailing zeros trimmed, and
//! `0001-01-01T00:00:00Z` for "never".

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Seconds since 1970 of Go's zero time.
const ZERO_SECONDS: i64 = -62_135_596_800;

/// A point in time with nanoseconds. The default is Go's zero time, [`Timestamp::ZERO`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp {
    /// Seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// 0 to 999,999,999, counted forward from `seconds`.
    pub nanoseconds: u32,
}

impl Timestamp {
    /// Go's zero time, which stands for "never".
    pub const ZERO: Self = Self {
        seconds: ZERO_SECONDS,
        nanoseconds: 0,
    };

    pub const fn from_unix(seconds: i64, nanoseconds: u32) -> Self {
        Self { seconds, nanoseconds }
    }
    pub fn from_unix_nanos(nanos: i128) -> Self {
        let seconds = i64::try_from(nanos.div_euclid(1_000_000_000)).unwrap_or(ZERO_SECONDS);
        Self {
            seconds,
            nanoseconds: nanos.rem_euclid(1_000_000_000) as u32,
        }
    }
    /// Nanoseconds since 1970; what `timeNano` in an event carries.
    pub fn unix_nanos(&self) -> i128 {
        i128::from(self.seconds) * 1_000_000_000 + i128::from(self.nanoseconds)
    }
    pub fn is_zero(&self) -> bool {
        *self == Self::ZERO
    }
    /// None before 1970.
    pub fn system_time(&self) -> Option<SystemTime> {
        UNIX_EPOCH.checked_add(Duration::new(u64::try_from(self.seconds).ok()?, self.nanoseconds))
    }
    /// As `--since` and `--until` take it: unix seconds with an optional fraction (`1700000000.5`), or RFC 3339.
    pub fn parse_query(text: &str) -> Result<Self, ParseTimeError> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        if let Ok(seconds) = whole.parse::<i64>()
            && fraction.len() <= 9
            && fraction.bytes().all(|b| b.is_ascii_digit())
        {
            let nanoseconds = format!("{fraction:0<9}").parse().unwrap_or(0);
            return Ok(Self { seconds, nanoseconds });
        }
        text.parse()
    }
}

impl Default for Timestamp {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        match at.duration_since(UNIX_EPOCH) {
            Ok(d) => Self {
                seconds: d.as_secs() as i64,
                nanoseconds: d.subsec_nanos(),
            },
            Err(before) => Self::from_unix_nanos(-(before.duration().as_nanos() as i128)),
        }
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ok(at) = OffsetDateTime::from_unix_timestamp(self.seconds) else {
            return f.write_str("0001-01-01T00:00:00Z");
        };
        let (y, mo, d) = (at.year(), at.month() as u8, at.day());
        let (h, mi, s) = (at.hour(), at.minute(), at.second());
        write!(f, "{y:04}-{mo:02}-{d:02}T{h:02}:{mi:02}:{s:02}")?;
        if self.nanoseconds != 0 {
            let digits = format!("{:09}", self.nanoseconds);
            write!(f, ".{}", digits.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// A text that is not a point in time.
#[derive(Debug, Clone, thiserror::Error)]
#[error("parsing time {0:?}: not RFC 3339")]
pub struct ParseTimeError(pub String);

impl FromStr for Timestamp {
    type Err = ParseTimeError;
    fn from_str(text: &str) -> Result<Self, ParseTimeError> {
        let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| ParseTimeError(text.to_owned()))?;
        Ok(Self {
            seconds: at.unix_timestamp(),
            nanoseconds: at.nanosecond(),
        })
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        if text.is_empty() {
            return Ok(Self::ZERO);
        }
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailing_zeros_are_trimmed() {
        for text in [
            "2024-02-29T23:59:59.1Z",
            "2024-02-29T23:59:59Z",
            "1969-12-31T23:59:59.000000001Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), text);
        }
        assert_eq!(Timestamp::default().to_string(), "0001-01-01T00:00:00Z");
        assert_eq!(
            "0001-01-01T00:00:00Z".parse::<Timestamp>().unwrap(),
            Timestamp::ZERO
        );
        assert_eq!(
            "2024-01-01T02:00:00.5+02:00"
                .parse::<Timestamp>()
                .unwrap()
                .to_string(),
            "2024-01-01T00:00:00.5Z"
        );
    }

    #[test]
    fn query_times() {
        assert_eq!(
            Timestamp::parse_query("12.5").unwrap(),
            Timestamp::from_unix(12, 500_000_000)
        );
        assert_eq!(Timestamp::parse_query("12").unwrap(), Timestamp::from_unix(12, 0));
        assert!(Timestamp::parse_query("yesterday").is_err());
    }
}
