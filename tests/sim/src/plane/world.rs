//! One state, one leader, simulated agents: the control plane without Raft.
//!
//! Everything that can change the order of things is drawn from the seed: how long tasks take, whether a report is
//! applied between a decision and its proposals (which then may be stale), when the leader changes.

use crate::plane::agents::Agent;
use crate::plane::dice::Dice;
use crate::plane::{invariants, trace};
use shoal_node_core_cluster::allocator::{Wish, networks};
use shoal_node_core_cluster::concern::{self, Touched};
use shoal_node_core_cluster::reports::Batch;
use shoal_node_core_cluster::{Memory, assignments, step};
use shoal_raft_objects::network::OVERLAY;
use shoal_raft_objects::node::Role;
use shoal_raft_objects::{
    Attachment, Cluster, Event, NetworkSpec, Node, NodeId, NodeState, Object, Proposal, Service, ServiceId,
    ServiceSpec, Time, Track, Write,
};
use shoal_raft_store::{Outcome, State};
use std::collections::BTreeMap;
use std::time::Duration;

const BEAT: Duration = Duration::from_secs(1);
/// More rounds than this at one instant can only be two deciders undoing each other's work.
const ROUNDS_MAX: usize = 2_000;

pub struct World {
    pub state: State,
    pub now: Time,
    pub dice: Dice,
    pub hosts: BTreeMap<NodeId, Host>,
    memory: Memory,
    reports: Batch,
    leader_wakes: Option<Time>,
    /// Percent of decisions between which and their proposals something else is applied.
    pub jumble: usize,
    /// Log entries, writes and refusals so far.
    pub entries: u64,
    pub writes: u64,
    pub refusals: u64,
    /// What was written, when a test wants to see it.
    pub trace: Vec<String>,
    pub tracing: bool,
}

pub struct Host {
    pub agent: Agent,
    /// Managers and node hear of each other.
    pub connected: bool,
    pub alive: bool,
    /// What the managers sent last; none without a session.
    sent: Option<assignments::Set>,
    /// What was heard of since, as a manager's session hears it.
    touched: Touched,
    next_beat: Time,
}

impl World {
    /// A cluster of `nodes` ready nodes, `n1` to `nN`; the first three are managers.
    pub fn new(seed: u64, nodes: usize) -> Self {
        let now = Time(1_700_000_000_000_000_000);
        let mut world = Self {
            state: State::default(),
            now,
            dice: Dice::new(seed),
            hosts: BTreeMap::new(),
            memory: Memory::new(now),
            reports: Batch::default(),
            leader_wakes: Some(now),
            jumble: 0,
            entries: 0,
            writes: 0,
            refusals: 0,
            trace: Vec::new(),
            tracing: false,
        };
        let cluster = Cluster {
            id: "cluster".into(),
            ..Default::default()
        };
        world.must(vec![Write::Create(Object::from(cluster))]);
        for n in 1..=nodes {
            world.join(
                &format!("n{n}"),
                if n <= 3 { Role::Manager } else { Role::Worker },
            );
        }
        world.settle();
        world
    }

    pub fn join(&mut self, name: &str, role: Role) {
        let mut node = Node {
            id: name.into(),
            role,
            ..Default::default()
        };
        node.spec.role = role;
        node.description.hostname = name.to_owned();
        node.description.os = "linux".into();
        node.description.architecture = "x86_64".into();
        node.description.nano_cpus = 4_000_000_000;
        node.description.memory_bytes = 8 << 30;
        node.status.state = NodeState::Ready;
        node.status.since = self.now;
        let id = node.id.clone();
        self.must(vec![Write::Create(Object::from(node))]);
        let host = Host {
            agent: Agent::new(id.clone()),
            connected: true,
            alive: true,
            sent: None,
            touched: Touched::default(),
            next_beat: self.now,
        };
        self.hosts.insert(id, host);
    }

    /// A cluster network with this subnet; its id is its name.
    pub fn network(&mut self, name: &str, subnet: &str, ingress: bool) {
        let mut spec = NetworkSpec {
            driver: OVERLAY.into(),
            ingress,
            ..Default::default()
        };
        spec.annotations.name = name.to_owned();
        let wish = Wish {
            subnet: subnet.to_owned(),
            ..Default::default()
        };
        let network = networks::network(&self.state, name.into(), spec, &[wish], &[]);
        let network = network.expect("a network that fits");
        self.must(vec![Write::Create(Object::from(network))]);
    }

    pub fn service(&self, name: &str) -> Option<Service> {
        self.state.service_named(name).map(|s| Service::clone(s))
    }

    pub fn create(&mut self, spec: ServiceSpec) -> ServiceId {
        let service = Service {
            id: ServiceId::draw(&mut self.dice),
            spec,
            ..Default::default()
        };
        let id = service.id.clone();
        self.must(vec![Write::Create(Object::from(service))]);
        id
    }

