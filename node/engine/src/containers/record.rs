//! A container as it is written to its directory.

use crate::files::{self, Durability, Ready};
use serde::{Deserialize, Serialize};
use shoal_api_types::container::{Config, HealthcheckResult, HostConfig};
use shoal_api_types::image::Descriptor;
use shoal_api_types::mount::MountPoint;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::health::Health;
use shoal_node_core_host::lifecycle::{Policy, Rules, State, Time};
use shoal_node_drivers_logs::Format;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::{Path, PathBuf};

/// Changes only by a user's create, rename or update. On disk before any of these answers.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    pub id: String,
    /// Without a slash.
    pub name: String,
    pub created: Time,
    /// Entrypoint and command of image and container, merged.
    pub path: String,
    pub args: Vec<String>,
    /// `sha256:…`
    pub image_id: String,
    /// The manifest that it was made from, with its platform. None in records of before.
    pub image_manifest: Option<Descriptor>,
    /// The container's configuration with what the image adds.
    pub config: Config,
    pub host: HostConfig,
    /// As asked for, by the network's name.
    pub networks: BTreeMap<String, EndpointSettings>,
    pub mounts: Vec<MountRecord>,
    /// A number from the image's `StopSignal` or the container's.
    pub stop_signal: i32,
    /// It is run for the cluster, which has given it its places on networks.
    pub of_task: bool,
}

/// A resolved mount.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct MountRecord {
    pub point: MountPoint,
    /// Removed with the container (`rm -v`, `--rm`): a volume that has no name of a user's.
    pub anonymous: bool,
    pub non_recursive: bool,
    /// A read-only bind leaves what is mounted below it as it is.
    pub read_only_top: bool,
    /// All of it read-only, or no start.
    pub read_only_all: bool,
    /// The image of an image mount, by id, and the name of the layer that lies on top of it for this container.
    pub image: String,
    pub layer: String,
    /// A directory below the volume's root.
    pub subpath: String,
    /// Options of a tmpfs.
    pub tmpfs: Vec<String>,
}

/// Changes as the container lives. Survives the daemon; the exit itself is durable in the shim's own file.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Run {
    pub state: State,
    /// What this run holds of the networks; given back when it ends.
    pub endpoints: Vec<crate::networks::Endpoint>,
    pub health: Option<HealthRun>,
    /// It is being removed together with its anonymous volumes.
    pub volumes_go: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthRun {
    pub health: Health,
    /// The last five.
    pub log: VecDeque<HealthcheckResult>,
}

/// `--label` or `--annotation` of this name and `true`: restart the container when its health check fails.
pub const RESTART_UNHEALTHY: &str = "shoal.restart-unhealthy";

const CONFIG: &str = "config.json";
const STATE: &str = "state.json";
pub const EXIT: &str = "exit.json";

impl Record {
    pub fn rules(&self) -> Rules {
        let policy = &self.host.restart_policy;
        Rules {
            policy: Policy::parse(&policy.name, policy.maximum_retry_count).unwrap_or_default(),
            auto_remove: self.host.auto_remove,
            stop_signal: self.stop_signal,
            restart_unhealthy: self.asks_for(RESTART_UNHEALTHY),
        }
    }

    /// Whether a label or an annotation of this name says so.
    fn asks_for(&self, key: &str) -> bool {
        let said = self
            .host
            .annotations
            .get(key)
            .or_else(|| self.config.labels.get(key));
        said.is_some_and(|value| matches!(value.as_str(), "true" | "1"))
    }

    pub fn log_path(&self, dir: &Path) -> PathBuf {
        dir.join(format!("{}-json.log", self.id))
    }

    /// What `docker logs` reads: the file and its format. `None` where the driver keeps nothing here.
    pub fn readable_log(&self, dir: &Path) -> Option<(PathBuf, Format)> {
        crate::logging::readable(self, dir)
    }

    pub fn save(&self, dir: &Path) -> io::Result<()> {
        self.ready(dir)?.put()
    }

    /// To be put in its place when what it says has come about.
    pub fn ready(&self, dir: &Path) -> io::Result<Ready> {
        Ready::write(dir, CONFIG, &serde_json::to_vec(self)?)
    }

    /// The first time, into a directory that was just made for it.
    pub fn found(&self, dir: &Path) -> io::Result<()> {
        files::found(dir, CONFIG, &serde_json::to_vec(self)?)
    }

    /// `None` when there is none, or one whose contents never reached the disk: nobody was told of it.
    pub fn load(dir: &Path) -> io::Result<Option<Record>> {
        match files::read(&dir.join(CONFIG))? {
            Some(bytes) if bytes.iter().any(|b| *b != 0) => Ok(Some(serde_json::from_slice(&bytes)?)),
            _ => Ok(None),
        }
    }
}

impl Run {
    pub fn save(&self, dir: &Path) -> io::Result<()> {
        files::replace_json(dir, STATE, self, Durability::Written)
    }

    pub fn load(dir: &Path) -> io::Result<Option<Run>> {
        files::read_json(&dir.join(STATE))
    }
}
