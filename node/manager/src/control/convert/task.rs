//! `/tasks`.

use super::service::{ports, task_spec};
use super::{annotations, meta, timestamp};
use shoal_api_backend::Result;
use shoal_api_types::swarm as api;
use shoal_raft_consensus::State;
use shoal_raft_objects::{NodeId, Task, TaskState};

pub fn task(state: &State, task: &Task) -> Result<api::Task> {
    // A task that nobody has taken up yet is shown with the word for what it waits for.
    let status = &task.status;
    Ok(api::Task {
        id: task.id.to_string(),
        meta: meta(&task.meta),
        annotations: annotations(&task.annotations),
        spec: task_spec(&task.spec)?,
        service_id: task.service_id.to_string(),
        slot: i64::try_from(task.slot).unwrap_or(i64::MAX),
        node_id: task.node_id.to_string(),
        status: api::TaskStatus {
            timestamp: timestamp(status.timestamp),
            state: status.state.name().to_owned(),
            message: message(state, task),
            err: status.err.clone(),
            container_status: status
                .container
                .as_ref()
                .map(|container| api::ContainerStatus {
                    container_id: container.container_id.clone(),
                    pid: container.pid.into(),
                    exit_code: container.exit_code.into(),
                })
                .or_else(|| (status.state >= TaskState::Starting).then(api::ContainerStatus::default)),
            port_status: api::PortStatus {
                ports: ports(&status.ports),
            },
        },
        desired_state: task.desired.name().to_owned(),
        networks_attachments: attachments(state, task),
        generic_resources: Default::default(),
        job_iteration: task.job_iteration.map(|index| api::Version { index }),
        volumes: Default::default(),
    })
}

/// What its node says of it, and whether clients may have been sent to it after its end.
fn message(state: &State, task: &Task) -> String {
    let said = &task.status.message;
    if task.unheard.is_empty() {
        return said.clone();
    }
    let name = |id: &NodeId| {
        let node = state.node(id);
        node.map_or_else(|| id.to_string(), |node| node.description.hostname.clone())
    };
    let nodes: Vec<String> = task.unheard.iter().map(name).collect();
    let nodes = nodes.join(", ");
    format!("{said} (stopped before it was acknowledged that nothing more is sent to it: {nodes})")
}

fn attachments(state: &State, task: &Task) -> shoal_api_types::Slice<api::NetworkAttachment> {
    let places: Vec<_> = task
        .networks
        .iter()
        .map(|place| {
            let network = state.network(&place.network);
            let six = network.and_then(|network| network.six_of(place));
            let addresses = std::iter::once(format!("{}/{}", place.address, place.prefix_len))
                .chain(six.map(|(address, length)| format!("{address}/{length}")));
            api::NetworkAttachment {
                network: network
                    .map(|network| super::network::attached(network))
                    .unwrap_or_default(),
                addresses: shoal_api_types::Slice(Some(addresses.collect())),
            }
        })
        .collect();
    if places.is_empty() {
        return Default::default();
    }
    shoal_api_types::Slice(Some(places))
}
