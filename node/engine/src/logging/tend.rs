//! What the daemon does for the log of a running container: compresses what was rotated, says what was lost.

use super::Plan;
use super::deliver::Delivery;
use crate::containers::{Record, attributes};
use crate::events::Events;
use shoal_node_drivers_logs as logs;
use shoal_node_drivers_shim::{LogTarget, Shim};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// One for all containers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tender {
    inner: Arc<Inner>,
}

struct Inner {
    events: Events,
    lost_records: AtomicU64,
    lost_bytes: AtomicU64,
    packer: parking_lot::Mutex<Packer>,
}

/// Logs that wait to be compressed, each once. One thread works on them, for as long as there are any.
#[derive(Default)]
struct Packer {
    waiting: BTreeSet<PathBuf>,
    working: bool,
}

impl Tender {
    pub fn new(events: Events) -> Tender {
        Tender {
            inner: Arc::new(Inner {
                events,
                lost_records: AtomicU64::new(0),
                lost_bytes: AtomicU64::new(0),
                packer: parking_lot::Mutex::default(),
            }),
        }
    }

    /// Records and bytes that containers printed and no log has kept, since this daemon started.
    pub fn lost(&self) -> (u64, u64) {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (read(&self.inner.lost_records), read(&self.inner.lost_bytes))
    }

    /// From now on until the process ends.
    pub fn tend(&self, record: &Arc<Record>, shim: &Shim, plan: &Plan) {
        let LogTarget::File { path, .. } = &plan.target else {
            return;
        };
        let ending = plan.deliver.as_ref().and_then(|(driver, about)| {
            let delivery = Delivery {
                driver: driver.clone(),
                about: about.clone(),
                options: record
                    .host
                    .log_config
                    .config
                    .clone()
                    .into_map()
                    .into_iter()
                    .collect(),
                path: path.clone(),
            };
            let (tender, record) = (self.clone(), record.clone());
            let started = delivery.start(move |records| tender.lost_some(&record, records, 0));
            started
                .inspect_err(|why| tracing::warn!(driver, why, "a log is not sent on"))
                .ok()
        });
        let (tender, record, compress) = (self.clone(), record.clone(), plan.compress.then(|| path.clone()));
        let mut heard = shim.log();
        // What a daemon before this one has left.
        let mut seen = (u64::MAX, shim.log_told());
        tokio::spawn(async move {
            loop {
                let now = *heard.borrow_and_update();
                if let Some(path) = &compress
                    && now.rotated != seen.0
                {
                    tender.pack(path.clone());
                }
                let (records, bytes) = (
                    now.lost_records.saturating_sub(seen.1.lost_records),
                    now.lost_bytes.saturating_sub(seen.1.lost_bytes),
                );
                if records > 0 {
                    tender.lost_some(&record, records, bytes);
                }
                seen = (now.rotated, now);
                if heard.changed().await.is_err() {
                    if let Some(ending) = ending {
                        ending.end();
                    }
                    return;
                }
            }
        });
    }

    fn lost_some(&self, record: &Record, records: u64, bytes: u64) {
        self.inner.lost_records.fetch_add(records, Ordering::Relaxed);
        self.inner.lost_bytes.fetch_add(bytes, Ordering::Relaxed);
        tracing::warn!(id = %record.id, records, bytes, "output of a container could not be logged and is lost");
        let mut attributes = attributes(record);
        attributes.insert("records".into(), records.to_string());
        attributes.insert("bytes".into(), bytes.to_string());
        self.inner
            .events
            .publish("container", "log_lost", &record.id, attributes);
    }

    fn pack(&self, path: PathBuf) {
        let mut packer = self.inner.packer.lock();
        packer.waiting.insert(path);
        if packer.working {
            return;
        }
        let tender = self.clone();
        let work = move || tender.pack_all();
        match std::thread::Builder::new().name("log-packer".into()).spawn(work) {
            Ok(_) => packer.working = true,
            Err(error) => tracing::warn!(%error, "no thread to compress logs"),
        }
    }

    fn pack_all(&self) {
        // Whatever else there is to do comes first.
        let _ = rustix::process::nice(10);
        loop {
            let path = {
                let mut packer = self.inner.packer.lock();
                match packer.waiting.pop_first() {
                    Some(path) => path,
                    None => {
                        packer.working = false;
                        return;
                    }
                }
            };
            if path.exists()
                && let Err(error) = logs::compress(&path)
            {
                tracing::warn!(%error, "a rotated log stays as it is");
            }
        }
    }
}
