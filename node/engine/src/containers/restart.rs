//! `docker restart`.

use super::Containers;
use super::actor::Input;
use super::stop::{parse, timeout_ms};
use crate::error::{Result, conflict};
use shoal_api_backend::StopContainer;
use shoal_node_core_host::lifecycle::{Refusal, Then};

impl Containers {
    pub async fn restart(&self, reference: &str, options: StopContainer) -> Result<()> {
        let handle = self.kit.registry.get(reference)?;
        let signal = options
            .signal
            .as_deref()
            .filter(|s| !s.is_empty())
            .map(parse)
            .transpose()?;
        let timeout_ms = timeout_ms(&handle.view().record, options.timeout);
        let stop = |reply| Input::Stop {
            signal,
            timeout_ms,
            then: Then::Start,
            reply,
        };
        let verdict = handle.ask(stop).await.map_err(|e| crate::error::Error {
            message: format!("Cannot restart container {reference}: {}", e.message),
            ..e
        })?;
        match verdict {
            Ok(()) => Ok(()),
            Err(Refusal::Removing) => Err(conflict(format!(
                "Cannot restart container {reference}: container is marked for removal and cannot be started"
            ))),
            Err(_) => Err(conflict(format!(
                "Cannot restart container {reference}: it is not in a state to be started"
            ))),
        }
    }
}
