//! The `Swarm` member of `docker info`.

use super::Swarm;
use super::member::Member;
use crate::control::convert::cluster::info;
use shoal_api_types::Slice;
use shoal_api_types::swarm as api;

impl Swarm {
    /// The `Swarm` header of `_ping`: `inactive`, `error`, `active/manager` or `active/worker`. Asked for every request,
    /// so it looks at nothing but this node's own place.
    pub fn ping_state(&self) -> String {
        match self.member() {
            Some(member) if member.manager().is_some() => "active/manager",
            Some(_) => "active/worker",
            None if self.inner.trouble.lock().is_none() => "inactive",
            None => "error",
        }
        .to_owned()
    }

    pub(super) fn describe(&self) -> api::Info {
        match self.member() {
            Some(member) => of(&member),
            None => {
                let trouble = self.inner.trouble.lock();
                let state = if trouble.is_some() { "error" } else { "inactive" };
                api::Info {
                    local_node_state: state.to_owned(),
                    error: trouble.as_ref().map(ToString::to_string).unwrap_or_default(),
                    ..Default::default()
                }
            }
        }
    }
}

fn of(member: &Member) -> api::Info {
    let saved = member.saved();
    let node_addr = saved
        .advertise_addr
        .rsplit_once(':')
        .map_or(saved.advertise_addr.as_str(), |(ip, _)| ip)
        .trim_matches(['[', ']'])
        .to_owned();
    let mut shown = api::Info {
        node_id: member.credentials.identity().node.to_string(),
        node_addr,
        local_node_state: "active".to_owned(),
        ..Default::default()
    };
    if let Some(manager) = member.manager() {
        let state = manager.ledger.state();
        shown.control_available = true;
        shown.nodes = count(state.nodes().len());
        let managers = crate::dispatch::session::managers(&state);
        shown.managers = count(managers.len());
        shown.remote_managers = peers(managers);
        shown.cluster = state.cluster().map(|c| info(c));
        if state.cluster().is_none() {
            // A manager that has not heard from the others since it was started.
            shown.local_node_state = "pending".to_owned();
            shown.control_available = false;
        }
    } else if let Some(agent) = member.agent() {
        let (cluster, nodes, managers) = agent.cluster();
        let known = !cluster.id.is_empty();
        // The stock client refuses by itself where this is false, and looks into the cluster where it is true.
        shown.control_available = known && agent.worker_forwarding();
        if shown.control_available {
            shown.cluster = Some(info(&cluster));
            shown.nodes = i64::try_from(nodes).unwrap_or(i64::MAX);
            shown.managers = i64::try_from(managers).unwrap_or(i64::MAX);
        }
        if !known {
            shown.local_node_state = "pending".to_owned();
        }
        let managers = agent.managers().into_iter().filter(|m| !m.node.is_empty());
        shown.remote_managers = peers(managers.map(|m| (m.node.to_string(), m.addr)).collect());
    }
    shown
}

fn peers(managers: Vec<(String, String)>) -> Slice<api::Peer> {
    let peers = managers
        .into_iter()
        .map(|(node_id, addr)| api::Peer { node_id, addr });
    Slice(Some(peers.collect()))
}

fn count(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}
