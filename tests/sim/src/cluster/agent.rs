//! A host that runs tasks: it asks a manager what it shall have, does that little by little, and says how far it is.

use crate::cluster::runtime;
use crate::cluster::world::{World, time};
use rand::RngExt;
use shoal_node_core_cluster::{assignments, reports};
use shoal_raft_objects::{NodeId, Proposal, Task, TaskId, TaskState, TaskStatus, Write};
use std::collections::BTreeMap;
use std::sync::Arc;

/// One container's worth.
#[derive(Clone, Debug)]
pub struct Local {
    pub task: Arc<Task>,
    pub state: TaskState,
    /// It is a job and ends by itself.
    ends: bool,
}

pub struct Agent {
    pub id: NodeId,
    /// For the network: its number is apart from those of the managers.
    pub number: u64,
    pub alive: bool,
    /// Does nothing, but its containers run on.
    pub frozen_until: u64,
    /// The manager that it talks to.
    pub session: Option<u64>,
    /// Index of the assignments that it follows; older ones come from a manager that is behind.
    pub seen: u64,
    pub tasks: BTreeMap<TaskId, Local>,
    beat_at: u64,
    look_at: u64,
    reporting: bool,
}

const BEAT: u64 = 1_000_000_000;

impl Agent {
    pub fn new(id: NodeId, number: u64) -> Agent {
        Agent {
            id,
            number,
            alive: true,
            frozen_until: 0,
            session: None,
            seen: 0,
            tasks: BTreeMap::new(),
            beat_at: 0,
            look_at: 0,
            reporting: false,
        }
    }

    /// The host goes down with everything on it.
    pub fn kill(&mut self) {
        self.alive = false;
        self.tasks.clear();
        self.session = None;
        self.seen = 0;
    }

    /// Containers that exist and run now.
    pub fn running(&self) -> impl Iterator<Item = &TaskId> {
        self.tasks
            .iter()
            .filter(|(_, local)| local.state == TaskState::Running)
            .map(|(id, _)| id)
    }

    fn follow(&mut self, set: &assignments::Set, rng: &mut impl RngExt, calm: bool) {
        if set.index < self.seen {
            return;
        }
        self.seen = set.index;
        self.tasks.retain(|id, _| set.tasks.contains_key(id));
        for (id, task) in &set.tasks {
            match self.tasks.get_mut(id) {
                Some(local) => local.task = task.clone(),
                None => {
                    let ends = task.job_iteration.is_some();
                    let state = if task.status.state.is_terminal() {
                        task.status.state
                    } else if task.desired > TaskState::Complete {
                        // Nothing of it is here (any more), so there is nothing to stop.
                        TaskState::Shutdown
                    } else if task.status.state > TaskState::Accepted {
                        // It was here before the host went down.
                        TaskState::Failed
                    } else {
                        TaskState::Accepted
                    };
                    let local = Local {
                        task: task.clone(),
                        state,
                        ends,
                    };
                    self.tasks.insert(id.clone(), local);
                }
            }
        }
        for local in self.tasks.values_mut() {
            local.state = local.next(rng, calm);
        }
    }

    fn news(&self, view: &shoal_raft_store::State) -> Vec<Write> {
        let status = |local: &Local| TaskStatus {
            state: local.state,
            timestamp: time(),
            message: local.state.name().into(),
            ..Default::default()
        };
        self.tasks
            .iter()
            .map(|(id, local)| (id, status(local)))
            .filter(|(id, status)| reports::is_news(view, &self.id, id, status))
            .map(|(task, status)| Write::Status {
                task: task.clone(),
                status,
            })
            .collect()
    }
}

impl Local {
    /// In a calm nothing fails of itself any more: a task that failed just before the cluster is judged would be counted
    /// as one that nobody replaces.
    fn next(&self, rng: &mut impl RngExt, calm: bool) -> TaskState {
        use TaskState::*;
        if self.state.is_terminal() {
            return self.state;
        }
        if self.task.desired > Complete {
            return if rng.random_bool(0.6) {
                Shutdown
            } else {
                self.state
            };
        }
        match self.state {
            Accepted => Preparing,
            Preparing if rng.random_bool(0.01) && !calm => Rejected,
            Preparing => Ready,
            Ready if self.task.desired >= Running => Starting,
            Starting if rng.random_bool(0.02) && !calm => Failed,
            Starting => Running,
            Running if self.ends && rng.random_bool(0.2) => Complete,
            Running if rng.random_bool(0.0005) && !calm => Failed,
            state => state,
        }
    }
}

/// One look at every host.
pub fn step(world: &World) {
    let ids: Vec<NodeId> = world.borrow().agents.keys().cloned().collect();
    for id in ids {
        step_one(world, &id);
    }
}

fn step_one(world: &World, id: &NodeId) {
    let mut inside = world.borrow_mut();
    let inside = &mut *inside;
    let Some(agent) = inside.agents.get_mut(id) else {
        return;
    };
    let now = runtime::now();
    if !agent.alive || now < agent.frozen_until {
        return;
    }
    let network = inside.network.clone();
    let number = agent.number;
    let talks = |manager: u64| network.hears(number, manager) && network.hears(manager, number);
    let up = |manager: u64| inside.managers.get(&manager).and_then(|m| m.up.as_ref());
    if !agent.session.is_some_and(|m| up(m).is_some() && talks(m)) {
        let others: Vec<u64> = inside
            .managers
            .keys()
            .copied()
            .filter(|m| up(*m).is_some() && talks(*m))
            .collect();
        agent.session = match others.len() {
            0 => None,
            n => Some(others[inside.rng.random_range(0..n)]),
        };
    }
    let Some(manager) = agent.session else { return };
    let Some(session) = up(manager) else { return };
    // Any manager can tell the leader that it heard of the node, if it reaches it.
    let leader = session
        .consensus
        .leadership()
        .borrow()
        .leader
        .as_ref()
        .map(|l| l.id.0);
    let leader = leader.filter(|l| *l == manager || network.hears(manager, *l));
    if now >= agent.beat_at {
        agent.beat_at = now + BEAT;
        // A manager that cannot pass the heartbeat on may be cut off, or no manager any more: what it knows is old.
        let heard = leader.and_then(up).filter(|leader| {
            let members = leader.consensus.members();
            leader.consensus.leadership().borrow().is_self && members.iter().any(|m| m.peer.id.0 == manager)
        });
        match heard {
            Some(leader) => leader.heard.lock().insert(id.clone(), time()),
            None => {
                agent.session = None;
                return;
            }
        };
    }
    if now < agent.look_at {
        return;
    }
    agent.look_at = now + inside.rng.random_range(50_000_000..150_000_000);
    let view = session.consensus.state();
    agent.follow(&assignments::of_node(&view, id), &mut inside.rng, inside.calm);
    let writes = agent.news(&view);
    let Some(leader) = leader.and_then(up) else { return };
    if writes.is_empty() || agent.reporting {
        return;
    }
    agent.reporting = true;
    let consensus = leader.consensus.clone();
    let (world, id) = (world.clone(), id.clone());
    // Belongs to nobody, so that a manager's end is an answer too. What was not written is told again.
    runtime::spawn_for(0, async move {
        let proposal = Proposal { at: time(), writes };
        let _ = consensus.propose(&proposal).await;
        if let Some(agent) = world.borrow_mut().agents.get_mut(&id) {
            agent.reporting = false;
        }
    });
}