    /// A user's change of a service; a name that does not exist changes nothing.
    pub fn change(&mut self, name: &str, change: impl FnOnce(&mut Service)) {
        if let Some(mut service) = self.service(name) {
            change(&mut service);
            let version = service.meta.version;
            self.must(vec![Write::Spec {
                object: Object::from(service),
                version,
            }]);
        }
    }

    pub fn change_node(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.state.node(&name.into()) {
            let mut node = Node::clone(node);
            change(&mut node);
            let version = node.meta.version;
            self.must(vec![Write::Spec {
                object: Object::from(node),
                version,
            }]);
        }
    }

    /// What a node says of itself changed.
    pub fn redescribe(&mut self, name: &str, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.state.node(&name.into()) {
            let mut node = Node::clone(node);
            change(&mut node);
            let touched = node.meta.touched;
            self.must(vec![Write::Update {
                object: Object::from(node),
                touched,
            }]);
        }
    }

    pub fn remove(&mut self, service: &str) {
        if let Some(service) = self.service(service) {
            self.must(vec![Write::Delete {
                kind: shoal_raft_objects::Kind::Service,
                id: service.id.as_str().to_owned(),
                touched: None,
            }]);
        }
    }

    pub fn remove_node(&mut self, name: &str) {
        self.hosts.remove(&name.into());
        self.must(vec![Write::Delete {
            kind: shoal_raft_objects::Kind::Node,
            id: name.to_owned(),
            touched: None,
        }]);
    }

    /// The host and everything on it is gone at once.
    pub fn kill(&mut self, name: &str) {
        if let Some(host) = self.hosts.get_mut(&name.into()) {
            host.alive = false;
            host.sent = None;
            host.agent.lose_everything();
        }
    }

    /// A killed host comes back, empty.
    pub fn boot(&mut self, name: &str) {
        if let Some(host) = self.hosts.get_mut(&name.into()) {
            host.alive = true;
            host.next_beat = self.now;
        }
    }

    pub fn disconnect(&mut self, name: &str) {
        if let Some(host) = self.hosts.get_mut(&name.into()) {
            host.connected = false;
            host.sent = None;
        }
    }

    pub fn connect(&mut self, name: &str) {
        if let Some(host) = self.hosts.get_mut(&name.into()) {
            host.connected = true;
            host.next_beat = self.now;
        }
    }

    /// Another manager leads: nothing that the old one remembered is left. Sessions go on.
    pub fn change_leader(&mut self) {
        self.memory = Memory::new(self.now);
        self.leader_wakes = Some(self.now);
    }

    /// Runs for so long.
    pub fn run(&mut self, duration: Duration) {
        let end = self.now.after(duration);
        loop {
            self.settle();
            match self.next_instant() {
                Some(at) if at <= end => self.now = at,
                _ => break,
            }
        }
        self.now = end;
        self.settle();
    }

    /// Runs until `done` or for at most `max`; how long it took.
    pub fn run_until(&mut self, max: Duration, done: impl Fn(&World) -> bool) -> Option<Duration> {
        let (start, end) = (self.now, self.now.after(max));
        loop {
            self.settle();
            if done(self) {
                return Some(self.now.since(start));
            }
            match self.next_instant() {
                Some(at) if at <= end => self.now = at,
                _ => return None,
            }
        }
    }

    /// How many tasks of the service really run on hosts that live.
    pub fn running(&self, service: &ServiceId) -> usize {
        self.hosts
            .values()
            .flat_map(|host| host.agent.running())
            .filter(|id| {
                self.state
                    .task(id)
                    .is_some_and(|task| task.service_id == *service)
            })
            .count()
    }

    /// Does everything that is to be done at this instant.
    pub fn settle(&mut self) {
        for _ in 0..ROUNDS_MAX {
            let beats = self.beat();
            let moved = self.move_agents();
            let decided = self.decide();
            if !beats && !moved && !decided {
                return;
            }
        }
        panic!(
            "no end of decisions at {:?}: {:#?}",
            self.now,
            self.trace.iter().rev().take(20).collect::<Vec<_>>()
        );
    }

    fn beat(&mut self) -> bool {
        let mut any = false;
        for host in self.hosts.values_mut().filter(|h| h.alive && h.connected) {
            if host.next_beat <= self.now {
                host.next_beat = self.now.after(BEAT);
                self.memory.liveness.heard(&host.agent.id, self.now);
                // A node that had been given up is looked at at once.
                self.leader_wakes = Some(self.now);
                any = true;
            }
        }
        any
    }

