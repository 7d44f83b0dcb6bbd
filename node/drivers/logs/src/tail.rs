//! Finds where the last lines begin, reading backwards from the end.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

const BLOCK: u64 = 64 * 1024;

/// The offset at which the last `want` lines of `file` begin, and how many lines lie behind it (fewer when the
/// file has fewer). Whatever follows the last newline counts as a line.
pub(crate) fn start(file: &File, want: u64) -> io::Result<(u64, u64)> {
    let size = file.metadata()?.len();
    if want == 0 || size == 0 {
        return Ok((size, 0));
    }
    let mut buffer = vec![0; BLOCK as usize];
    let mut end = size;
    let mut found = 0;
    while end > 0 {
        let begin = end.saturating_sub(BLOCK);
        let block = &mut buffer[..(end - begin) as usize];
        file.read_exact_at(block, begin)?;
        for (at, _) in block.iter().enumerate().rev().filter(|&(_, &b)| b == b'\n') {
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
