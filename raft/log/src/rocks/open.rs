//! Opening a manager's log: what is there is checked before anything is written.

use super::{RocksLog, RocksSnapshots, cf, meta};
use crate::key::{self, DataKey};
use crate::seal::{Sealer, Unsealed};
use crate::tail::Tail;
use crate::types::{Entry, LogId, Vote};
use openraft::type_config::AsyncRuntime;
use parking_lot::Mutex;
use rocksdb::{BlockBasedOptions, Cache, ColumnFamilyDescriptor, DB, DBRecoveryMode, IteratorMode};
use serde::de::DeserializeOwned;
use shoal_raft_objects::{RaftId, codec};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The layout written by this version.
pub const FORMAT: &[u8] = b"1";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot create {path}: {source}")]
    Create { path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Key(#[from] key::Error),
    #[error("the log in {path} has no key file beside it; it cannot be read")]
    KeyMissing { path: PathBuf },
    #[error("cannot open the log in {path}: {source}")]
    Open { path: PathBuf, source: rocksdb::Error },
    #[error("the log in {path} has format {found:?}, this version reads {known:?}", known = String::from_utf8_lossy(FORMAT))]
    Format { path: PathBuf, found: String },
    #[error("the log in {path} belongs to manager {found}, not to {wanted}")]
    Owner {
        path: PathBuf,
        found: RaftId,
        wanted: RaftId,
    },
    #[error("cannot read the log in {path}: {source}")]
    Read { path: PathBuf, source: std::io::Error },
    #[error("the log in {path} is damaged: entry {after} is not followed by {expected}")]
    Hole {
        path: PathBuf,
        after: u64,
        expected: u64,
    },
}

/// Ways in which a disk can fail, for tests.
#[derive(Clone, Default, Debug)]
pub struct Faults {
    fail_sync: Arc<AtomicBool>,
}

impl Faults {
    /// From now on the disk answers every fsync with an error.
    pub fn fail_sync(&self, fail: bool) {
        self.fail_sync.store(fail, Ordering::SeqCst);
    }

    pub(super) fn sync_fails(&self) -> bool {
        self.fail_sync.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    /// Holds the database (`db/`) and the key file (`key`); made with mode 0700 if missing.
    pub dir: PathBuf,
    /// Whose log this is. A log that belongs to another manager is refused.
    pub owner: RaftId,
    pub faults: Faults,
}

/// Resolves when the database is closed: all handles are dropped and every file is let go.
pub struct Closed(tokio::sync::oneshot::Receiver<()>);

impl Closed {
    pub async fn wait(self) {
        // Either way the sender is gone, and with it the database.
        let _ = self.0.await;
    }
}

pub struct Opened<RT: AsyncRuntime> {
    pub log: RocksLog<RT>,
    pub snapshots: RocksSnapshots,
    pub closed: Closed,
}

/// The database with what every part of it needs.
pub(super) struct Base {
    pub db: DB,
    pub sealer: Sealer,
    pub faults: Faults,
    /// Set once, with the first error of a write; from then on nothing is written any more.
    pub failed: Mutex<Option<String>>,
    /// Dropped after `db`: fields drop in this order.
    _closing: tokio::sync::oneshot::Sender<()>,
}

/// Opens the log in `options.dir`, or makes an empty one.
pub fn open<RT: AsyncRuntime>(options: Options) -> Result<Opened<RT>, Error> {
    let dir = &options.dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| Error::Create {
            path: dir.clone(),
            source,
        })?;
    let path = dir.join("db");
    let key_path = dir.join("key");
    let key = match DataKey::load(&key_path)? {
        Some(key) => key,
        None if path.join("CURRENT").exists() => return Err(Error::KeyMissing { path }),
        None => {
            let key = DataKey::generate();
            key.store(&key_path)?;
            key
        }
    };
    let db = open_db(&path)?;
    let (closing, closed) = tokio::sync::oneshot::channel();
    let base = Base {
        db,
        sealer: Sealer::new(&key),
        faults: options.faults,
        failed: Mutex::new(None),
        _closing: closing,
    };
    check(&base, &path, options.owner)?;
    let tail = read_tail(&base, &path)?;
    let base = Arc::new(base);
    Ok(Opened {
        log: RocksLog::start(base.clone(), tail),
        snapshots: RocksSnapshots::new(base),
        closed: Closed(closed),
    })
}

/// RocksDB made small: a manager's log is a few megabytes and its tail is in memory anyway.
fn open_db(path: &Path) -> Result<DB, Error> {
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    // What was acknowledged must be there; only a half-written end, which was not, may be missing.
    options.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    options.set_max_total_wal_size(16 << 20);
    options.set_db_write_buffer_size(4 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(32);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_log_level(rocksdb::LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_table_cache_num_shard_bits(0);
    let cache = Cache::new_lru_cache(256 << 10);
    let family = |name: &str, buffer: usize| {
        let mut table = BlockBasedOptions::default();
        table.set_block_cache(&cache);
        table.set_cache_index_and_filter_blocks(true);
        let mut family = rocksdb::Options::default();
        family.set_block_based_table_factory(&table);
        family.set_write_buffer_size(buffer);
        family.set_max_write_buffer_number(2);
        family.set_target_file_size_base(8 << 20);
        // Sealed bytes do not compress.
        family.set_compression_type(rocksdb::DBCompressionType::None);
        ColumnFamilyDescriptor::new(name, family)
    };
    let families = [
        family("default", 64 << 10),
        family(cf::LOG, 2 << 20),
        family(cf::META, 256 << 10),
        family(cf::SNAPSHOT, 1 << 20),
    ];
    DB::open_cf_descriptors(&options, path, families).map_err(|source| Error::Open {
        path: path.to_owned(),
        source,
    })
}

fn check(base: &Base, path: &Path, wanted: RaftId) -> Result<(), Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    match base.get_raw(cf::META, meta::FORMAT).map_err(read)? {
        Some(found) if found == FORMAT => {}
        Some(found) => {
            return Err(Error::Format {
                path: path.to_owned(),
                found: String::from_utf8_lossy(&found).into_owned(),
            });
        }
        None => {
            // The owner's record comes with the format, in one write: a log has both or neither.
            let mut batch = rocksdb::WriteBatch::default();
            let owner = codec::encode(&wanted).map_err(|e| read(std::io::Error::other(e)))?;
            let owner = base.sealer.seal(cf::META, meta::OWNER, &owner).map_err(read)?;
            batch.put_cf(base.cf(cf::META).map_err(read)?, meta::FORMAT, FORMAT);
            batch.put_cf(base.cf(cf::META).map_err(read)?, meta::OWNER, owner);
            return base.write(batch, true).map_err(read);
        }
    }
    match base.get_meta::<RaftId>(meta::OWNER).map_err(read)? {
        Some(found) if found == wanted => Ok(()),
        Some(found) => Err(Error::Owner {
            path: path.to_owned(),
            found,
            wanted,
        }),
        None => Err(read(Unsealed::Damaged { place: cf::META }.into())),
    }
}

/// Reads back where the log stands and checks that its end hangs together.
fn read_tail(base: &Base, path: &Path) -> Result<Tail, Error> {
    let read = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let purged = base.get_meta::<LogId>(meta::PURGED).map_err(read)?;
    let vote = base.get_meta::<Vote>(meta::VOTE).map_err(read)?;
    let committed = base.get_meta::<LogId>(meta::COMMITTED).map_err(read)?;
    let mut tail = Tail::recovered(vote, committed, purged);
    let mut newest: Vec<Entry> = Vec::new();
    let entries = base
        .db
        .iterator_cf(base.cf(cf::LOG).map_err(read)?, IteratorMode::End);
    for item in entries.take(crate::tail::KEPT_ENTRIES) {
        let (key, record) = item.map_err(|e| read(std::io::Error::other(e)))?;
        let entry: Entry = base.open_entry(&key, &record).map_err(read)?;
        if purged.is_some_and(|purged| entry.log_id.index <= purged.index) {
            break;
        }
        if let Some(above) = newest.last()
            && above.log_id.index != entry.log_id.index + 1
        {
            return Err(Error::Hole {
                path: path.to_owned(),
                after: entry.log_id.index,
                expected: entry.log_id.index + 1,
            });
        }
        newest.push(entry);
    }
    for entry in newest.into_iter().rev() {
        let (epoch, index) = (tail.epoch, entry.log_id.index);
        tail.push(entry);
        tail.flushed(epoch, index);
    }
    Ok(tail)
}

impl Base {
    pub fn cf(&self, name: &'static str) -> std::io::Result<&rocksdb::ColumnFamily> {
        self.db
            .cf_handle(name)
            .ok_or_else(|| std::io::Error::other(format!("the log has no table {name}")))
    }

    pub fn get_raw(&self, table: &'static str, key: &[u8]) -> std::io::Result<Option<Vec<u8>>> {
        self.db
            .get_cf(self.cf(table)?, key)
            .map_err(std::io::Error::other)
    }

    pub fn get_meta<T: DeserializeOwned>(&self, key: &[u8]) -> std::io::Result<Option<T>> {
        let Some(record) = self.get_raw(cf::META, key)? else {
            return Ok(None);
        };
        let plain = self.sealer.open(cf::META, key, &record)?;
        codec::decode(&plain).map(Some).map_err(std::io::Error::other)
    }

    pub fn open_entry(&self, key: &[u8], record: &[u8]) -> std::io::Result<Entry> {
        let plain = self.sealer.open(cf::LOG, key, record)?;
        codec::decode(&plain).map_err(std::io::Error::other)
    }

    /// The only place that writes. An error is final: what reached the disk is unknown, so nothing may follow it.
    pub fn write(&self, batch: rocksdb::WriteBatch, sync: bool) -> std::io::Result<()> {
        let mut failed = self.failed.lock();
        if let Some(error) = &*failed {
            return Err(std::io::Error::other(format!(
                "the log refuses writes since one failed: {error}"
            )));
        }
        let mut options = rocksdb::WriteOptions::default();
        options.set_sync(sync);
        let written = if sync && self.faults.sync_fails() {
            Err("injected failure of fsync".to_owned())
        } else {
            self.db.write_opt(batch, &options).map_err(|e| e.to_string())
        };
        written.map_err(|error| {
            tracing::error!(%error, "write to the Raft log failed; refusing all further writes");
            *failed = Some(error.clone());
            std::io::Error::other(error)
        })
    }
}
