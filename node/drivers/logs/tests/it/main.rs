//! The log as its two sides see it: what was written is read back, across rotation, following and damage.

mod follow;
mod mutated;
mod rotate;
mod round_trip;

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use shoal_node_drivers_logs::{Entry, Error, Format, ReadOptions, Rotation, Writer, read};

/// `seconds` after a fixed moment.
fn at(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn keep(max_size: u64, max_file: u32) -> Rotation {
    Rotation {
        max_size: Some(max_size),
        max_file,
    }
}

fn open(path: &Path, rotation: Rotation) -> Result<Writer, Error> {
    Writer::open(path, Format::Json, rotation, "")
}

fn all(path: &Path, options: ReadOptions) -> Vec<Entry> {
    read(path, Format::Json, options)
        .expect("open")
        .collect::<Result<_, _>>()
        .expect("read")
}

fn text(entries: &[Entry]) -> String {
    entries
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.line).into_owned())
        .collect()
}
