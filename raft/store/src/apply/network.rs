//! No two networks of a cluster overlap, whoever decided over which view.

use crate::state::State;
use ipnet::IpNet;
use shoal_raft_objects::{Kind, Network, Refusal};

/// Refuses a network whose identifier or addresses another one has. Whoever chose them looks again and chooses others.
pub fn check(state: &State, network: &Network) -> Result<(), Refusal> {
    let own = subnets(network)?;
    let overlap = |a: &IpNet, b: &IpNet| a.contains(&b.network()) || b.contains(&a.network());
    for other in state.networks.iter().filter(|other| other.id != network.id) {
        let theirs = subnets(other)?;
        let same_vni = network.vni.is_some() && network.vni == other.vni;
        if same_vni || own.iter().any(|a| theirs.iter().any(|b| overlap(a, b))) {
            return Err(Refusal::Stale {
                kind: Kind::Network,
                id: network.id.to_string(),
            });
        }
    }
    Ok(())
}

fn subnets(network: &Network) -> Result<Vec<IpNet>, Refusal> {
    let parse = |text: &String| {
        text.parse().map_err(|_| {
            Refusal::Invalid(format!(
                "network {}: {text} is no subnet",
                network.spec.annotations.name
            ))
        })
    };
    network.subnets.iter().map(|s| parse(&s.subnet)).collect()
}
