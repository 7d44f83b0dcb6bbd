//! A container's own layer as an image layer: a tar with whiteouts by name.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::inside::{self, DEPTH_MAX};
use crate::overlay;
use crate::pack::Packer;
use crate::walk::Listing;
use crate::write::{Entry, Type};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Writes what the container's own directory holds. Says whether that was anything at all.
pub fn layer<W: Write>(upper: BorrowedFd<'_>, out: W) -> Result<(W, bool)> {
    let mut packer = Packer::new(out);
    let mut name: Vec<u8> = Vec::new();
    let mut entries = false;
    let failed = Error::on("read", b"/");
    let top = inside::directory(upper)
        .and_then(Listing::open)
        .map_err(&failed)?;
    let mut levels = vec![(top, 0)];
    while let Some((listing, length)) = levels.last_mut() {
        name.truncate(*length);
        let Some(next) = listing.next().map_err(Error::on("read", &name))? else {
            levels.pop();
            continue;
        };
        let next = next.to_bytes();
        // What is gone by now is left out.
        let Ok(fd) = inside::entry(listing.fd.as_fd(), next) else {
            continue;
        };
        let Ok(stat) = fstat(&fd) else { continue };
        if overlay::is_whiteout(&stat) {
            name.extend_from_slice(WHITEOUT);
            name.extend_from_slice(next);
            mark(&mut packer, &name)?;
            entries = true;
            continue;
        }
        name.extend_from_slice(next);
        if inside::kind(&stat) == FileType::RegularFile && next.starts_with(WHITEOUT) {
            // In a layer it would mean something else.
            return Err(Error::Refused(format!(
                "{:?} cannot be part of an image: the name stands for a deletion",
                String::from_utf8_lossy(&name)
            )));
        }
        packer.one(fd.as_fd(), &stat, &name)?;
        entries = true;
        if inside::kind(&stat) == FileType::Directory {
            if levels.len() >= DEPTH_MAX {
                return Err(Error::os("read a tree that is too deep", Errno::NAMETOOLONG));
            }
            let Ok(below) = inside::directory(fd.as_fd()) else {
                continue;
            };
            name.push(b'/');
            let length = name.len();
            if overlay::is_opaque(below.as_fd()) {
                name.extend_from_slice(OPAQUE);
                mark(&mut packer, &name)?;
                name.truncate(length);
            }
            let Ok(below) = Listing::open(below) else { continue };
            levels.push((below, length));
        }
    }
    Ok((packer.finish()?, entries))
}

fn mark<W: Write>(packer: &mut Packer<W>, name: &[u8]) -> Result<()> {
    let entry = Entry {
        kind: Type::File,
        name,
        link: b"",
        mode: 0o600,
        uid: 0,
        gid: 0,
        mtime: 0,
        device: (0, 0),
        size: 0,
        xattrs: &[],
    };
    packer.out.header(&entry).map_err(Error::Stream)
}
