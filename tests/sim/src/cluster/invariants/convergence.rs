//! Once nothing goes wrong any more, what is wanted is what is: everywhere the same, and really running.

use crate::cluster::world::{Inside, applied};
use shoal_raft_objects::service::ModeKind;
use shoal_raft_objects::{TaskId, TaskState};
use std::collections::BTreeSet;

pub fn check(inside: &Inside) -> Result<(), String> {
    let leader = inside.leader().ok_or("nobody leads")?;
    let leading = leader.up.as_ref().ok_or("nobody leads")?;
    let members = leading.consensus.members();
    let reference = applied(leading);
    for member in members.iter().filter(|m| m.votes) {
        let manager = inside.managers.get(&member.peer.id.0);
        let Some(up) = manager.and_then(|m| m.up.as_ref()) else {
            return Err(format!("manager {} does not run", member.peer.id));
        };
        if applied(up) != reference {
            return Err(format!(
                "manager {} is at {:?}, the leader at {reference:?}",
                member.peer.id.0,
                applied(up)
            ));
        }
    }
    let state = leading.consensus.state();
    let mut expected: BTreeSet<TaskId> = BTreeSet::new();
    let nodes = state.nodes().iter().filter(|n| n.is_schedulable()).count();
    for service in state.services().iter() {
        let wanted = match service.spec.mode.kind() {
            ModeKind::Replicated { replicas } => replicas as usize,
            ModeKind::Global => nodes,
            _ => continue,
        };
        let all: Vec<_> = state
            .tasks_of_service(&service.id)
            .filter(|t| t.desired == TaskState::Running && t.status.state == TaskState::Running)
            .collect();
        let unplaced = state.tasks_of_service(&service.id).any(|t| {
            t.desired == TaskState::Running
                && t.status.state == TaskState::Pending
                && !t.status.err.is_empty()
        });
        // The reservations may ask for more than there is; the scheduler has said so.
        if all.len() != wanted && !unplaced {
            let tasks = state.tasks_of_service(&service.id).map(|t| {
                let (state, desired) = (t.status.state.name(), t.desired.name());
                let (slot, node, err) = (t.slot, &t.node_id, &t.status.err);
                format!(
                    "{slot} v{} on {node}: {state}, wanted {desired} {err}",
                    t.spec_version
                )
            });
            return Err(format!(
                "{} (v{}) runs {} of {wanted} tasks: {:#?}, {:?}, {:#?}",
                service.spec.name,
                service.spec_version,
                all.len(),
                tasks.collect::<Vec<_>>(),
                service.update_status,
                inside.counts,
            ));
        }
        expected.extend(all.iter().map(|t| t.id.clone()));
    }
    let running: BTreeSet<TaskId> = inside
        .agents
        .values()
        .flat_map(|a| a.running().cloned())
        .collect();
    if let Some(id) = running.symmetric_difference(&expected).next() {
        let task = state.task(id);
        return Err(format!(
            "task {id} runs: {}, is wanted: {} ({:?})",
            running.contains(id),
            expected.contains(id),
            task.map(|t| (&t.node_id, t.status.state, t.desired))
        ));
    }
    Ok(())
}
