//! Content by digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::store::Store;
use crate::store::atomic::{sync_directory, unique};
use crate::store::growing::Growing;

impl Store {
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.state.lock().blobs.contains(digest)
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        let path = self.paths.blob(digest);
        File::open(&path).map_err(|e| Error::storage("open blob", &path, e))
    }

    /// A small blob, checked against its digest.
    pub fn read_blob(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let path = self.paths.blob(digest);
        let file = self.open_blob(digest)?;
        file.take(limit + 1)
            .read_to_end(&mut bytes)
            .map_err(|e| Error::storage("read blob", &path, e))?;
        match Digest::of(&bytes) == *digest {
            true => Ok(bytes),
            false => Err(Error::Corrupt(format!("blob {digest} is damaged on disk"))),
        }
    }

    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let mut writer = BlobWriter::new(self)?;
        let written = writer.write_all(bytes);
        written.map_err(|e| Error::storage("write blob", writer.path(), e))?;
        let (digest, _) = writer.store(self, None)?;
        Ok(digest)
    }

    /// Makes the names of the blobs stored so far durable; their content is already.
    pub fn sync_blobs(&self) -> Result<()> {
        sync_directory(&self.paths.blobs)
    }
}

/// A blob being written aside; gone if dropped before it is stored.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    place: Aside,
    hash: Sha256,
    size: u64,
    /// Who reads it meanwhile.
    growing: Option<Growing>,
}

impl BlobWriter {
    pub fn new(store: &Store) -> Result<BlobWriter> {
        let path = store.paths.tmp.join(unique("blob"));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        let file = file.map_err(|e| Error::storage("create", &path, e))?;
        Ok(BlobWriter {
            file,
            place: Aside(path),
            hash: Sha256::new(),
            size: 0,
            growing: None,
        })
    }

    /// From now on it can be read while it is written.
    pub fn shown(mut self, growing: &Growing) -> Result<BlobWriter> {
        let shown = growing.begin(&self.place.0);
        shown.map_err(|e| Error::storage("open", &self.place.0, e))?;
        self.growing = Some(growing.clone());
        Ok(self)
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn path(&self) -> &std::path::Path {
        &self.place.0
    }

    /// Begins again with nothing.
    pub fn restart(&mut self) -> io::Result<()> {
        if let Some(growing) = &self.growing {
            growing.begin_anew();
        }
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        self.hash = Sha256::new();
        self.size = 0;
        Ok(())
    }

    pub fn digest(&self) -> Digest {
        Digest::finish(self.hash.clone())
    }

    /// Checks it against what was promised, syncs it and gives it its name.
    pub fn store(self, store: &Store, promised: Option<&Descriptor>) -> Result<(Digest, u64)> {
        if let Some(promised) = promised {
            self.check(promised)?;
        }
        self.finish().store(store)
    }

    fn check(&self, promised: &Descriptor) -> Result<()> {
        let digest = self.digest();
        if digest != promised.digest {
            let promised = &promised.digest;
            return Err(Error::Corrupt(format!(
                "filesystem layer verification failed for digest {promised}"
            )));
        }
        match self.size == promised.size {
            true => Ok(()),
            false => {
                let (got, promised) = (self.size, promised.size);
                Err(Error::Corrupt(format!(
                    "blob {digest} has {got} bytes, {promised} were promised"
                )))
            }
        }
    }

    /// Closes it; it may still become a blob.
    pub fn finish(self) -> Spooled {
        Spooled {
            digest: self.digest(),
            size: self.size,
            place: self.place,
        }
    }
}

/// Content written aside whose digest is known.
#[derive(Debug)]
pub(crate) struct Spooled {
    pub digest: Digest,
    pub size: u64,
    place: Aside,
}

impl Spooled {
    pub fn open(&self) -> Result<File> {
        File::open(&self.place.0).map_err(|e| Error::storage("open", &self.place.0, e))
    }

    /// Syncs it and gives it its name.
    pub fn store(self, store: &Store) -> Result<(Digest, u64)> {
        let aside = &self.place.0;
        self.open()?
            .sync_all()
            .map_err(|e| Error::storage("sync", aside, e))?;
        store.step("blob-synced");
        let name = store.paths.blob(&self.digest);
        fs::rename(aside, &name).map_err(|e| Error::storage("store blob", &name, e))?;
        store.state.lock().blobs.insert(self.digest.clone());
        store.step("blob-stored");
        Ok((self.digest.clone(), self.size))
    }
}

/// A file that is removed when dropped, if it is still there.
#[derive(Debug)]
struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        if let Some(growing) = &self.growing {
            growing.grow(self.size);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
