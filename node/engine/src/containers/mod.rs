//! Containers of this node: one verb per file. A verb finds the container, asks its actor, and says a refusal in
//! Docker's words; what is merely read comes from the actor's published view.

mod actor;
mod api;
mod attach;
mod create;
mod detach;
mod fold;
mod handle;
mod hearing;
mod inspect;
mod kill;
mod kit;
mod limits;
mod list;
mod logs;
mod mounts;
mod pause;
mod prune;
mod record;
mod recover;
mod registry;
mod remove;
mod rename;
mod resize;
mod restart;
mod shutdown;
mod start;
mod stats;
mod stop;
mod summary;
mod top;
mod update;
mod validate;
mod wait;

pub use actor::Input;
pub use attach::Waiting;
pub use detach::{Detachable, Keys};
pub use fold::fold;
pub use handle::{Handle, View};
pub use kit::Kit;
pub use limits::{limits, with_devices};
pub use mounts::{in_use as volume_in_use_error, volume_in_use};
pub(crate) use prune::{duration_ns, until};
pub use record::{EXIT, MountRecord, Record, Run};
pub use registry::Registry;

use std::collections::BTreeMap;
use std::sync::Arc;

/// The verbs. Cheap to clone.
#[derive(Clone)]
pub struct Containers {
    pub(crate) kit: Arc<Kit>,
}

impl Containers {
    pub(crate) fn new(kit: Arc<Kit>) -> Self {
        Containers { kit }
    }

    /// Records and bytes of output that no log could keep since this daemon started: for the metrics.
    pub fn lost_output(&self) -> (u64, u64) {
        self.kit.logs.lost()
    }

    /// Finds a container by id, name or the start of an id.
    pub fn get(&self, reference: &str) -> crate::error::Result<Handle> {
        self.kit.registry.get(reference)
    }
}

/// What an event says about a container: its image, name and labels.
pub(crate) fn attributes(record: &Record) -> BTreeMap<String, String> {
    let mut out: BTreeMap<String, String> = record.config.labels.clone().into_map();
    out.insert("image".into(), record.config.image.clone());
    out.insert("name".into(), record.name.clone());
    out
}
