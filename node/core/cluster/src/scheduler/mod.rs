//! Which node runs which task.
//!
//! Tasks of one service and spec are placed as a group: every node passes the [`filter`]s once, then the best node is
//! taken again and again from a heap. Best means: no streak of recent failures of this service, then the fewest of its
//! tasks, then the fewest tasks at all, then that it has the image; spread preferences come before that. Whatever is in the view is placed at
//! once; nothing waits for more to come.

mod failures;
pub mod filter;
mod fleet;
mod spread;

pub use failures::Failures;
pub use fleet::{Fleet, Load};

use crate::draft::Draft;
use crate::memory::Memory;
use crate::task::is_wanted;
use filter::Pipeline;
use shoal_raft_objects::{Node, ServiceId, Task, TaskState};
use spread::{Candidate, Tree};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Places every task that has no place yet and can have one; the others learn why not.
pub(crate) fn place(draft: &mut Draft<'_>, memory: &mut Memory) {
    let groups = waiting(draft, memory);
    if groups.is_empty() {
        return;
    }
    let nodes: Vec<Arc<Node>> = draft.state().nodes().iter().cloned().collect();
    memory.failures.forget_older(draft.now);
    memory.fleet.refresh(draft.state(), &nodes);
    memory.fleet.overlay(draft);
    for ((service, _), tasks) in groups {
        let (bound, free): (Vec<_>, Vec<_>) = tasks.into_iter().partition(|t| !t.node_id.is_empty());
        place_bound(draft, memory, &bound);
        place_free(draft, memory, &nodes, &service, &free);
    }
    memory.fleet.drop_overlay();
}

type Groups = BTreeMap<(ServiceId, u64), Vec<Arc<Task>>>;

fn waiting(draft: &Draft<'_>, memory: &Memory) -> Groups {
    let mut groups = Groups::new();
    let mut add = |task: &Arc<Task>| {
        if task.status.state == TaskState::Pending && is_wanted(task) {
            let key = (task.service_id.clone(), task.spec_version);
            groups.entry(key).or_default().push(task.clone());
        }
    };
    let changed: Vec<_> = draft.changed_tasks().map(|t| t.id.clone()).collect();
    let old = memory.waiting.iter().filter(|id| !changed.contains(id));
    for id in old.chain(&changed) {
        if let Some(task) = draft.state().task(id) {
            add(task);
        }
    }
    // Slots in their order, so that what a user reads is in order too.
    for tasks in groups.values_mut() {
        tasks.sort_by(|a, b| (a.slot, &a.id).cmp(&(b.slot, &b.id)));
    }
    groups
}

/// Tasks of global services have their node already; it only has to let them in.
fn place_bound(draft: &mut Draft<'_>, memory: &mut Memory, tasks: &[Arc<Task>]) {
    for task in tasks {
        let Some(node) = draft.state().node(&task.node_id).cloned() else {
            continue;
        };
        let mut pipeline = Pipeline::new(task);
        let load = memory.fleet.load(&node.id);
        if pipeline.admits(&node, load) {
            assign(draft, memory, task, &node);
        } else {
            refuse(draft, task, &pipeline.explain());
        }
    }
}

fn place_free(
    draft: &mut Draft<'_>,
    memory: &mut Memory,
    nodes: &[Arc<Node>],
    service: &ServiceId,
    tasks: &[Arc<Task>],
) {
    let Some(first) = tasks.first() else {
        return;
    };
    let mut pipeline = Pipeline::new(first);
    let mut tree = Tree::new(first);
    for node in nodes {
        let load = memory.fleet.load(&node.id);
        if pipeline.admits(node, load) {
            let candidate = candidate(memory, service, first, node);
            tree.add(node, candidate);
        }
        tree.count(node, memory.fleet.load(&node.id).of_service(service));
    }
    for task in tasks {
        let node = loop {
            match tree.best() {
                None => break None,
                // Full since it was looked at, by the tasks before this one.
                Some(node) if !pipeline.admits(&node, memory.fleet.load(&node.id)) => tree.drop_best(),
                Some(node) => break Some(node),
            }
        };
        match node {
            Some(node) => {
                assign(draft, memory, task, &node);
                tree.replace_best(candidate(memory, service, task, &node));
            }
            None => refuse(draft, task, &pipeline.explain()),
        }
    }
}

fn candidate(memory: &Memory, service: &ServiceId, task: &Task, node: &Node) -> Candidate {
    let load = memory.fleet.load(&node.id);
    Candidate {
        failures: memory.failures.penalty(&node.id, service, task.spec_version),
        of_service: load.of_service(service),
        total: load.total(),
        lacks_image: image(task).is_some_and(|image| !node.holds_image(image)),
    }
}

fn image(task: &Task) -> Option<&str> {
    Some(&task.spec.container_spec.as_ref()?.image)
}

fn assign(draft: &mut Draft<'_>, memory: &mut Memory, task: &Task, node: &Node) {
    let mut task = task.clone();
    task.node_id = node.id.clone();
    task.status.state = TaskState::Assigned;
    task.status.timestamp = draft.now;
    // Docker's text.
    task.status.message = "scheduler assigned task to node".into();
    task.status.err.clear();
    memory.fleet.occupy(&task);
    draft.update_task(task);
}

/// Says why the task has no node. Written only when the reason changes.
fn refuse(draft: &mut Draft<'_>, task: &Task, explanation: &str) {
    let err = if explanation.is_empty() {
        "no suitable node".to_owned()
    } else {
        format!("no suitable node ({explanation})")
    };
    if task.status.err == err {
        return;
    }
    let mut task = task.clone();
    task.status.err = err;
    task.status.timestamp = draft.now;
    draft.update_task(task);
}
