//! An address of a network has one holder: a task that is not over, a service, a node or the gateway. Networks do not
//! overlap. A task that is to be stopped leaves the nodes' tables first.

use super::{Verdict, changed};
use shoal_raft_objects::{NetworkId, TaskState};
use shoal_raft_store::State;
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

pub fn check(before: &State, after: &State) -> Verdict {
    for (_, task) in changed(before, after) {
        let overlay = task.spec.networks.len();
        if overlay > 0 && task.networks.is_empty() && task.status.state >= TaskState::Assigned && !ended(task)
        {
            return Err(format!("{} has a node and no place on its network", task.id));
        }
    }
    if changed(before, after).next().is_none() && before.services().len() == after.services().len() {
        return Ok(());
    }
    let mut holders: BTreeMap<(NetworkId, Ipv4Addr), String> = BTreeMap::new();
    let mut hold = |network: &NetworkId, address: Ipv4Addr, who: String| match holders
        .insert((network.clone(), address), who.clone())
    {
        Some(other) => Err(format!("{address} is held by {other} and by {who}")),
        None => Ok(()),
    };
    for network in after.networks().iter() {
        for subnet in &network.subnets {
            hold(
                &network.id,
                subnet.gateway.parse().map_err(|_| "no gateway")?,
                "the gateway".into(),
            )?;
        }
    }
    for task in after.tasks().iter().filter(|t| !t.status.state.is_terminal()) {
        for place in &task.networks {
            hold(&place.network, place.address, format!("task {}", task.id))?;
        }
    }
    for service in after.services().iter() {
        for vip in &service.endpoint.virtual_ips {
            hold(&vip.network, vip.address, format!("service {}", service.id))?;
        }
    }
    for node in after.nodes().iter() {
        for place in &node.attachments {
            hold(&place.network, place.address, format!("node {}", node.id))?;
        }
    }
    let vnis: Vec<_> = after.networks().iter().filter_map(|n| n.vni).collect();
    let mut unique = vnis.clone();
    unique.sort_unstable();
    unique.dedup();
    if unique.len() != vnis.len() {
        return Err(format!("networks share an identifier: {vnis:?}"));
    }
    Ok(())
}

fn ended(task: &shoal_raft_objects::Task) -> bool {
    task.status.state.is_terminal()
}
