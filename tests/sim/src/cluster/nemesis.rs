//! What goes wrong: crashes, cuts, bad weather, lost hosts, frozen ones, managers that come and go.

use crate::cluster::runtime;
use crate::cluster::world::{self, Inside, World, time};
use rand::RngExt;
use rand::seq::IndexedRandom;
use shoal_raft_consensus::{Consensus, Peer};
use shoal_raft_objects::node::ManagerStatus;
use shoal_raft_objects::{Node, NodeId, NodeSpec, Object, Proposal, RaftId, Role, Write};
use std::time::Duration;

const MANAGERS_MAX: usize = 5;
const MILLIS: u64 = 1_000_000;

/// Perhaps something goes wrong.
pub fn act(world: &World) {
    world.borrow_mut().calm = false;
    let roll: u32 = world.borrow_mut().rng.random_range(0..1000);
    match roll {
        0..15 => crash_one(world),
        15..16 => crash_all(world),
        16..26 => partition(world),
        26..56 => {
            let mut inside = world.borrow_mut();
            inside.network.heal();
            inside.count("healed");
        }
        56..66 => weather(world),
        66..70 => lose_host(world),
        70..74 => freeze_host(world),
        74..80 => add_manager(world),
        80..86 => remove_manager(world),
        86..92 => hand_over(world),
        _ => {}
    }
    bring_back(world);
}

/// Everything works again: nothing is cut, lost, frozen or down.
pub fn calm(world: &World) {
    {
        let mut inside = world.borrow_mut();
        inside.calm = true;
        inside.network.heal();
        inside.network.weather(0.0, Duration::from_millis(5));
        for manager in inside.managers.values_mut() {
            manager.back_at = 0;
        }
        for agent in inside.agents.values_mut() {
            agent.frozen_until = 0;
            agent.alive = true;
        }
    }
    bring_back(world);
}

/// Starts the managers whose time has come.
fn bring_back(world: &World) {
    let now = runtime::now();
    let mut inside = world.borrow_mut();
    let due: Vec<u64> = inside
        .managers
        .iter()
        .filter(|(_, m)| m.up.is_none() && m.back_at <= now)
        .map(|(id, _)| *id)
        .collect();
    for id in due {
        if let Some(manager) = inside.managers.get_mut(&id) {
            // Not again before this attempt is through.
            manager.back_at = u64::MAX;
        }
        let world = world.clone();
        runtime::spawn_for(0, async move { world::start(&world, id).await });
    }
}

fn crash(inside: &mut Inside, id: u64) {
    let down: u64 = inside.rng.random_range(100..4000);
    inside.crash(id);
    if let Some(manager) = inside.managers.get_mut(&id) {
        manager.back_at = runtime::now() + down * MILLIS;
    }
}

fn crash_one(world: &World) {
    let mut inside = world.borrow_mut();
    let ups: Vec<u64> = inside.ups().map(|(m, _)| m.peer.id.0).collect();
    if let Some(id) = ups.choose(&mut inside.rng).copied() {
        crash(&mut inside, id);
        inside.count("managers crashed");
    }
}

fn crash_all(world: &World) {
    let mut inside = world.borrow_mut();
    let ups: Vec<u64> = inside.ups().map(|(m, _)| m.peer.id.0).collect();
    for id in ups {
        crash(&mut inside, id);
    }
    inside.count("power cuts");
}

fn partition(world: &World) {
    let mut inside = world.borrow_mut();
    let inside = &mut *inside;
    let managers = inside.managers.keys().copied();
    let hosts = inside.agents.values().map(|a| a.number);
    let everybody: Vec<u64> = managers.chain(hosts).collect();
    let side: Vec<bool> = everybody.iter().map(|_| inside.rng.random_bool(0.4)).collect();
    let one_way = inside.rng.random_bool(0.3);
    for (a, left) in everybody.iter().zip(&side) {
        for (b, right) in everybody.iter().zip(&side) {
            if *left && !*right {
                inside.network.cut(*a, *b);
                if !one_way {
                    inside.network.cut(*b, *a);
                }
            }
        }
    }
    inside.count("partitions");
}

fn weather(world: &World) {
    let mut inside = world.borrow_mut();
    let loss = if inside.rng.random_bool(0.5) {
        0.0
    } else {
        inside.rng.random_range(0.0..0.2)
    };
    let delay = inside.rng.random_range(1..40);
    inside.network.weather(loss, Duration::from_millis(delay));
    inside.count("weather changes");
}

