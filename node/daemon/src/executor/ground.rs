//! Cluster networks as the agent's tasks need them.

use super::{TaskRunner, fatal};
use shoal_api_backend::{Class, Containers, Networks};
use shoal_api_types::network::NetworkCreateRequest;
use shoal_node_agent::TaskError;
use shoal_node_core_host::overlay::News;
use shoal_node_engine::{GATEWAY_BRIDGE, Laid, OverlayNetworks};
use shoal_raft_objects::{Attachment, Task};
use std::net::Ipv6Addr;
use std::time::Duration;
use tokio::time::Instant;

/// How long a task waits for its networks on this host, and how often they are looked for.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// What cannot be had may only be late: a node's address that is not known yet.
const DOUBT: Duration = Duration::from_secs(2);
/// Nothing new is sent to a task that is to be stopped; what was begun has so long to end.
const EXCHANGE: Duration = Duration::from_millis(300);

/// Where a task's container is put.
#[derive(Default)]
pub struct Places {
    /// By network name, with the IPv6 address where the network has IPv6.
    pub places: Vec<(String, Attachment, Option<Ipv6Addr>)>,
    /// The bridge that leads out, where there is a way out.
    pub gateway: Option<&'static str>,
}

pub async fn lay(overlays: &OverlayNetworks, news: News) -> Result<(), TaskError> {
    let overlays = overlays.clone();
    let leaves = matches!(&news, News::Whole(node, _) if node.is_empty());
    let lay = move || {
        overlays.lay(news)?;
        if leaves { overlays.forget_key() } else { Ok(()) }
    };
    let done = tokio::task::spawn_blocking(lay).await;
    done.map_err(fatal)?
        .map_err(|e| TaskError::Temporary(e.to_string()))
}

/// Waits until the task's networks are there.
pub async fn places(runner: &TaskRunner, task: &Task) -> Result<Places, TaskError> {
    let mut found = Places::default();
    let mut laid = Vec::new();
    for place in &task.networks {
        let network = wait(&runner.overlays, place.network.as_str()).await?;
        let six = network.six(place);
        found.places.push((network.name.clone(), place.clone(), six));
        laid.push(network);
    }
    let users = || laid.iter().filter(|network| !network.ingress);
    // A task that is on internal networks alone has no way out; one that is only published has.
    if !laid.is_empty() && (users().count() == 0 || users().any(|network| !network.internal)) {
        ensure_gateway(runner.networks.as_ref()).await?;
        found.gateway = Some(GATEWAY_BRIDGE);
    }
    Ok(found)
}

/// Returns once containers can be put on the network.
pub async fn wait(overlays: &OverlayNetworks, network: &str) -> Result<Laid, TaskError> {
    let since = Instant::now();
    loop {
        match overlays.laid(network) {
            Ok(Some(network)) => return Ok(network),
            Err(error) if since.elapsed() >= DOUBT => return Err(fatal(error)),
            Ok(None) if since.elapsed() >= PATIENCE => {
                return Err(TaskError::Temporary(format!(
                    "network {network} is not there on this node yet"
                )));
            }
            _ => tokio::time::sleep(LOOK_EVERY).await,
        }
    }
}

/// Docker's bridge for the way out of cluster networks: its containers do not see each other.
pub async fn ensure_gateway(networks: &dyn Networks) -> Result<(), TaskError> {
    if networks.inspect(GATEWAY_BRIDGE, false, "local").await.is_ok() {
        return Ok(());
    }
    let options = [
        ("com.docker.network.bridge.enable_icc", "false"),
        ("com.docker.network.bridge.enable_ip_masquerade", "true"),
    ];
    let request = NetworkCreateRequest {
        name: GATEWAY_BRIDGE.into(),
        driver: "bridge".into(),
        options: options
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into_iter()
            .collect(),
        ..NetworkCreateRequest::default()
    };
    match networks.create(request).await {
        Ok(_) => Ok(()),
        // Another task was faster.
        Err(e) if e.class == Class::Conflict => Ok(()),
        Err(e) => Err(fatal(e)),
    }
}

/// The task's exchanges under way may end before it is told to.
pub async fn finish_exchanges(containers: &dyn Containers, task: &Task) {
    if task.networks.is_empty() {
        return;
    }
    let running = containers.inspect(&task.name(), false).await;
    if running.is_ok_and(|c| c.state.running) {
        tokio::time::sleep(EXCHANGE).await;
    }
}
