//! `docker rm`.

use super::Containers;
use super::actor::Input;
use crate::error::{Result, conflict, invalid};
use shoal_api_backend::RemoveContainer;
use shoal_node_core_host::lifecycle::{Phase, Refusal};

impl Containers {
    pub async fn remove(&self, reference: &str, options: RemoveContainer) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        if options.link {
            return Err(invalid("legacy links are not supported"));
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
}
