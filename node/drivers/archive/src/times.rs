//! Times of files.

use rustix::fs::{Timespec, Timestamps};

/// The same for access and modification. Seconds and nanoseconds.
pub fn both((seconds, nanos): (i64, u32)) -> Timestamps {
    let time = Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.into(),
    };
    Timestamps {
        last_access: time,
        last_modification: time,
    }
}
