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
        writer
            .write_all(bytes)
            .map_err(|e| Error::storage("write blob", &writer.path, e))?;
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
    path: PathBuf,
    hash: Sha256,
    size: u64,
    kept: bool,
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
            path,
            hash: Sha256::new(),
            size: 0,
            kept: false,
        })
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Begins again with nothing.
    pub fn restart(&mut self) -> io::Result<()> {
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
    pub fn store(mut self, store: &Store, promised: Option<&Descriptor>) -> Result<(Digest, u64)> {
        let digest = self.digest();
        if let Some(promised) = promised {
            if digest != promised.digest {
                return Err(Error::Corrupt(format!(
                    "filesystem layer verification failed for digest {}",
                    promised.digest
                )));
            }
            if self.size != promised.size {
                return Err(Error::Corrupt(format!(
                    "blob {digest} has {} bytes, {} were promised",
                    self.size, promised.size
                )));
            }
        }
        self.file
            .sync_all()
            .map_err(|e| Error::storage("sync", &self.path, e))?;
        store.step("blob-synced");
        let place = store.paths.blob(&digest);
        fs::rename(&self.path, &place).map_err(|e| Error::storage("store blob", &place, e))?;
        self.kept = true;
        store.state.lock().blobs.insert(digest.clone());
        store.step("blob-stored");
        Ok((digest, self.size))
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}
