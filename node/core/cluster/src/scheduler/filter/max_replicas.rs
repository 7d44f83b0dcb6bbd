//! At most so many replicas of a service on one node.

use super::{Filter, Load};
use shoal_raft_objects::{Node, ServiceId, Task};

struct MaxReplicas {
    service: ServiceId,
    max: u64,
}

pub fn filter(task: &Task) -> Option<Box<dyn Filter>> {
    let max = task.spec.placement.as_ref().map_or(0, |p| p.max_replicas);
    if max == 0 {
        return None;
    }
    Some(Box::new(MaxReplicas {
        service: task.service_id.clone(),
        max,
    }))
}

impl Filter for MaxReplicas {
    fn admits(&self, _: &Node, load: &Load) -> bool {
        load.of_service(&self.service) < self.max
    }

    /// Docker's text, grammar and all: tools match on it.
    fn explain(&self, _: u64) -> String {
        "max replicas per node limit exceed".into()
    }
}
