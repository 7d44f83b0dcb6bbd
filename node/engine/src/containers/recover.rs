//! The containers of a starting daemon.

use super::actor::{Input, Seed, spawn};
use super::kit::Kit;
use super::record::{Record, Run};
use super::{Containers, Handle};
use crate::error::{Result, io};
use crate::files;
use shoal_node_drivers_shim::{Found, Shim};
use std::path::Path;
use std::sync::Arc;

/// How many are looked into at the same time.
const TOGETHER: usize = 64;

impl Containers {
    /// Reads every container's directory, takes over what runs, clears away what was half made. When this returns every
    /// container is known and in its true state; restart policies come after, with `boot`.
    pub(crate) async fn recover(&self) -> Result<()> {
        let kit = &self.kit;
        let seeds = {
            let (root, tmp) = (kit.containers_root.clone(), kit.home_tmp.clone());
            crate::launch::blocking(move || read(&root, &tmp)).await?
        };
        let mut handles = Vec::new();
        for seed in seeds {
            let (id, name) = (seed.record.id.clone(), seed.record.name.clone());
            if let Err(error) = kit.registry.reserve(&name, &id) {
                tracing::error!(%id, %name, %error, "two containers of one name: this one goes by its id");
            }
            let handle = spawn(kit, seed);
            kit.registry.insert(handle.clone());
            handles.push(handle);
        }
        for some in handles.chunks(TOGETHER) {
            let waits = some.iter().map(|handle: &Handle| handle.ask(Input::Recover));
            for (handle, done) in some.iter().zip(futures_util::future::join_all(waits).await) {
                if let Err(error) = done {
                    tracing::error!(id = handle.id(), %error, "a container could not be recovered");
                }
            }
        }
        self.clear_strays().await;
        Ok(())
    }

    /// Restart policies, and the end of auto-removed containers whose process ended meanwhile.
    pub(crate) async fn boot(&self) {
        for handle in self.kit.registry.all() {
            handle.tell(Input::Boot).await;
        }
    }

    /// What belongs to no container: run directories (with a shim, perhaps) and layers.
    async fn clear_strays(&self) {
        let kit = &self.kit;
        let known = |name: &str| kit.registry.get(name).is_ok_and(|h| h.id() == name);
        let entries = std::fs::read_dir(&kit.run_root).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name().to_string_lossy().into_owned();
            if !known(&name) {
                end(kit, &entry.path(), &name).await;
            }
        }
        for key in kit.images.snapshots() {
            // Image mounts have layers of their own, named after their container.
            if !known(key.split('.').next().unwrap_or(&key))
                && let Err(error) = kit.images.discard(&key).await
            {
                tracing::warn!(key, %error, "a layer of no container stays");
            }
        }
    }
}

/// Kills a container that has no configuration and clears its run directory.
async fn end(kit: &Arc<Kit>, run_dir: &Path, id: &str) {
    tracing::warn!(id, "a process of a container that does not exist is ended");
    if let Ok(Found::Running { shim, .. }) = Shim::adopt(run_dir, &run_dir.join("exit.json")).await {
        let _ = shim.signal(9).await;
        let _ = tokio::time::timeout(std::time::Duration::from_secs(5), shim.exited()).await;
    }
    let record = Record {
        id: id.into(),
        ..Record::default()
    };
    if let Ok(cgroup) = kit.cgroup(&record) {
        let _ = cgroup.kill();
        let _ = cgroup.delete();
    }
    if let Err(error) = files::remove_tree(run_dir) {
        tracing::warn!(id, %error, "a stray run directory stays");
    }
}

fn read(root: &Path, tmp: &Path) -> Result<Vec<Seed>> {
    for entry in std::fs::read_dir(tmp)
        .map_err(io("list", tmp.display()))?
        .flatten()
    {
        let _ = files::remove_tree(&entry.path());
        let _ = files::remove_file(&entry.path());
    }
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root)
        .map_err(io("list", root.display()))?
        .flatten()
    {
        let dir = entry.path();
        match Record::load(&dir) {
            Ok(Some(record)) if entry.file_name().to_str() == Some(&record.id) => {
                let run = match Run::load(&dir) {
                    Ok(run) => run.unwrap_or_default(),
                    Err(error) => {
                        tracing::warn!(id = %record.id, %error, "a container's last state cannot be read");
                        Run::default()
                    }
                };
                out.push(Seed { record, run, dir });
            }
            // Its create was cut short: nobody was told of it.
            Ok(None) => {
                if let Err(error) = files::remove_tree(&dir) {
                    tracing::warn!(path = %dir.display(), %error, "a half-made container stays");
                }
            }
            Ok(Some(_)) => {
                tracing::error!(path = %dir.display(), "a configuration lies in another container's place")
            }
            Err(error) => {
                tracing::error!(path = %dir.display(), %error, "a container's configuration cannot be read")
            }
        }
    }
    Ok(out)
}
