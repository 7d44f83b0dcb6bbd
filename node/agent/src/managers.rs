//! The managers that this node knows, kept on disk so that a restarted node finds its cluster again.

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use shoal_raft_objects::{Cluster, NodeId};
use std::path::{Path, PathBuf};
use tokio::sync::watch;

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct ManagerPeer {
    pub node: NodeId,
    /// `host:port`
    pub addr: String,
}

/// What a node that is no manager can show of its cluster.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct ClusterView {
    /// Without anything secret. Its id is empty before a manager was heard.
    pub cluster: Cluster,
    pub nodes: u64,
    pub managers: u64,
}

/// What a session last said about the cluster.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Known {
    pub managers: Vec<ManagerPeer>,
    pub worker_forwarding: bool,
    pub cluster: ClusterView,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            managers: Vec::new(),
            worker_forwarding: true,
            cluster: ClusterView::default(),
        }
    }
}

pub(crate) struct Managers {
    path: PathBuf,
    known: watch::Sender<Known>,
    writing: Mutex<()>,
}

impl Managers {
    /// Those on disk, or `initial` if there are none yet.
    pub fn load(dir: &Path, initial: Vec<ManagerPeer>) -> Self {
        let path = dir.join("managers.json");
        let read = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice::<Known>(&bytes).ok());
        let mut known = read.unwrap_or_default();
        for peer in initial {
            if !known.managers.iter().any(|m| m.addr == peer.addr) {
                known.managers.push(peer);
            }
        }
        Self {
            path,
            known: watch::Sender::new(known),
            writing: Mutex::new(()),
        }
    }

    pub fn get(&self) -> Known {
        self.known.borrow().clone()
    }

    /// Takes over what a manager says now. Failing to write it down costs nothing but a slower start next time.
    pub fn set(&self, change: impl FnOnce(&mut Known)) {
        let _one_writer = self.writing.lock();
        let mut new = self.get();
        change(&mut new);
        new.managers.sort();
        if new == *self.known.borrow() {
            return;
        }
        self.known.send_replace(new.clone());
        let text = match serde_json::to_vec(&new) {
            Ok(text) => text,
            Err(error) => return tracing::warn!(%error, "cannot encode the list of managers"),
        };
        if let Err(error) = crate::book::replace(&self.path, &text) {
            tracing::warn!(%error, path = %self.path.display(), "cannot keep the list of managers");
        }
    }

    /// Whom to try, in order: this node's own manager, then the others by chance so that nodes spread evenly.
    pub fn candidates(&self, own: Option<String>) -> Vec<String> {
        use rand::seq::SliceRandom;
        let mut others: Vec<String> = self
            .known
            .borrow()
            .managers
            .iter()
            .map(|m| m.addr.clone())
            .collect();
        others.shuffle(&mut rand::rng());
        if let Some(own) = own {
            others.retain(|addr| *addr != own);
            others.insert(0, own);
        }
        others
    }
}
