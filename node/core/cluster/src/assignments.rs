//! What one node shall have: its tasks, exactly the secrets and configs that these name, and what it has to know of the
//! networks that they are on.
//!
//! A session sends a whole [`Set`] when it begins (what is not in it, the node stops) and from then on the difference
//! between the set that it sent last and the present one. Any manager can do that from its own replica.

use crate::concern::Touched;
use crate::task::{is_assigned, is_over, is_wanted};
use crate::{allocator, tracks};
use serde_json::Value;
use shoal_raft_objects::{
    Config, ConfigId, Meta, NetworkId, NodeId, Secret, SecretId, Task, TaskId, TaskState, Track,
};
use shoal_raft_store::State;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Everything that a node shall have, as of log index `index`. Cheap to make and to keep: objects are shared.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Set {
    pub index: u64,
    pub tasks: BTreeMap<TaskId, Arc<Task>>,
    pub secrets: BTreeMap<SecretId, Arc<Secret>>,
    pub configs: BTreeMap<ConfigId, Arc<Config>>,
    /// By [`Track::key`].
    pub tracks: BTreeMap<String, Arc<Track>>,
}

/// In the order in which they are to be carried out: what a task needs comes before it and goes after it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    Track(Arc<Track>),
    Secret(Arc<Secret>),
    Config(Arc<Config>),
    Task(Arc<Task>),
    RemoveTask(TaskId),
    RemoveSecret(SecretId),
    RemoveConfig(ConfigId),
    RemoveTrack(String),
}

/// Brings `set`, which `node` was told, to the present: `touched` is all that may have changed up to log index `seen` since. Answers
/// what has to be done on the node. What changed after `seen` may be in it or not; it is told of again.
pub fn renew(view: &State, node: &NodeId, set: &mut Set, touched: &Touched, seen: u64) -> Vec<Change> {
    let mut known = std::mem::take(&mut set.tracks);
    let Some((new, gone)) = tracks::renew(view, node, &mut known, touched) else {
        set.tracks = known;
        let whole = of_node(view, node);
        let changes = whole.since(set);
        *set = whole;
        return changes;
    };
    // Most of what changes are tasks of other nodes, and services.
    let is_own =
        |id: &TaskId| set.tasks.contains_key(id) || view.task(id).is_some_and(|task| task.node_id == *node);
    if !touched.tasks.iter().any(is_own) {
        set.tracks = known;
        set.index = seen.max(set.index);
        let gone = gone.into_iter().map(Change::RemoveTrack);
        return new.into_iter().map(Change::Track).chain(gone).collect();
    }
    let mut now = tasks_of_node(view, node);
    now.index = seen.max(set.index);
    let tasks = now.since(set);
    let mut changes: Vec<Change> = new.into_iter().map(Change::Track).collect();
    changes.extend(tasks);
    changes.extend(gone.into_iter().map(Change::RemoveTrack));
    now.tracks = known;
    *set = now;
    changes
}

/// What `node` shall have now. Ended tasks stay listed until they are forgotten, because the node keeps their
/// containers (and logs) that long; a task that was given up is not listed, so a node that returns stops it.
pub fn of_node(view: &State, node: &NodeId) -> Set {
    Set {
        tracks: tracks::of_node(view, node),
        ..tasks_of_node(view, node)
    }
}

fn tasks_of_node(view: &State, node: &NodeId) -> Set {
    let mut set = Set {
        index: view.applied(),
        ..Set::default()
    };
    for task in view.tasks_of_node(node) {
        // A user's own container is run by nobody else.
        if !is_assigned(task) || task.status.state == TaskState::Orphaned || task.attached.is_some() {
            continue;
        }
        if is_wanted(task) && !is_over(task) {
            for id in references(task, "Secrets", "SecretID").map(SecretId::from) {
                set.secrets.extend(view.secret(&id).map(|s| (id, s.clone())));
            }
            for id in references(task, "Configs", "ConfigID").map(ConfigId::from) {
                set.configs.extend(view.config(&id).map(|c| (id, c.clone())));
            }
        }
        set.tasks.insert(task.id.clone(), held_back(task));
    }
    set
}

/// A task that nodes may still send to is not stopped yet, whatever is desired of it.
fn held_back(task: &Arc<Task>) -> Arc<Task> {
    if !allocator::is_draining(task) {
        return task.clone();
    }
    let mut held = Task::clone(task);
    held.desired = TaskState::Running;
    Arc::new(held)
}

impl Set {
    /// The networks that the node is told of.
    pub fn networks(&self) -> BTreeSet<NetworkId> {
        tracks::networks_told(&self.tracks)
    }

    /// The whole set as changes, for the beginning of a session.
    pub fn complete(&self) -> Vec<Change> {
        self.since(&Set::default())
    }

    /// What has to be done on a node that has `before` to make it have this. Empty if nothing concerns the node: a
    /// status that came from the node is not sent back to it.
    pub fn since(&self, before: &Set) -> Vec<Change> {
        let mut changes = Vec::new();
        for (key, track) in &self.tracks {
            if before.tracks.get(key).is_none_or(|old| old != track) {
                changes.push(Change::Track(track.clone()));
            }
        }
        changes.extend(newer(&before.secrets, &self.secrets, |s| s.meta).map(Change::Secret));
        changes.extend(newer(&before.configs, &self.configs, |c| c.meta).map(Change::Config));
        for (id, task) in &self.tasks {
            if before.tasks.get(id).is_none_or(|old| old.desired != task.desired) {
                changes.push(Change::Task(task.clone()));
            }
        }
        changes.extend(gone(&before.tasks, &self.tasks).map(Change::RemoveTask));
        changes.extend(gone(&before.secrets, &self.secrets).map(Change::RemoveSecret));
        changes.extend(gone(&before.configs, &self.configs).map(Change::RemoveConfig));
        changes.extend(gone(&before.tracks, &self.tracks).map(Change::RemoveTrack));
        changes
    }
}

fn newer<'a, K: Ord, V>(
    before: &'a BTreeMap<K, Arc<V>>,
    now: &'a BTreeMap<K, Arc<V>>,
    meta: impl Fn(&V) -> Meta + 'a,
) -> impl Iterator<Item = Arc<V>> + 'a {
    now.iter()
        .filter(move |(id, new)| {
            before
                .get(id)
                .is_none_or(|old| meta(old).version != meta(new).version)
        })
        .map(|(_, new)| new.clone())
}

fn gone<'a, K: Ord + Clone, V>(
    before: &'a BTreeMap<K, V>,
    now: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = K> + 'a {
    before.keys().filter(|id| !now.contains_key(id)).cloned()
}

/// The ids in a member of the container's spec, such as `"Secrets": [{"SecretID": "…"}]`.
fn references<'a>(task: &'a Task, member: &str, id: &'static str) -> impl Iterator<Item = &'a str> {
    task.spec
        .container_spec
        .as_ref()
        .and_then(|spec| spec.rest.get(member))
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(move |reference| reference.get(id)?.as_str())
        .filter(|id| !id.is_empty())
}
