//! `docker rm`.

use super::Containers;
use super::Handle;
use super::actor::Input;
use super::registry::split_linked;
use crate::error::{Result, conflict};
use shoal_api_backend::RemoveContainer;
use shoal_node_core_host::lifecycle::{Phase, Refusal};

impl Containers {
    pub async fn remove(&self, reference: &str, options: RemoveContainer) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        if options.link {
            return self.unlink(&handle, reference).await;
        }
        let id = handle.id();
        let busy = || conflict(format!("removal of container {reference} is already in progress"));
        if handle.view().phase() == Phase::Removing {
            return Err(busy());
        }
        let (force, volumes) = (options.force, options.volumes);
        let verdict = match handle
            .ask(|reply| Input::Remove {
                force,
                volumes,
                reply,
            })
            .await
        {
            Ok(verdict) => verdict,
            // Somebody else's removal came first, and is done.
            Err(_) if handle.view().gone => return Ok(()),
            Err(e) => return Err(e),
        };
        match verdict {
            Ok(()) => Ok(()),
            Err(Refusal::RemovePaused) => Err(conflict(format!(
                "cannot remove container {reference:?}: container is paused and must be unpaused first"
            ))),
            Err(Refusal::RemoveRunning) if handle.view().phase() == Phase::Restarting => {
                Err(conflict(format!(
                    "cannot remove container {reference:?}: container is restarting: stop the container before removing or force remove"
                )))
            }
            Err(Refusal::RemoveRunning) => Err(conflict(format!(
                "cannot remove container {reference:?}: container is running: stop the container before removing or force remove"
            ))),
            Err(_) => {
                tracing::debug!(id, "a second removal while the first is under way");
                Err(busy())
            }
        }
    }

    /// `--link`: not the container goes but what another one calls it, which is what the reference must be.
    async fn unlink(&self, linked: &Handle, reference: &str) -> Result<()> {
        let Some((from, alias)) = split_linked(reference) else {
            return Err(conflict(
                "Conflict, cannot remove the default link name of the container",
            ));
        };
        let from = self.kit.registry.get(from)?;
        tracing::debug!(from = from.id(), to = linked.id(), alias, "a link is taken away");
        let alias = alias.to_owned();
        from.ask(|reply| Input::Unlink { alias, reply }).await
    }
}
