//! A tar whose files are needed in another order than they come: spooled to disk, found by name.

use std::collections::HashMap;
use std::io::{self, BufRead, Read, Write};
use std::sync::Arc;

use crate::bridge::Passing;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::load::{Early, Unpackers};
use crate::store::{BlobWriter, Bringing, Growing, Lease, Spooled, Store};
use crate::unpack::{Compression, Kind, Tar, decompress};

/// No archive of images has more files.
const FILES_MAX: usize = 100_000;
/// Links to links.
const HOPS_MAX: usize = 8;

/// Bytes that say what a file is; a layer has at least as many.
const HEAD: usize = 512;

#[derive(Debug)]
pub(crate) struct Archive {
    store: Arc<Store>,
    files: HashMap<String, File>,
    /// Old archives name the same layer twice by a link.
    links: HashMap<String, String>,
    /// Layers that were unpacked while they came, by their blobs.
    early: HashMap<Digest, Early>,
}

#[derive(Debug)]
enum File {
    Aside(Spooled, Option<Early>),
    Stored(Digest, u64),
}

impl Archive {
    /// Reads it to its end. Files whose names say that they are blobs of the store are passed over: what matters of an
    /// image is checked against its configuration. With `unpackers`, layers are unpacked while they come. `passing` is told
    /// of what is passed over.
    pub fn read(
        store: &Arc<Store>,
        lease: &mut Lease,
        source: impl BufRead + Send,
        passing: &Passing,
        mut unpackers: Option<&mut Unpackers>,
    ) -> Result<Archive> {
        let (packed, plain) = decompress(source).map_err(invalid)?;
        let pass_over = |bytes: u64| {
            // Offsets of what is packed are not those of what comes.
            if packed == Compression::None {
                passing.over(bytes);
            }
        };
        let mut tar = Tar::new(plain);
        let mut archive = Archive {
            store: store.clone(),
            files: HashMap::new(),
            links: HashMap::new(),
            early: HashMap::new(),
        };
        while let Some(member) = tar.next_member().map_err(invalid)? {
            let path = normal(&String::from_utf8_lossy(&member.path));
            if archive.files.len() + archive.links.len() >= FILES_MAX {
                return Err(Error::InvalidParameter(
                    "too many files in the archive".to_owned(),
                ));
            }
            match member.kind {
                Kind::File => {
                    let file = match archive.known(lease, &path, member.size) {
                        Some(digest) => {
                            pass_over(tar.left());
                            File::Stored(digest, member.size)
                        }
                        None => archive.spool(&mut tar, member.size, unpackers.as_deref_mut())?,
                    };
                    archive.files.insert(path, file);
                }
                Kind::Symlink => {
                    let beside = path.rsplit_once('/').map_or("", |(above, _)| above);
                    let target = normal(&format!("{beside}/{}", String::from_utf8_lossy(&member.link)));
                    archive.links.insert(path, target);
                }
                Kind::HardLink => {
                    archive
                        .links
                        .insert(path, normal(&String::from_utf8_lossy(&member.link)));
                }
                _ => {}
            }
        }
        // To the end, so that a sender is not cut off in the padding.
        pass_over(u64::MAX);
        tar.drain().map_err(invalid)?;
        Ok(archive)
    }

    /// The blob of the store that a file is by its name; pinned.
    fn known(&self, lease: &mut Lease, path: &str, size: u64) -> Option<Digest> {
        let named = |part: &str| Digest::parse(&format!("sha256:{part}")).ok();
        let digest = path.split('/').find_map(named).filter(|_| size >= HEAD as u64)?;
        lease.pin(&digest);
        let there = self.store.has_blob(&digest)
            && self.store.open_blob(&digest).ok()?.metadata().ok()?.len() == size;
        there.then_some(digest)
    }

