//! What every object carries: versions, times, a name and labels.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// Nanoseconds since the Unix epoch. Always an argument to the deciding code, never read by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub const ZERO: Time = Time(0);

    pub fn after(self, delay: Duration) -> Time {
        Time(
            self.0
                .saturating_add(i64::try_from(delay.as_nanos()).unwrap_or(i64::MAX)),
        )
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Time) -> Duration {
        Duration::from_nanos(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// Versions and times of an object, set by `apply` alone.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Log index of the last change to the *spec*. This is Docker's `Version.Index` and what a client's `?version=`
    /// is compared with, so a task that reports its status never makes a user's update "out of sequence".
    pub version: u64,
    /// Log index of the last change of any kind; what the managers' own loops compare with.
    pub touched: u64,
    pub created_at: Time,
    pub updated_at: Time,
}

/// Name and labels, as in Docker's `Annotations`.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Annotations {
    pub name: String,
    pub labels: BTreeMap<String, String>,
}
