//! Named volumes on the local disk: `root/<name>/_data` and, beside it, what is known of the volume.
//!
//! A volume is there once its metadata is on disk, durably; what was half made or half removed is cleared away at the
//! next opening. Contents are copied by descriptor, never by path. It decides nothing about who may use a volume.
//! Called by `node/engine`; calls block.

mod copy;
mod store;

pub use store::{Error, Volume, Volumes};
