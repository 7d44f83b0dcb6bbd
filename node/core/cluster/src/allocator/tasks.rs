//! Places of tasks on networks, given before a task gets its node.

use super::addresses::Pools;
use super::services::{named, networks};
use crate::draft::Draft;
use crate::memory::Memory;
use crate::task::is_wanted;
use shoal_raft_objects::{Attached, Attachment, Service, Task, TaskId, TaskState};
use shoal_raft_store::State;

/// A task of this service waits for its places on networks before it is scheduled.
pub(crate) fn needs_places(service: &Service) -> bool {
    let published = service
        .spec
        .endpoint_spec
        .as_ref()
        .is_some_and(|e| e.has_ingress());
    published || named(service).next().is_some()
}

/// Gives places to every task that waits for them; the others learn why not. Tried again whenever something changes:
/// an address that is given up is found at once.
pub(crate) fn attach(draft: &mut Draft<'_>, waiting: &[TaskId], pools: &mut Pools<'_>) {
    let changed: Vec<TaskId> = draft.changed_tasks().map(|t| t.id.clone()).collect();
    let old = waiting.iter().filter(|id| !changed.contains(id));
    let ids: Vec<TaskId> = old.chain(&changed).cloned().collect();
    for id in ids {
        let Some(task) = draft.state().task(&id).cloned() else {
            continue;
        };
        if task.status.state != TaskState::New || !is_wanted(&task) {
            continue;
        }
        let mut task = Task::clone(&task);
        let attached = task.attached.clone();
        let given = match &attached {
            Some(attached) => attachment(draft.state(), pools, &task, attached).map(|place| vec![place]),
            None => places(draft.state(), pools, &task),
        };
        match given {
            // The container is there already; from now on it is found.
            Ok(places) if attached.is_some() => {
                task.networks = places;
                task.status.state = TaskState::Running;
                task.status.message = "attached".into();
                task.status.err.clear();
            }
            Ok(places) => {
                task.networks = places;
                task.status.state = TaskState::Pending;
                task.status.message = "pending task scheduling".into();
                task.status.err.clear();
            }
            Err(error) if task.status.err == error => continue,
            Err(error) => task.status.err = error,
        }
        task.status.timestamp = draft.now;
        draft.update_task(task);
    }
}

fn places(state: &State, pools: &mut Pools<'_>, task: &Task) -> Result<Vec<Attachment>, String> {
    let service = state
        .service(&task.service_id)
        .ok_or("the service is gone before its task had an address")?;
    // A service that did not get its own addresses cannot be reached as it should.
    if !service.endpoint.err.is_empty() {
        return Err(service.endpoint.err.clone());
    }
    let mut places: Vec<Attachment> = Vec::new();
    for (network, aliases) in networks(state, service)? {
        match pools.take(state, &network, task.id.as_str()) {
            Ok(place) => places.push(Attachment { aliases, ..place }),
            Err(error) => {
                places.iter().for_each(|place| pools.give_back(place));
                return Err(error);
            }
        }
    }
    Ok(places)
}

/// The place of a user's own container.
fn attachment(
    state: &State,
    pools: &mut Pools<'_>,
    task: &Task,
    attached: &Attached,
) -> Result<Attachment, String> {
    let network = state
        .network(&attached.network)
        .ok_or_else(|| format!("network {} not found", attached.network))?;
    let place = match attached.address {
        Some(address) => pools.take_this(state, network, task.id.as_str(), address),
        None => pools.take(state, network, task.id.as_str()),
    }?;
    let place = match attached.address6 {
        Some(address) => pools.with_six(state, network, place, address)?,
        None => place,
    };
    Ok(Attachment {
        aliases: attached.aliases.clone(),
        ..place
    })
}

impl Memory {
    /// Tasks without a place on any node yet, for [`attach`].
    pub(crate) fn waiting_for_places(&self, state: &State) -> Vec<TaskId> {
        let new = |id: &&TaskId| state.task(id).is_some_and(|t| t.status.state == TaskState::New);
        self.waiting.iter().filter(new).cloned().collect()
    }
}
