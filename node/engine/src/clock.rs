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
