//! Content by digest.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::Descriptor;
use crate::store::Store;
use crate::store::ahead::{self, Ahead};
use crate::store::atomic::{sync_directory, unique};
use crate::store::block::{Block, Past};
use crate::store::growing::Growing;

/// A blob of at least so many bytes goes past the page cache: it is read again only by who wants to have it elsewhere.
pub(super) const LARGE: u64 = 32 << 20;

impl Store {
    pub fn has_blob(&self, digest: &Digest) -> bool {
        self.state.lock().blobs.contains(digest)
    }

    pub fn open_blob(&self, digest: &Digest) -> Result<File> {
        // Under the lock: it may be getting its name.
        let state = self.state.lock();
        let aside = state.unsynced.get(digest).map(|aside| aside.0.clone());
        let path = aside.unwrap_or_else(|| self.paths.blob(digest));
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

    /// Makes the blobs stored so far durable.
    pub fn sync_blobs(&self) -> Result<()> {
        let _syncing = self.syncing.lock();
        let unsynced = self.unsynced();
        let synced = sync(&unsynced);
        self.name_blobs(unsynced, synced)
    }

    fn unsynced(&self) -> Vec<(Digest, Arc<Aside>)> {
        let state = self.state.lock();
        state
            .unsynced
            .iter()
            .map(|(digest, aside)| (digest.clone(), aside.clone()))
            .collect()
    }

    /// Blobs whose content is on the disk get their names. Those for which that failed are forgotten: a second sync would
    /// succeed without it.
    fn name_blobs(&self, blobs: Vec<(Digest, Arc<Aside>)>, synced: Result<()>) -> Result<()> {
        if let Err(error) = synced {
            let mut state = self.state.lock();
            for (digest, aside) in blobs {
                if state
                    .unsynced
                    .get(&digest)
                    .is_some_and(|now| Arc::ptr_eq(now, &aside))
                {
                    state.unsynced.remove(&digest);
                    state.blobs.remove(&digest);
                }
            }
            return Err(error);
        }
        if blobs.is_empty() {
            return Ok(());
        }
        self.step("blobs-synced");
        for (digest, aside) in blobs {
            let mut state = self.state.lock();
            // It may have been collected since, and even have come again.
            if state
                .unsynced
                .get(&digest)
                .is_some_and(|now| Arc::ptr_eq(now, &aside))
            {
                let name = self.paths.blob(&digest);
                fs::rename(&aside.0, &name).map_err(|e| Error::storage("store blob", &name, e))?;
                state.unsynced.remove(&digest);
            }
            drop(state);
            self.step("blob-named");
        }
        sync_directory(&self.paths.blobs)
    }
}

/// One by one: what else was written to the file system, by containers perhaps, is not waited for.
fn sync(blobs: &[(Digest, Arc<Aside>)]) -> Result<()> {
    let failed = |aside: &Aside, e| Error::storage("sync", &aside.0, e);
    let open = |aside: &Arc<Aside>| File::open(&aside.0).map_err(|e| failed(aside, e));
    for (_, aside) in blobs {
        ahead::wait(&open(aside)?);
    }
    for (_, aside) in blobs {
        open(aside)?.sync_all().map_err(|e| failed(aside, e))?;
    }
    Ok(())
}

/// A blob being written aside; gone if dropped before it is stored.
#[derive(Debug)]
pub(crate) struct BlobWriter {
    file: File,
    place: Aside,
    hash: Sha256,
    size: u64,
    ahead: Ahead,
    /// Who reads it meanwhile.
    growing: Option<Growing>,
    /// Of one that goes past the page cache.
    blocks: Option<Blocks>,
}

/// What of a blob is not in its file yet.
#[derive(Debug)]
struct Blocks {
    past: Past,
    next: Arc<Block>,
    /// Those that went before, to be used again once nobody reads them.
    round: Vec<Arc<Block>>,
}

impl Blocks {
    fn new(file: &File) -> io::Result<Blocks> {
        Ok(Blocks {
            past: Past::new(file),
            next: Arc::new(Block::new()?),
            round: Vec::new(),
        })
    }
}

/// Blocks that go round; readers may hold more for a while.
const ROUND: usize = 6;

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
            ahead: Ahead::default(),
            growing: None,
            blocks: None,
        })
    }

    /// From now on it can be read while it is written.
    pub fn shown(mut self, growing: &Growing) -> Result<BlobWriter> {
        let shown = growing.begin(&self.place.0, false);
        shown.map_err(|e| Error::storage("open", &self.place.0, e))?;
        growing.grow(self.size);
        self.growing = Some(growing.clone());
        Ok(self)
    }

    /// For one that comes from elsewhere and has not begun: it can be read while it is written, and a large one goes past
    /// the page cache.
    pub fn coming(mut self, growing: &Growing) -> Result<BlobWriter> {
        if growing.size() < LARGE {
            return self.shown(growing);
        }
        let begun = growing.begin(&self.place.0, true);
        begun.map_err(|e| Error::storage("open", &self.place.0, e))?;
        self.growing = Some(growing.clone());
        let blocks = Blocks::new(&self.file);
        self.blocks = Some(blocks.map_err(|e| Error::storage("write", &self.place.0, e))?);
        Ok(self)
    }

    pub fn size(&self) -> u64 {
        self.size
    }

    pub fn path(&self) -> &std::path::Path {
        &self.place.0
    }

    /// Begins again with nothing.
    pub fn anew(mut self) -> Result<BlobWriter> {
        let restarted = self.restart();
        restarted.map_err(|e| Error::storage("write", &self.place.0, e))?;
        Ok(self)
    }

    fn restart(&mut self) -> io::Result<()> {
        if let Some(growing) = &self.growing {
            growing.begin_anew();
        }
        self.file.set_len(0)?;
        io::Seek::rewind(&mut self.file)?;
        if let Some(blocks) = &mut self.blocks {
            *blocks = Blocks::new(&self.file)?;
        }
        self.hash = Sha256::new();
        self.size = 0;
        Ok(())
    }

    pub fn digest(&self) -> Digest {
        Digest::finish(self.hash.clone())
    }

    /// Checks it against what was promised and makes it a blob; [`Store::sync_blobs`] makes it durable.
    pub fn store(self, store: &Store, promised: Option<&Descriptor>) -> Result<(Digest, u64)> {
        if let Some(promised) = promised {
            self.check(promised)?;
        }
        self.finish()?.store(store)
    }

    /// Whether it is what was promised.
    pub fn check(&self, promised: &Descriptor) -> Result<()> {
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
    pub fn finish(mut self) -> Result<Spooled> {
        let put = self.put();
        put.map_err(|e| Error::storage("write", &self.place.0, e))?;
        self.ahead.begin(&self.file);
        Ok(Spooled {
            digest: self.digest(),
            size: self.size,
            place: self.place,
        })
    }

    /// Brings what has come to the file, and shows it.
    fn put(&mut self) -> io::Result<()> {
        let Some(blocks) = self.blocks.as_mut().filter(|blocks| !blocks.next.is_empty()) else {
            return Ok(());
        };
        let usual = blocks.past.write(&self.file, &blocks.next)?;
        self.ahead.wrote(&self.file, usual);
        if let Some(growing) = &self.growing {
            growing.push(&blocks.next);
        }
        let free = blocks
            .round
            .iter_mut()
            .position(|block| Arc::get_mut(block).is_some());
        let next = match free {
            Some(free) => blocks.round.swap_remove(free),
            None => Arc::new(Block::new()?),
        };
        let done = std::mem::replace(&mut blocks.next, next);
        if blocks.round.len() < ROUND {
            blocks.round.push(done);
        }
        let next = Arc::get_mut(&mut blocks.next);
        let next = next.ok_or_else(|| io::Error::other("a block that is not free is used again"))?;
        next.begin(self.size);
        Ok(())
    }

    /// The same for one that goes past the page cache, as soon as there is a block of it.
    fn gather(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(blocks) = &mut self.blocks else {
            return Ok(0);
        };
        let next = Arc::get_mut(&mut blocks.next);
        let next = next.ok_or_else(|| io::Error::other("a block that is not free is written to"))?;
        let count = next.take(bytes);
        let full = next.is_full();
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        let whole = self.growing.as_ref().is_some_and(|growing| {
            growing.come(self.size);
            growing.size() == self.size
        });
        if full || whole {
            self.put()?;
        }
        Ok(count)
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

    /// Makes it a blob; [`Store::sync_blobs`] makes it durable.
    pub fn store(self, store: &Store) -> Result<(Digest, u64)> {
        {
            let mut state = store.state.lock();
            if state.blobs.insert(self.digest.clone()) {
                state.unsynced.insert(self.digest.clone(), Arc::new(self.place));
            }
        }
        store.step("blob-stored");
        Ok((self.digest, self.size))
    }
}

/// A file that is removed when dropped, if it is still there.
#[derive(Debug)]
pub(crate) struct Aside(PathBuf);

impl Drop for Aside {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.blocks.is_some() {
            return self.gather(bytes);
        }
        let count = self.file.write(bytes)?;
        self.hash.update(&bytes[..count]);
        self.size += count as u64;
        self.ahead.wrote(&self.file, count as u64);
        if let Some(growing) = &self.growing {
            growing.grow(self.size);
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