fn lose_host(world: &World) {
    let mut inside = world.borrow_mut();
    let inside = &mut *inside;
    let ids: Vec<NodeId> = inside.agents.keys().cloned().collect();
    let Some(agent) = ids
        .choose(&mut inside.rng)
        .and_then(|id| inside.agents.get_mut(id))
    else {
        return;
    };
    if agent.alive {
        agent.kill();
        inside.count("hosts killed");
    } else {
        agent.alive = true;
    }
}

fn freeze_host(world: &World) {
    let mut inside = world.borrow_mut();
    let inside = &mut *inside;
    let ids: Vec<NodeId> = inside.agents.keys().cloned().collect();
    let time: u64 = inside.rng.random_range(500..10_000);
    if let Some(agent) = ids
        .choose(&mut inside.rng)
        .and_then(|id| inside.agents.get_mut(id))
    {
        agent.frozen_until = runtime::now() + time * MILLIS;
        inside.count("hosts frozen");
    }
}

fn leader(inside: &Inside) -> Option<Consensus> {
    Some(inside.leader()?.up.as_ref()?.consensus.clone())
}

/// The node that a new manager is written down as; raft id 0 becomes the index of that write.
pub fn manager_node(id: &str) -> Node {
    Node {
        id: id.into(),
        spec: NodeSpec {
            name: id.into(),
            role: Role::Manager,
            ..Default::default()
        },
        role: Role::Manager,
        manager: Some(ManagerStatus {
            raft_id: RaftId(0),
            addr: format!("{id}:2377"),
        }),
        ..Default::default()
    }
}

/// A new manager joins as it does in earnest: written down, started, a learner, a voter.
pub async fn join(world: World, consensus: Consensus, name: String) -> Result<(), String> {
    let node = manager_node(&name);
    let peer = |id| Peer {
        id,
        node: node.id.clone(),
        addr: format!("{name}:2377"),
    };
    let admit = Proposal {
        at: time(),
        writes: vec![Write::Create(Object::from(node.clone()))],
    };
    let applied = consensus.propose(&admit).await.map_err(|e| e.to_string())?;
    let id = RaftId(applied.index);
    world.borrow_mut().add(peer(id));
    world::start(&world, id.0).await;
    consensus
        .add_manager(&peer(id))
        .await
        .map_err(|e| e.to_string())?;
    let within = Duration::from_secs(10);
    consensus
        .promote_manager(id, within)
        .await
        .map_err(|e| e.to_string())
}

fn add_manager(world: &World) {
    let consensus = {
        let mut inside = world.borrow_mut();
        if inside.changing || inside.managers.len() >= MANAGERS_MAX {
            return;
        }
        let Some(consensus) = leader(&inside) else { return };
        inside.changing = true;
        consensus
    };
    let world = world.clone();
    runtime::spawn_for(0, async move {
        let name = format!("manager-{}", runtime::now());
        let joined = join(world.clone(), consensus, name).await;
        let mut inside = world.borrow_mut();
        inside.changing = false;
        inside.count(if joined.is_ok() {
            "managers added"
        } else {
            "joins that failed"
        });
    });
}

fn remove_manager(world: &World) {
    let chosen = {
        let mut inside = world.borrow_mut();
        if inside.changing || inside.managers.len() <= 3 {
            return;
        }
        let Some(consensus) = leader(&inside) else { return };
        let me = consensus.me().id;
        let others: Vec<Peer> = inside
            .managers
            .values()
            .map(|m| m.peer.clone())
            .filter(|p| p.id != me)
            .collect();
        let Some(peer) = others.choose(&mut inside.rng).cloned() else {
            return;
        };
        inside.changing = true;
        (consensus, peer)
    };
    let world = world.clone();
    runtime::spawn_for(0, async move {
        let (consensus, peer) = chosen;
        let removed = consensus.remove_manager(peer.id).await;
        let mut inside = world.borrow_mut();
        inside.changing = false;
        if removed.is_ok() {
            // Its disk is wiped; under this id it never comes back.
            inside.crash(peer.id.0);
            inside.managers.remove(&peer.id.0);
            inside.count("managers removed");
        } else {
            inside.count("removals refused");
        }
    });
}

fn hand_over(world: &World) {
    let mut inside = world.borrow_mut();
    let Some(consensus) = leader(&inside) else { return };
    inside.count("hand-overs asked");
    let world = world.clone();
    runtime::spawn_for(0, async move {
        if consensus
            .transfer_leader(None, Duration::from_secs(2))
            .await
            .is_ok()
        {
            world.borrow_mut().count("hand-overs done");
        }
    });
}
