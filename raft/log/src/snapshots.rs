//! Where the last snapshot is kept.

use std::io;

/// One snapshot at a time: a new one replaces the old one only when all of it is durable. Calls block on the disk.
pub trait Snapshots: Send + Sync + 'static {
    /// `meta` says what the chunks are a snapshot of.
    fn save(&self, meta: &[u8], chunks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()>;

    /// Hands out the chunks in their order and returns the meta; `None` if there never was a snapshot.
    fn load(&self, chunk: &mut dyn FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<Option<Vec<u8>>>;
}
