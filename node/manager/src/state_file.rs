//! What this node remembers of its place in a cluster, besides its certificates and its Raft log.

use crate::SwarmError;
use crate::host::ManagerAddr;
use serde::{Deserialize, Serialize};
use shoal_raft_objects::RaftId;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Saved {
    /// `ip:port` to listen on when this node is a manager.
    pub listen_addr: String,
    /// `ip:port` under which the others reach it.
    pub advertise_addr: String,
    pub data_path_addr: String,
    /// Set once Raft has admitted this manager; cleared when it stops being one.
    pub raft_id: Option<RaftId>,
    /// Managers at the time of joining: the first to ask.
    pub managers: Vec<(String, String)>,
    /// Why the cluster does not know this node any more, if it said so: the place is kept for the user to see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub removed: Option<String>,
}

impl Saved {
    pub fn known_managers(&self) -> Vec<ManagerAddr> {
        let known = self.managers.iter().map(|(node, addr)| ManagerAddr {
            node: node.as_str().into(),
            addr: addr.clone(),
        });
        known.collect()
    }
}

/// The cluster's directory below the data root.
#[derive(Clone, Debug)]
pub(crate) struct Home {
    root: PathBuf,
}

/// Whether the node whose state lies in `dir` is in a cluster.
pub fn is_member(dir: &Path) -> bool {
    Home::new(dir.to_owned()).file().exists()
}

impl Home {
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub fn certificates(&self) -> PathBuf {
        self.root.join("certificates")
    }

    pub fn raft(&self) -> PathBuf {
        self.root.join("raft")
    }

    pub fn agent(&self) -> PathBuf {
        self.root.join("agent")
    }

    fn file(&self) -> PathBuf {
        self.root.join("state.json")
    }

    pub fn load(&self) -> Result<Option<Saved>, SwarmError> {
        let path = self.file();
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|e| SwarmError::State {
                    path,
                    why: e.to_string(),
                }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(SwarmError::File { path, source }),
        }
    }

    /// Durable when it returns.
    pub fn save(&self, saved: &Saved) -> Result<(), SwarmError> {
        let path = self.file();
        let text = serde_json::to_vec(saved).map_err(|e| SwarmError::State {
            path: path.clone(),
            why: e.to_string(),
        })?;
        self.create()
            .and_then(|()| replace(&path, &text))
            .map_err(|source| SwarmError::File { path, source })
    }

    pub fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
    }

    /// Forgets the Raft log; this manager is none any more, or will come back as another.
    pub fn remove_raft(&self) -> Result<(), SwarmError> {
        remove(&self.raft())
    }

    /// Forgets everything. The file goes first: without it nothing else counts at the next start.
    pub fn clear(&self) -> Result<(), SwarmError> {
        let path = self.file();
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(SwarmError::File { path, source });
            }
            _ => {}
        }
        remove(&self.root)
    }
}

fn remove(path: &Path) -> Result<(), SwarmError> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(SwarmError::File {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}
