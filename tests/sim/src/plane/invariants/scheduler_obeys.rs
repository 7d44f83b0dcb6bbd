//! A task is given to a node only if, in the very state it is given in, the node may have it.

use super::{Verdict, changed};
use shoal_node_core_cluster::constraint;
use shoal_raft_objects::{Task, TaskState};
use shoal_raft_store::State;

pub fn check(before: &State, after: &State) -> Verdict {
    for (old, new) in changed(before, after) {
        let given = new.status.state == TaskState::Assigned
            && old.is_none_or(|old| old.status.state < TaskState::Assigned);
        if given {
            one(before, after, new)
                .map_err(|why| format!("{} was given to {}: {why}", new.id, new.node_id))?;
        }
    }
    Ok(())
}

fn one(before: &State, after: &State, task: &Task) -> Verdict {
    let Some(node) = after.node(&task.node_id) else {
        return Err("no such node".into());
    };
    if !constraint::satisfies(node, &task.spec) {
        return Err("it does not satisfy the constraints".into());
    }
    // A drain or a death may be applied between decision and proposal; before the entry it must have been fine.
    let schedulable = |state: &State| state.node(&task.node_id).is_some_and(|n| n.is_schedulable());
    if !schedulable(after) && schedulable(before) {
        return Err("it takes no tasks".into());
    }
    let holders: Vec<_> = after
        .tasks_of_node(&task.node_id)
        .filter(|t| t.status.state >= TaskState::Assigned && !t.status.state.is_terminal())
        .collect();
    let reserved = |pick: fn(&Task) -> i64| holders.iter().map(|t| pick(t)).sum::<i64>();
    if cpus(task) > 0 && reserved(cpus) > node.description.nano_cpus {
        return Err("its processors are overcommitted".into());
    }
    if memory(task) > 0 && reserved(memory) > node.description.memory_bytes {
        return Err("its memory is overcommitted".into());
    }
    for port in task
        .ports
        .iter()
        .filter(|p| p.publish_mode == "host" && p.published_port != 0)
    {
        let users = holders
            .iter()
            .filter(|t| {
                t.ports.iter().any(|p| {
                    (&p.protocol, p.published_port, &p.publish_mode)
                        == (&port.protocol, port.published_port, &port.publish_mode)
                })
            })
            .count();
        if users > 1 {
            return Err(format!("port {} is taken", port.published_port));
        }
    }
    let max = task.spec.placement.as_ref().map_or(0, |p| p.max_replicas);
    let replicas = holders
        .iter()
        .filter(|t| t.service_id == task.service_id && t.desired <= TaskState::Running)
        .count() as u64;
    if max > 0 && replicas > max {
        return Err(format!("it has {replicas} replicas, at most {max} may be there"));
    }
    Ok(())
}

fn cpus(task: &Task) -> i64 {
    reservation(task).map_or(0, |r| r.nano_cpus)
}

fn memory(task: &Task) -> i64 {
    reservation(task).map_or(0, |r| r.memory_bytes)
}

fn reservation(task: &Task) -> Option<&shoal_raft_objects::service::Reservations> {
    task.spec.resources.as_ref()?.reservations.as_ref()
}
