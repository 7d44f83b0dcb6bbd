//! `docker pause` and `docker unpause`.

use super::Containers;
use super::actor::Input;
use crate::error::{Result, conflict, system};
use shoal_node_core_host::lifecycle::Refusal;

impl Containers {
    pub async fn pause(&self, reference: &str) -> Result<()> {
        self.pause_to(reference, false).await
    }

    /// `to_read`: for the time of a commit only, so the next daemon resumes it if this one does not live to.
    pub(crate) async fn pause_to(&self, reference: &str, to_read: bool) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        let id = handle.id();
        match handle.ask(|reply| Input::Pause { to_read, reply }).await? {
            Ok(()) => Ok(()),
            Err(Refusal::Paused) => Err(conflict(format!("Container {id} is already paused"))),
            Err(Refusal::Restarting) => Err(conflict(format!(
                "Container {id} is restarting, wait until the container is running"
            ))),
            Err(_) => Err(conflict(format!("container {id} is not running"))),
        }
    }

    pub async fn unpause(&self, reference: &str) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        match handle.ask(Input::Unpause).await? {
            Ok(()) => Ok(()),
            // Docker's definition has no conflict here.
            Err(_) => Err(system(format!("Container {} is not paused", handle.id()))),
        }
    }
}
