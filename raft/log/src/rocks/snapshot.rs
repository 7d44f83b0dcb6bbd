//! The last snapshot, as sealed chunks under a generation number.

use super::open::Base;
use super::{cf, meta};
use crate::seal::Unsealed;
use crate::snapshots::Snapshots;
use parking_lot::Mutex;
use rocksdb::WriteBatch;
use serde::{Deserialize, Serialize};
use shoal_raft_objects::codec;
use std::io;
use std::sync::Arc;

pub struct RocksSnapshots {
    base: Arc<Base>,
    /// One save at a time.
    saving: Mutex<()>,
}

/// Written last: from then on the generation counts.
#[derive(Serialize, Deserialize)]
struct Current {
    generation: u64,
    chunks: u32,
    meta: Vec<u8>,
}

impl RocksSnapshots {
    pub(super) fn new(base: Arc<Base>) -> Self {
        RocksSnapshots {
            base,
            saving: Mutex::new(()),
        }
    }
}

fn key(generation: u64, chunk: u32) -> [u8; 12] {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&generation.to_be_bytes());
    key[8..].copy_from_slice(&chunk.to_be_bytes());
    key
}

impl Snapshots for RocksSnapshots {
    fn save(&self, of: &[u8], chunks: &mut dyn Iterator<Item = io::Result<Vec<u8>>>) -> io::Result<()> {
        let _saving = self.saving.lock();
        let base = &self.base;
        let table = base.cf(cf::SNAPSHOT)?;
        let old = base.get_meta::<Current>(meta::SNAPSHOT)?;
        let generation = old.map_or(1, |old| old.generation + 1);
        // A save that was cut short left chunks of this generation behind.
        let mut batch = WriteBatch::default();
        batch.delete_range_cf(table, key(generation, 0), key(u64::MAX, 0));
        base.write(batch, false)?;
        let mut count = 0;
        for chunk in chunks {
            let key = key(generation, count);
            let mut batch = WriteBatch::default();
            batch.put_cf(table, key, base.sealer.seal(cf::SNAPSHOT, &key, &chunk?)?);
            base.write(batch, false)?;
            count += 1;
        }
        let current = codec::encode(&Current {
            generation,
            chunks: count,
            meta: of.to_vec(),
        })
        .map_err(io::Error::other)?;
        let mut batch = WriteBatch::default();
        let sealed = base.sealer.seal(cf::META, meta::SNAPSHOT, &current)?;
        batch.put_cf(base.cf(cf::META)?, meta::SNAPSHOT, sealed);
        batch.delete_range_cf(table, key(0, 0), key(generation, 0));
        // The log before this write is fsynced with it, and so are the chunks.
        base.write(batch, true)
    }

    fn load(&self, chunk: &mut dyn FnMut(Vec<u8>) -> io::Result<()>) -> io::Result<Option<Vec<u8>>> {
        let base = &self.base;
        let Some(current) = base.get_meta::<Current>(meta::SNAPSHOT)? else {
            return Ok(None);
        };
        for number in 0..current.chunks {
            let key = key(current.generation, number);
            let record = base
                .get_raw(cf::SNAPSHOT, &key)?
                .ok_or(Unsealed::Damaged { place: cf::SNAPSHOT })?;
            chunk(base.sealer.open(cf::SNAPSHOT, &key, &record)?)?;
        }
        Ok(Some(current.meta))
    }
}
