//! A replicated service: so many slots, wherever they fit.

use super::slot::{self, Slot};
use super::{Scene, current, restart, update};
use crate::step::earliest;
use crate::task::{self, shut_down};
use shoal_raft_objects::{NodeId, Service, TaskState, Time};
use std::collections::{BTreeMap, BTreeSet};

pub(crate) fn reconcile(scene: &mut Scene<'_, '_>, service: &Service, replicas: u64) -> Option<Time> {
    update::count_failures(scene, service);
    let service = &*current(scene, service);
    let slots = slot::group(scene.tasks(&service.id));
    let (kept, surplus) = keep(slots, service, replicas);
    for slot in &surplus {
        for task in slot.tasks.iter().filter(|t| t.desired < TaskState::Remove) {
            shut_down(scene.draft, task, TaskState::Remove);
        }
    }
    for slot in &kept {
        restart::replace_ended(scene, service, slot);
    }
    scale_up(scene, service, &kept, replicas);
    let slots: Vec<_> = slot::group(scene.tasks(&service.id))
        .into_iter()
        .filter(|slot| slot.counts(service))
        .collect();
    let update_at = update::advance(scene, service, &slots);
    let restart_at = restart::promote(scene, &scene.tasks(&service.id));
    earliest(update_at, restart_at)
}

/// The slots that stay and those that are too many. Slots that run nothing go first, then those on nodes that have
/// most replicas, so what stays is spread evenly.
fn keep(slots: Vec<Slot>, service: &Service, replicas: u64) -> (Vec<Slot>, Vec<Slot>) {
    let mut counted: Vec<Slot> = slots.into_iter().filter(|slot| slot.counts(service)).collect();
    let replicas = usize::try_from(replicas).unwrap_or(usize::MAX);
    if counted.len() <= replicas {
        return (counted, Vec::new());
    }
    counted.sort_by_key(|slot| (!slot.is_running(), slot.number));
    let mut on_node: BTreeMap<NodeId, usize> = BTreeMap::new();
    let mut ranked: Vec<_> = counted
        .into_iter()
        .map(|slot| {
            let node = slot
                .wanted()
                .next()
                .map(|t| t.node_id.clone())
                .unwrap_or_default();
            let nth = on_node.entry(node).or_default();
            *nth += 1;
            ((!slot.is_running(), *nth, slot.number), slot)
        })
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    let mut slots: Vec<Slot> = ranked.into_iter().map(|(_, slot)| slot).collect();
    let surplus = slots.split_off(replicas);
    (slots, surplus)
}

/// New tasks in the lowest slots that are free.
fn scale_up(scene: &mut Scene<'_, '_>, service: &Service, kept: &[Slot], replicas: u64) {
    let taken: BTreeSet<u64> = kept.iter().map(|slot| slot.number).collect();
    let missing = replicas.saturating_sub(taken.len() as u64);
    let free = (1..).filter(|number| !taken.contains(number));
    for number in free.take(usize::try_from(missing).unwrap_or(usize::MAX)) {
        let mut new = task::new(service, number, NodeId::default(), scene.now(), scene.ids);
        let all = scene.draft.state().tasks_of_slot(&service.id, number);
        // What was in this slot before may still be stopping.
        if all
            .into_iter()
            .any(|old| restart::is_in_the_way(scene, &new, old))
        {
            new.desired = TaskState::Ready;
        }
        scene.draft.create_task(new);
    }
}
