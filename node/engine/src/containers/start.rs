//! `docker start`.

use super::Containers;
use super::actor::Input;
use crate::error::{Result, conflict, not_modified};
use shoal_node_core_host::lifecycle::Refusal;

impl Containers {
    pub async fn start(&self, reference: &str) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        match handle.ask(Input::Start).await? {
            Ok(()) => Ok(()),
            Err(Refusal::Paused) => Err(conflict("cannot start a paused container, try unpause instead")),
            Err(Refusal::Removing) => Err(conflict("container is marked for removal and cannot be started")),
            Err(_) => Err(not_modified()),
        }
    }
}
