//! A run from one seed: a cluster is made, users and faults have their way, and in between it has to come to rest.

use crate::cluster::agent::{self, Agent};
use crate::cluster::invariants;
use crate::cluster::nemesis;
use crate::cluster::runtime;
use crate::cluster::user;
use crate::cluster::world::{self, World, applied, time};
use rand::RngExt;
use shoal_raft_consensus::{FIRST, Peer};
use shoal_raft_objects::node::ManagerStatus;
use shoal_raft_objects::{
    Cluster, ClusterSpec, Membership, Node, NodeDescription, NodeSpec, Object, Proposal, Write,
};
use std::collections::BTreeMap;
use std::time::Duration;

const STEP: Duration = Duration::from_millis(25);
/// A cycle of steps: some with users and faults, then rest until everything is as it should be.
const CYCLE: u64 = 2000;
const WILD: u64 = 1400;
const WORKERS: u64 = 5;

#[derive(Debug)]
pub struct Report {
    pub fingerprint: String,
    pub entries: u64,
    pub decisions: u64,
    pub refused: u64,
    pub terms: usize,
    pub counts: BTreeMap<&'static str, u64>,
}

/// Runs `steps` steps from `seed`. The error says at which step what was violated.
pub fn run(seed: u64, steps: u64) -> Result<Report, String> {
    runtime::reset(seed);
    let world = world::new();
    // However this ends, tasks go while the executor is still there: they hold the world and the world holds them.
    let _end = End(world.clone());
    begin(&world)?;
    for step in 0..steps {
        if step % CYCLE < WILD {
            nemesis::act(&world);
            if world.borrow_mut().rng.random_bool(0.1) {
                user::act(&world);
            }
        } else {
            rest(&world, step % CYCLE == WILD);
        }
        agent::step(&world);
        runtime::advance(STEP);
        let at = |what| move |error: String| format!("seed {seed}, step {step}: {what}: {error}");
        observe(&world).map_err(at("committed entries"))?;
        check(&world, step).map_err(at("invariant"))?;
        if step % CYCLE == CYCLE - 1 {
            let inside = world.borrow();
            invariants::convergence::check(&inside).map_err(at("convergence"))?;
            invariants::acknowledged::all_found(&inside).map_err(at("acknowledged writes"))?;
        }
    }
    Ok(report(&world))
}

struct End(World);
impl Drop for End {
    fn drop(&mut self) {
        runtime::reset(0);
        let managers = std::mem::take(&mut self.0.borrow_mut().managers);
        self.0.borrow().network.unplug_all();
        drop(managers);
    }
}

fn report(world: &World) -> Report {
    let inside = world.borrow();
    let trace = &inside.oracle.trace;
    Report {
        fingerprint: trace.fingerprint(),
        entries: trace.entries,
        decisions: trace.decisions,
        refused: inside.oracle.refused,
        terms: inside.oracle.leaders.len(),
        counts: inside.counts.clone(),
    }
}

/// Three managers and some workers.
fn begin(world: &World) -> Result<(), String> {
    let first = Peer {
        id: FIRST,
        node: "manager-0".into(),
        addr: "manager-0:2377".into(),
    };
    world.borrow_mut().add(first);
    let hands = world.clone();
    runtime::block_on(async move {
        world::start(&hands, FIRST.0).await;
        let consensus = {
            let inside = hands.borrow();
            let up = inside.managers.get(&FIRST.0).and_then(|m| m.up.as_ref());
            up.map(|up| up.consensus.clone())
                .ok_or("the first manager does not start")?
        };
        consensus.bootstrap().await.map_err(|e| e.to_string())?;
        consensus
            .propose(&first_writes())
            .await
            .map_err(|e| e.to_string())?;
        for n in 1..3 {
            nemesis::join(hands.clone(), consensus.clone(), format!("manager-{n}")).await?;
        }
        Ok::<_, String>(())
    })?;
    let mut inside = world.borrow_mut();
    for n in 0..WORKERS {
        let agent = Agent::new(worker(n).id, 1_000_000 + n);
        inside.agents.insert(agent.id.clone(), agent);
    }
    Ok(())
}

fn worker(n: u64) -> Node {
    Node {
        id: format!("worker-{n}").into(),
        spec: NodeSpec {
            name: format!("worker-{n}"),
            ..Default::default()
        },
        membership: Membership::Accepted,
        description: NodeDescription {
            nano_cpus: 4_000_000_000,
            memory_bytes: 8 << 30,
            os: "linux".into(),
            architecture: "x86_64".into(),
            ..Default::default()
        },
        ..Default::default()
    }
}

fn first_writes() -> Proposal {
    let cluster = Cluster {
        id: "cluster".into(),
        spec: ClusterSpec::default(),
        ..Default::default()
    };
    let mut manager = nemesis::manager_node("manager-0");
    manager.manager = Some(ManagerStatus {
        raft_id: FIRST,
        addr: "manager-0:2377".into(),
    });
    let nodes = (0..WORKERS).map(worker).chain([manager]).map(Object::from);
    let all = [Object::from(cluster)].into_iter().chain(nodes);
    Proposal {
        at: time(),
        writes: all.map(Write::Create).collect(),
    }
}

/// No more faults. Whatever was drained is opened again, or there would be nowhere to run.
fn rest(world: &World, begins: bool) {
    nemesis::calm(world);
    let leader = {
        let inside = world.borrow();
        inside
            .leader()
            .and_then(|m| m.up.as_ref())
            .map(|up| up.consensus.clone())
    };
    let Some(consensus) = leader else { return };
    let state = consensus.state();
    let proposal = user::activate_all(&state);
    if begins || !proposal.writes.is_empty() {
        runtime::spawn_for(0, async move {
            // Refused when somebody was faster; then it is tried again in the next step.
            let _ = consensus.propose(&proposal).await;
        });
    }
}

/// Shows the oracle every entry that some manager has applied by now.
fn observe(world: &World) -> Result<(), String> {
    let mut inside = world.borrow_mut();
    let inside = &mut *inside;
    loop {
        let next = inside.oracle.next;
        let ahead = inside
            .managers
            .values()
            .filter(|m| m.up.as_ref().and_then(applied).is_some_and(|at| at >= next));
        let entries: Vec<_> = ahead.filter_map(|m| m.disk.entry(next)).collect();
        let Some(entry) = entries.first() else { break };
        // State machine safety: nobody applies another entry at the same index.
        if let Some(other) = entries.iter().find(|e| e.log_id != entry.log_id) {
            return Err(format!("{} and {} were both applied", entry.log_id, other.log_id));
        }
        inside.oracle.commit(entry)?;
    }
    Ok(())
}

fn check(world: &World, step: u64) -> Result<(), String> {
    let mut inside = world.borrow_mut();
    invariants::election_safety::check(&mut inside)?;
    invariants::acknowledged::check(&mut inside)?;
    if step.is_multiple_of(10) {
        invariants::leader_completeness::check(&inside)?;
    }
    if step.is_multiple_of(20) {
        invariants::state_machine::check(&inside)?;
        invariants::log_matching::check(&inside)?;
    }
    Ok(())
}
