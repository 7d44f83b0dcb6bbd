//! The time, read in one place.

use shoal_api_types::Timestamp;
use shoal_node_core_host::lifecycle::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Now, in unix nanoseconds.
pub fn now() -> Time {
    from_system(SystemTime::now())
}

pub fn from_system(at: SystemTime) -> Time {
    Time(
        at.duration_since(UNIX_EPOCH)
            .map_or(1, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)),
    )
}

/// The nearest time that there is.
pub fn from_nanos(nanos: i128) -> Time {
    Time(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
}

/// As the API writes it; `NEVER` is Go's zero time.
pub fn timestamp(at: Time) -> Timestamp {
    if at == Time::NEVER {
        Timestamp::ZERO
    } else {
        Timestamp::from_unix_nanos(i128::from(at.0))
    }
}

/// How long until `at`, nothing when it has passed.
pub fn until(at: Time) -> std::time::Duration {
    std::time::Duration::from_nanos(u64::try_from(at.0.saturating_sub(now().0)).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_out_of_range_stay_on_their_side() {
        assert_eq!(from_nanos(7), Time(7));
        assert_eq!(from_nanos(i128::MIN), Time(i64::MIN));
        assert_eq!(from_nanos(i128::MAX), Time(i64::MAX));
    }
}