    /// Sends assignments, lets the agents work, takes their reports.
    fn move_agents(&mut self) -> bool {
        let now = self.now;
        for host in self.hosts.values_mut().filter(|h| h.alive) {
            if host.connected {
                let seen = host.sent.as_ref().map(|set| set.index);
                if seen != Some(self.state.applied()) {
                    let whole = assignments::of_node(&self.state, &host.agent.id);
                    let touched = std::mem::take(&mut host.touched);
                    let set = match host.sent.take() {
                        None => {
                            host.agent.take(true, &whole.complete(), now);
                            host.agent.say_everything(now);
                            whole
                        }
                        Some(mut set) => {
                            let before = set.clone();
                            let (id, applied) = (&host.agent.id, self.state.applied());
                            let changes = assignments::renew(&self.state, id, &mut set, &touched, applied);
                            assert_eq!(set, whole, "what is renewed by pieces is the whole ({id})");
                            let all = whole.since(&before);
                            assert!(
                                changes.len() == all.len()
                                    && all.iter().all(|change| changes.contains(change)),
                                "{changes:?} instead of {all:?}"
                            );
                            host.agent.take(false, &changes, now);
                            set
                        }
                    };
                    // A node that is slow to lay its part says so later, with the next change at the latest.
                    if self.jumble == 0 || !self.dice.chance(self.jumble) {
                        self.memory.laid(&host.agent.id, set.index);
                        self.leader_wakes = Some(self.now);
                    }
                    host.sent = Some(set);
                }
            }
            host.agent.step(now, &mut self.dice);
            if host.connected {
                for (task, status) in host.agent.reports() {
                    self.reports
                        .offer(&self.state, &host.agent.id, &task, status, now);
                }
            }
        }
        let due = self.reports.take(now).proposals;
        let any = !due.is_empty();
        for proposal in due {
            self.apply(&proposal);
        }
        any
    }

    fn decide(&mut self) -> bool {
        if self.leader_wakes.is_none_or(|at| at > self.now) {
            return false;
        }
        let decision = step(&self.state, self.now, &mut self.memory, &mut self.dice);
        self.leader_wakes = decision.wake_at;
        if self.jumble > 0 && self.dice.chance(self.jumble) {
            self.move_agents();
        }
        let any = !decision.proposals.is_empty();
        for proposal in &decision.proposals {
            if self.apply(proposal) {
                self.memory.applied();
            } else {
                self.refusals += 1;
                self.memory.refused();
                self.leader_wakes = Some(self.now);
            }
        }
        any
    }

    fn next_instant(&mut self) -> Option<Time> {
        let agents = self
            .hosts
            .values()
            .filter(|h| h.alive)
            .filter_map(|h| h.agent.next_at());
        let beats = self
            .hosts
            .values()
            .filter(|h| h.alive && h.connected)
            .map(|h| h.next_beat);
        let reports = self.reports.wake_at();
        agents
            .chain(beats)
            .chain(self.leader_wakes)
            .chain(reports)
            .map(|at| at.max(Time(self.now.0 + 1)))
            .min()
    }

    fn must(&mut self, writes: Vec<Write>) {
        let at = self.now;
        let proposal = Proposal { at, writes };
        assert!(self.apply(&proposal), "a user's change was refused: {proposal:?}");
    }

    /// An address is given only when no node that is up still knows it as somebody else's.
    fn nobody_knows_another_holder(&self, events: &[Event]) {
        for event in events {
            let Event::Created(Object::Task(task)) = event else {
                continue;
            };
            for host in self.hosts.values().filter(|h| h.alive && h.connected) {
                let known = host.sent.iter().flat_map(|set| set.tracks.values());
                for track in known {
                    let Track::Endpoint(endpoint) = &**track else {
                        continue;
                    };
                    let clash = |p: &Attachment| {
                        let same = |q: &Attachment| q.network == p.network && q.address == p.address;
                        endpoint.places.iter().any(same)
                    };
                    assert!(
                        endpoint.task == task.id || !task.networks.iter().any(clash),
                        "{} got an address that {} still knows as that of {}",
                        task.id,
                        host.agent.id,
                        endpoint.task
                    );
                }
            }
        }
    }

    /// Applies a proposal, tells the leader, and checks every invariant.
    fn apply(&mut self, proposal: &Proposal) -> bool {
        let before = self.state.clone();
        let index = self.state.applied() + 1;
        self.entries += 1;
        self.writes += proposal.writes.len() as u64;
        match self.state.apply(index, proposal) {
            Outcome::Refused(_) => false,
            Outcome::Applied(events) => {
                let concerns: Vec<_> = events.iter().map(concern::of).collect();
                for host in self.hosts.values_mut() {
                    let (id, sent) = (&host.agent.id, &host.sent);
                    let on = sent.iter().flat_map(|set| set.tracks.values());
                    let on = on.filter_map(|track| match track.as_ref() {
                        Track::Network(network) => Some(network.id.clone()),
                        _ => None,
                    });
                    let on = on.collect();
                    let of_host = concerns.iter().filter(|concern| concern.is_of(id, &on));
                    of_host.for_each(|concern| host.touched.add(concern));
                }
                for event in &events {
                    if self.tracing {
                        self.trace.push(trace::line(event));
                    }
                    self.memory.observe(event, self.now);
                }
                if !events.is_empty() {
                    self.leader_wakes = Some(self.now);
                }
                invariants::check(&before, &self.state);
                self.nobody_knows_another_holder(&events);
                true
            }
        }
    }
}
