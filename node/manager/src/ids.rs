//! Chance and time, where the deciding code is given them.

use shoal_raft_objects::{IdSource, Time};

/// New ids from the operating system's random source.
pub(crate) struct Ids;

impl IdSource for Ids {
    fn next_u128(&mut self) -> u128 {
        rand::random()
    }
}

pub(crate) fn now() -> Time {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Time(i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