    /// Writes a file aside; what looks like a layer is unpacked meanwhile.
    fn spool(
        &self,
        tar: &mut Tar<impl BufRead>,
        size: u64,
        unpackers: Option<&mut Unpackers>,
    ) -> Result<File> {
        let mut file = BlobWriter::new(&self.store)?;
        let head = copy(tar, &mut file, HEAD)?;
        let mut early = None;
        if let Some(unpackers) = unpackers.filter(|_| size >= HEAD as u64 && is_layer(&head)) {
            let growing = Growing::new(size);
            file = file.shown(&growing)?;
            early = unpackers.unpack(&growing).map(|early| (early, Bringing(growing)));
        }
        copy(tar, &mut file, usize::MAX)?;
        let file = file.finish()?;
        let early = early.filter(|_| !self.store.has_blob(&file.digest));
        let early = early.map(|(early, bringing)| {
            bringing.0.end(true);
            early
        });
        Ok(File::Aside(file, early))
    }

    /// What came of a layer that was unpacked while it came; for who asks first.
    pub fn take_early(&mut self) -> HashMap<Digest, Early> {
        std::mem::take(&mut self.early)
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(&self.resolve(path))
    }

    /// The text of a small file; `None` if there is no such file.
    pub fn small(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.resolve(path);
        let (size, file) = match self.files.get(&path) {
            None => return Ok(None),
            Some(File::Aside(file, _)) => (file.size, file.open()?),
            Some(File::Stored(digest, size)) => (*size, self.store.open_blob(digest)?),
        };
        if size > limit {
            return Err(Error::InvalidParameter(format!(
                "{path} in the archive is too large"
            )));
        }
        let mut text = Vec::new();
        let read = file.take(limit).read_to_end(&mut text);
        read.map_err(|e| Error::InvalidParameter(format!("cannot read {path} of the archive: {e}")))?;
        Ok(Some(text))
    }

    /// Makes a file a blob of the store, pinned; `None` if there is no such file.
    pub fn blob(&mut self, store: &Store, lease: &mut Lease, path: &str) -> Result<Option<(Digest, u64)>> {
        let path = self.resolve(path);
        let (digest, size) = match self.files.remove(&path) {
            None => return Ok(None),
            Some(File::Stored(digest, size)) => (digest, size),
            Some(File::Aside(file, early)) => {
                lease.pin(&file.digest);
                self.early.extend(early.map(|early| (file.digest.clone(), early)));
                match store.has_blob(&file.digest) {
                    true => (file.digest.clone(), file.size),
                    false => file.store(store)?,
                }
            }
        };
        self.files.insert(path, File::Stored(digest.clone(), size));
        Ok(Some((digest, size)))
    }

    fn resolve(&self, path: &str) -> String {
        let mut path = normal(path);
        for _ in 0..HOPS_MAX {
            match self.links.get(&path) {
                Some(target) => path = target.clone(),
                None => break,
            }
        }
        path
    }
}

fn invalid(error: io::Error) -> Error {
    Error::InvalidParameter(format!("cannot read the archive: {error}"))
}

/// Writes the entry's next bytes, as many as there are up to `limit`; returns those of them that fit into a head.
fn copy(tar: &mut Tar<impl BufRead>, file: &mut BlobWriter, limit: usize) -> Result<Vec<u8>> {
    let (mut head, mut copied) = (Vec::new(), 0);
    while copied < limit {
        let there = tar.data().map_err(invalid)?;
        let there = &there[..there.len().min(limit - copied)];
        let count = there.len();
        if count == 0 {
            break;
        }
        head.extend_from_slice(&there[..count.min(HEAD - head.len())]);
        let written = file.write_all(there);
        written.map_err(|e| Error::storage("write", file.path(), e))?;
        tar.consume(count);
        copied += count;
    }
    Ok(head)
}

/// A tar, or something packed, which then most likely is one.
fn is_layer(head: &[u8]) -> bool {
    let packed = head.starts_with(&[0x1f, 0x8b]) || head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]);
    packed || head.get(257..262) == Some(b"ustar".as_slice())
}

/// Lexically: only names within the archive are compared, nothing is opened by them.
fn normal(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}
