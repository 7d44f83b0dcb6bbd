//! Compresses files that a log was rotated into. Done by the daemon, never by the writer.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use flate2::{Compression, GzBuilder};

use crate::error::{Error, Result};
use crate::rotation::{Names, nth, nth_packed, remove, with};

/// Rotated files looked for; the writer keeps far fewer.
const FILES_MAX: u32 = 1000;

/// Compresses every rotated file of the log that is not yet. Blocks; reads and writes a whole file each. Returns how many.
/// What the writer rotates meanwhile is found under its new name; a crash leaves at most a temporary file, removed by the
/// next call.
pub fn compress(path: &Path) -> Result<u32> {
    let failed = |e| Error::new("compress", path, e);
    let mut done = 0;
    for n in 1..FILES_MAX {
        let file = match File::open(nth(path, n)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if nth_packed(path, n).exists() {
                    continue;
                }
                break;
            }
            Err(error) => return Err(failed(error)),
        };
        if one(path, file).map_err(failed)? {
            done += 1;
        }
    }
    Ok(done)
}

fn one(path: &Path, file: File) -> io::Result<bool> {
    let inode = file.metadata()?.ino();
    let packing = with(path, ".packing");
    remove(&packing)?;
    let mut options = File::options();
    let packed = options.write(true).create_new(true).mode(0o640).open(&packing)?;
    let wrote = pack(file, inode, packed);
    if let Err(error) = wrote {
        let _ = remove(&packing);
        return Err(error);
    }
    let names = loop {
        match Names::try_lock(path)? {
            Some(names) => break names,
            None => std::thread::sleep(Duration::from_millis(2)),
        }
    };
    // Where is it by now?
    let place = (1..FILES_MAX)
        .take_while(|&n| n < 3 || nth(path, n).exists() || nth_packed(path, n).exists())
        .find(|&n| std::fs::metadata(nth(path, n)).is_ok_and(|meta| meta.ino() == inode));
    let Some(n) = place else {
        // Rotated away.
        remove(&packing)?;
        return Ok(false);
    };
    std::fs::rename(&packing, nth_packed(path, n))?;
    remove(&nth(path, n))?;
    drop(names);
    Ok(true)
}

/// The inode goes along, so that a follower recognises what it has read already.
fn pack(mut from: File, inode: u64, to: File) -> io::Result<()> {
    let mut encoder = GzBuilder::new()
        .comment(format!("inode {inode}"))
        .write(to, Compression::new(3));
    io::copy(&mut from, &mut encoder)?;
    let mut to = encoder.finish()?;
    to.flush()?;
    // Only then may the original go.
    to.sync_data()
}

/// A compressed file as a plain one that has no name, and the inode of the file that it was.
pub(crate) fn unpack(packed: File, directory: &Path) -> io::Result<(File, Option<u64>)> {
    let mut decoder = flate2::read::GzDecoder::new(io::BufReader::with_capacity(64 << 10, packed));
    let inode = inode(&mut decoder)?;
    let mut file = unnamed(directory)?;
    io::copy(&mut decoder, &mut file)?;
    Ok((file, inode))
}

/// The inode of the file that was compressed.
pub(crate) fn inode_of(packed: &File) -> io::Result<Option<u64>> {
    let copy = packed.try_clone()?;
    let mut decoder = flate2::read::GzDecoder::new(copy);
    let found = inode(&mut decoder);
    drop(decoder);
    use std::io::Seek;
    let mut packed = packed;
    packed.rewind()?;
    found
}

fn inode<R: Read>(decoder: &mut flate2::read::GzDecoder<R>) -> io::Result<Option<u64>> {
    // The header is read with the first bytes.
    let _ = decoder.read(&mut [])?;
    let comment = decoder.header().and_then(|header| header.comment());
    let text = comment.and_then(|comment| std::str::from_utf8(comment).ok());
    Ok(text.and_then(|text| text.strip_prefix("inode ")?.parse().ok()))
}

fn unnamed(directory: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    match open(directory, flags, Mode::from_raw_mode(0o600)) {
        Ok(fd) => Ok(fd.into()),
        // Some file systems have none.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::ISDIR) => {
            Ok(rustix::fs::memfd_create("log", rustix::fs::MemfdFlags::CLOEXEC)?.into())
        }
        Err(error) => Err(error.into()),
    }
}
