//! The log on RocksDB.

mod log;
mod open;
mod snapshot;
mod writer;

pub use log::{RocksLog, RocksReader};
pub use open::{Closed, Error, Faults, Opened, Options, open};
pub use snapshot::RocksSnapshots;

/// Column families, which are also the places that records are bound to when they are sealed.
mod cf {
    /// By index, big-endian.
    pub const LOG: &str = "log";
    pub const META: &str = "meta";
    /// By generation and chunk number, both big-endian.
    pub const SNAPSHOT: &str = "snapshot";
}

/// Keys in [`cf::META`].
mod meta {
    /// Plain, so that it can be read before any key is known: see [`super::open::FORMAT`].
    pub const FORMAT: &[u8] = b"format";
    pub const OWNER: &[u8] = b"owner";
    pub const VOTE: &[u8] = b"vote";
    pub const COMMITTED: &[u8] = b"committed";
    pub const PURGED: &[u8] = b"purged";
    pub const SNAPSHOT: &[u8] = b"snapshot";
}
