//! A state to decide over.

use shoal_node_core_cluster::{Decision, Memory, step};
use shoal_raft_objects::{
    Cluster, IdSource, Node, NodeState, Object, Proposal, Service, ServiceSpec, Task, TaskState, Time, Write,
};
use shoal_raft_store::{Outcome, State};

pub const START: Time = Time(1_000_000_000_000);

/// Ids that count up.
#[derive(Default)]
pub struct Ids(u128);

impl IdSource for Ids {
    fn next_u128(&mut self) -> u128 {
        self.0 += 1;
        self.0
    }
}

pub fn write(state: &mut State, writes: Vec<Write>) {
    let index = state.applied() + 1;
    let proposal = Proposal { at: START, writes };
    match state.apply(index, &proposal) {
        Outcome::Applied(_) => {}
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

pub fn create(state: &mut State, object: impl Into<Object>) {
    write(state, vec![Write::Create(object.into())]);
}

pub fn cluster() -> State {
    let mut state = State::default();
    let cluster = Cluster {
        id: "c".into(),
        ..Default::default()
    };
    create(&mut state, cluster);
    state
}

pub fn node(id: &str) -> Node {
    let mut node = Node {
        id: id.into(),
        ..Default::default()
    };
    node.status.state = NodeState::Ready;
    node.status.since = START;
    node.description.os = "linux".into();
    node.description.architecture = "x86_64".into();
    node.description.nano_cpus = 4_000_000_000;
    node.description.memory_bytes = 4 << 30;
    node
}

pub fn spec(value: serde_json::Value) -> ServiceSpec {
    serde_json::from_value(value).unwrap()
}

pub fn service(state: &mut State, spec: ServiceSpec) -> Service {
    let service = Service {
        id: format!("svc-{}", spec.name).as_str().into(),
        spec,
        ..Default::default()
    };
    create(state, service.clone());
    service
}

/// Steps and applies until nothing is left to decide.
pub fn decide(state: &mut State, now: Time) -> Decision {
    let mut memory = Memory::new(now);
    let mut ids = Ids(u128::from(state.applied()) << 64);
    for _ in 0..50 {
        memory.rescan();
        let decision = step(state, now, &mut memory, &mut ids);
        if decision.proposals.is_empty() {
            return decision;
        }
        for proposal in &decision.proposals {
            assert!(proposal.writes.len() <= 200);
            let index = state.applied() + 1;
            let outcome = state.apply(index, proposal);
            assert!(matches!(outcome, Outcome::Applied(_)), "{outcome:?}");
        }
    }
    panic!("no end of decisions");
}

pub fn task(id: &str, node: &str, state: TaskState) -> Task {
    let mut task = Task {
        id: id.into(),
        service_id: "s".into(),
        slot: 1,
        node_id: node.into(),
        desired: TaskState::Running,
        ..Default::default()
    };
    task.status.state = state;
    task
}
