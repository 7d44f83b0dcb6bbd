//! Host-mode ports: one task per node, port and protocol.

use super::{Filter, Load, on_nodes};
use shoal_raft_objects::{Node, Task};

struct HostPorts(Vec<(String, u16)>);

pub fn filter(task: &Task) -> Option<Box<dyn Filter>> {
    let ports: Vec<_> = wanted(task).collect();
    if ports.is_empty() {
        return None;
    }
    Some(Box::new(HostPorts(ports)))
}

/// `(protocol, port)` that the task binds on its node; those that the node may choose are not among them.
pub(crate) fn wanted(task: &Task) -> impl Iterator<Item = (String, u16)> {
    let host = task
        .ports
        .iter()
        .filter(|p| p.publish_mode == "host" && p.published_port != 0);
    host.map(|p| (p.protocol.clone(), p.published_port))
}

impl Filter for HostPorts {
    fn admits(&self, _: &Node, load: &Load) -> bool {
        !self.0.iter().any(|port| load.ports.contains(port))
    }

    fn explain(&self, nodes: u64) -> String {
        on_nodes("host-mode port already in use", nodes)
    }
}
