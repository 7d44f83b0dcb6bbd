//! Files with holes.

use std::io;

use super::damaged;

/// Pieces of one sparse file.
pub(super) const PIECES_MAX: usize = 1 << 16;

/// What a PAX header says about a sparse file (GNU's format 1.0).
#[derive(Debug, Default)]
pub(super) struct Pax1 {
    pub version: (Vec<u8>, Vec<u8>),
    pub name: Option<Vec<u8>>,
    pub size: Option<u64>,
}

/// Pieces must be in order, inside the file, and have as much data as the entry.
pub(super) fn check(pieces: &[(u64, u64)], size: u64, data: u64) -> io::Result<()> {
    let (mut end, mut sum) = (0, 0u64);
    for &(offset, length) in pieces {
        let after = offset
            .checked_add(length)
            .filter(|&after| offset >= end && after <= size);
        end = after.ok_or_else(|| damaged("invalid sparse map"))?;
        sum += length;
    }
    if sum == data {
        Ok(())
    } else {
        Err(damaged("invalid sparse map"))
    }
}
