//! A tar whose files are needed in another order than they come: spooled to disk, found by name.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::store::{BlobWriter, Lease, Spooled, Store};
use crate::unpack::{Kind, Tar, decompress};

/// No archive of images has more files.
const FILES_MAX: usize = 100_000;
/// Links to links.
const HOPS_MAX: usize = 8;

#[derive(Debug)]
pub(crate) struct Archive {
    files: HashMap<String, File>,
    /// Old archives name the same layer twice by a link.
    links: HashMap<String, String>,
}

#[derive(Debug)]
enum File {
    Aside(Spooled),
    Stored(Digest, u64),
}

impl Archive {
    pub fn read(store: &Store, source: impl Read + Send) -> Result<Archive> {
        let invalid = |e: io::Error| Error::InvalidParameter(format!("cannot read the archive: {e}"));
        let (_, plain) = decompress(source).map_err(invalid)?;
        let mut tar = Tar::new(plain);
        let mut archive = Archive {
            files: HashMap::new(),
            links: HashMap::new(),
        };
        let mut buffer = vec![0; 256 * 1024];
        while let Some(member) = tar.next().map_err(invalid)? {
            let path = normal(&String::from_utf8_lossy(&member.path));
            if archive.files.len() + archive.links.len() >= FILES_MAX {
                return Err(Error::InvalidParameter(
                    "too many files in the archive".to_owned(),
                ));
            }
            match member.kind {
                Kind::File => {
                    let mut file = BlobWriter::new(store)?;
                    loop {
                        let count = tar.read(&mut buffer).map_err(invalid)?;
                        if count == 0 {
                            break;
                        }
                        let written = file.write_all(&buffer[..count]);
                        written.map_err(|e| Error::storage("write", file.path(), e))?;
                    }
                    archive.files.insert(path, File::Aside(file.finish()));
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
        while tar.drain(&mut buffer).map_err(invalid)? > 0 {}
        Ok(archive)
    }

    pub fn has(&self, path: &str) -> bool {
        self.files.contains_key(&self.resolve(path))
    }

    /// The text of a small file; `None` if there is no such file.
    pub fn small(&mut self, path: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let path = self.resolve(path);
        let Some(File::Aside(file)) = self.files.get(&path) else {
            return Ok(None);
        };
        if file.size > limit {
            return Err(Error::InvalidParameter(format!(
                "{path} in the archive is too large"
            )));
        }
        let mut text = Vec::new();
        let read = file.open()?.read_to_end(&mut text);
        read.map_err(|e| Error::InvalidParameter(format!("cannot read {path} of the archive: {e}")))?;
        Ok(Some(text))
    }

    /// Makes a file a blob of the store, pinned; `None` if there is no such file.
    pub fn blob(&mut self, store: &Store, lease: &mut Lease, path: &str) -> Result<Option<(Digest, u64)>> {
        let path = self.resolve(path);
        let (digest, size) = match self.files.remove(&path) {
            None => return Ok(None),
            Some(File::Stored(digest, size)) => (digest, size),
            Some(File::Aside(file)) => {
                lease.pin(&file.digest);
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
