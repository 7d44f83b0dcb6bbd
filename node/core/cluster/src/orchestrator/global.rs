//! A global service: one task on every node that qualifies.

use super::slot::{self, Slot};
use super::{Scene, current, restart, update};
use crate::constraint;
use crate::scheduler::filter::platform;
use crate::step::earliest;
use crate::task::{self, is_lost, is_wanted, shut_down};
use shoal_raft_objects::{Availability, Membership, Node, NodeId, Service, TaskState, Time};
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn reconcile(scene: &mut Scene<'_, '_>, service: &Service) -> Option<Time> {
    update::count_failures(scene, service);
    let service = &*current(scene, service);
    let nodes: BTreeMap<NodeId, Arc<Node>> = scene
        .draft
        .state()
        .nodes()
        .iter()
        .map(|node| (node.id.clone(), node.clone()))
        .collect();
    let slots = slot::group(scene.tasks(&service.id));
    let mut occupied = Vec::new();
    for slot in &slots {
        let node = nodes.get(&slot.node).map(|n| &**n);
        match node {
            Some(node) if qualifies(service, node) => {
                if slot.counts(service) {
                    occupied.push(slot.node.clone());
                    restart::replace_ended(scene, service, slot);
                }
            }
            Some(node) if constraint::satisfies(node, &service.spec.task_template) => {
                // Down or drained, not unfit: what it ran stays visible as history.
                end(scene, slot, TaskState::Shutdown);
            }
            _ => end(scene, slot, TaskState::Remove),
        }
    }
    for node in nodes.values() {
        let new_here = node.spec.availability == Availability::Active && qualifies(service, node);
        if new_here && !occupied.contains(&node.id) {
            let mut new = task::new(service, 0, node.id.clone(), scene.now(), scene.ids);
            let before = scene.tasks(&service.id);
            if before.iter().any(|old| restart::is_in_the_way(scene, &new, old)) {
                new.desired = TaskState::Ready;
            }
            scene.draft.create_task(new);
        }
    }
    let slots: Vec<_> = slot::group(scene.tasks(&service.id))
        .into_iter()
        .filter(|slot| {
            // A paused node keeps what it has, outdated or not.
            nodes.get(&slot.node).is_some_and(|node| {
                node.spec.availability == Availability::Active && qualifies(service, node)
            }) && slot.counts(service)
        })
        .collect();
    let update_at = update::advance(scene, service, &slots);
    let restart_at = restart::promote(scene, &scene.tasks(&service.id));
    earliest(update_at, restart_at)
}

/// Could run a task of the service, or keep the one that it has.
pub(crate) fn qualifies(service: &Service, node: &Node) -> bool {
    node.spec.availability != Availability::Drain
        && node.membership == Membership::Accepted
        && !is_lost(Some(node))
        && constraint::satisfies(node, &service.spec.task_template)
        && platform::supports(node, &service.spec.task_template)
}

fn end(scene: &mut Scene<'_, '_>, slot: &Slot, desired: TaskState) {
    for task in &slot.tasks {
        if is_wanted(task) || (desired == TaskState::Remove && task.desired < desired) {
            shut_down(scene.draft, task, desired);
        }
    }
}
