//! Health of a task's container: learned from the engine's events, looked at once more when they are silent.

use super::SECOND_LOOK;
use futures_util::StreamExt;
use shoal_api_backend::{BoxStream, Containers, Events, Result, System};
use shoal_api_types::Filters;
use shoal_api_types::container::ContainerInspect;
use shoal_api_types::event::EventMessage;
use shoal_node_agent::TaskError;

type Stream = BoxStream<Result<EventMessage>>;

/// It has a health check, its service's own or its image's.
pub fn is_checked(container: &ContainerInspect) -> bool {
    let health = container.state.health.as_ref();
    health.is_some_and(|health| !matches!(health.status.as_str(), "" | "none"))
}

/// Subscribes; must come before the first look, so that nothing is missed.
async fn watch(system: &dyn System, name: &str) -> Result<Stream, TaskError> {
    let mut filters = Filters::new();
    filters.add("container", name);
    system
        .events(Events {
            filters,
            ..Events::default()
        })
        .await
        .map_err(|e| TaskError::Temporary(format!("watching the health of {name}: {e}")))
}

/// Returns when the container is healthy; an error when it became unhealthy or ended first.
pub async fn await_healthy(
    system: &dyn System,
    containers: &dyn Containers,
    name: &str,
) -> Result<(), TaskError> {
    let mut events = watch(system, name).await?;
    loop {
        let state = containers
            .inspect(name, false)
            .await
            .map_err(|e| TaskError::Fatal(e.to_string()))?
            .state;
        match state.health.as_ref().map(|h| h.status.as_str()) {
            Some("healthy") | None | Some("none") => return Ok(()),
            Some("unhealthy") => return Err(TaskError::Fatal("unhealthy container".into())),
            _ => {}
        }
        if !state.running {
            return Err(TaskError::Fatal(format!(
                "task: non-zero exit ({})",
                state.exit_code
            )));
        }
        // Any event of the container is a reason to look; silence is one too.
        let _ = tokio::time::timeout(SECOND_LOOK, events.next()).await;
    }
}

/// Returns when the container has become unhealthy; never if it does not.
pub async fn await_unhealthy(system: &dyn System, containers: &dyn Containers, name: &str) {
    let Ok(mut events) = watch(system, name).await else {
        return std::future::pending().await;
    };
    loop {
        match containers.inspect(name, false).await {
            Ok(c) if c.state.health.as_ref().is_some_and(|h| h.status == "unhealthy") => return,
            Ok(_) => {}
            Err(_) => return std::future::pending().await,
        }
        let _ = tokio::time::timeout(SECOND_LOOK * 12, events.next()).await;
    }
}
