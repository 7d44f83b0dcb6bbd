//! Finds where the last records begin, reading backwards from the end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use crate::local;
use crate::options::Format;

const BLOCK: u64 = 64 * 1024;

/// The offset at which the last `want` records of `file` begin, and how many lie behind it (fewer when the
/// file has fewer).
pub(crate) fn start(file: &File, format: Format, want: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    if want == 0 || size == 0 {
        return Ok((size, 0));
    }
    match format {
        Format::Json => lines(file, size, want),
        Format::Local => records(file, size, want),
    }
}

/// Whatever follows the last newline counts as a line.
fn lines(file: &File, size: u64, want: u64) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; BLOCK as usize];
    let mut end = size;
    let mut found = 0;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        let block = &mut buffer[..(end - begin) as usize];
        file.read_exact_at(block, begin)?;
        for at in memchr::memchr_iter(b'\n', block).rev() {
            let after = begin + at as u64 + 1;
            if after == size {
                continue; // this newline ends the last line, it does not begin one
            }
            found += 1;
            if found == want {
                return Ok((after, found));
            }
        }
        end = begin;
    }
    Ok((0, found + 1))
}

/// Stops at damage, as if the file began behind it.
fn records(file: &File, size: u64, want: u64) -> io::Result<(u64, u64)> {
    let mut buffer = vec![0; BLOCK as usize];
    // What of the file lies in the buffer.
    let (mut begin, mut end) = (size, size);
    let mut at = size;
    let mut found = 0;
    while found < want && at >= local::AROUND as u64 {
        if at - 4 < begin {
            end = at;
            begin = end.saturating_sub(BLOCK);
            file.read_exact_at(&mut buffer[..(end - begin) as usize], begin)?;
        }
        let field = (at - 4 - begin) as usize;
        let Some(body) = local::length(&buffer[field..field + 4]) else {
            break;
        };
        let Some(before) = at.checked_sub((body + local::AROUND) as u64) else {
            break;
        };
        at = before;
        found += 1;
    }
    debug_assert!(begin <= end);
    Ok((at, found))
}
