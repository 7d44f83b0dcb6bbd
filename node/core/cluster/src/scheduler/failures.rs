//! Nodes on which a service keeps failing are avoided for a while.

use shoal_raft_objects::{NodeId, ServiceId, Task, Time};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// SwarmKit's numbers: so many failures within so long.
const FAILURES_MAX: usize = 5;
const WINDOW: Duration = Duration::from_secs(5 * 60);

#[derive(Clone, Default, Debug)]
pub struct Failures {
    recent: BTreeMap<(NodeId, ServiceId, u64), VecDeque<Time>>,
}

impl Failures {
    pub(crate) fn note(&mut self, task: &Task, now: Time) {
        let key = (task.node_id.clone(), task.service_id.clone(), task.spec_version);
        let times = self.recent.entry(key).or_default();
        times.push_back(now);
        // More than this say nothing more: the counts are compared only among nodes that are avoided.
        if times.len() > 4 * FAILURES_MAX {
            times.pop_front();
        }
    }

    pub(crate) fn forget_older(&mut self, now: Time) {
        self.recent.retain(|_, times| {
            while times.front().is_some_and(|at| now.since(*at) > WINDOW) {
                times.pop_front();
            }
            !times.is_empty()
        });
    }

    /// 0 for a node that is not avoided.
    pub(crate) fn penalty(&self, node: &NodeId, service: &ServiceId, spec_version: u64) -> usize {
        let key = (node.clone(), service.clone(), spec_version);
        let count = self.recent.get(&key).map_or(0, VecDeque::len);
        if count >= FAILURES_MAX { count } else { 0 }
    }
}
