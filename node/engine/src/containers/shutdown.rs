//! The containers of a daemon that goes down.

use super::Containers;
use super::actor::Input;
use super::stop::timeout_ms;
use shoal_node_core_host::lifecycle::Then;

impl Containers {
    /// Stops every container, all at the same time, each by its own signal and timeout, none for longer than
    /// `seconds_max`. Policies apply again at the next start.
    pub(crate) async fn stop_all(&self, seconds_max: Option<u64>) {
        let stops = self
            .kit
            .registry
            .all()
            .into_iter()
            .filter(|h| h.view().phase().counts_as_running())
            .map(|handle| async move {
                let own = timeout_ms(&handle.view().record, None);
                let limit = seconds_max.map(|s| s.saturating_mul(1000));
                let timeout_ms = own.into_iter().chain(limit).min();
                let stop = |reply| Input::Stop {
                    signal: None,
                    timeout_ms,
                    then: Then::Shutdown,
                    reply,
                };
                if let Err(error) = handle.ask(stop).await {
                    tracing::warn!(id = handle.id(), %error, "a container could not be stopped");
                }
            });
        futures_util::future::join_all(stops).await;
    }
}
