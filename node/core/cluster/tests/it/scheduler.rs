//! Placement: never against a filter, always as even as the filters allow.

use crate::fixture::{START, cluster, create, decide, node, service, spec};
use proptest::prelude::*;
use serde_json::json;
use shoal_node_core_cluster::{Memory, constraint, step};
use shoal_raft_objects::{Availability, NodeState, TaskState};
use shoal_raft_store::State;
use std::collections::BTreeMap;

/// What one random node is like.
#[derive(Clone, Debug)]
struct Kind {
    ready: bool,
    active: bool,
    east: bool,
    cpus: i64,
}

fn kind() -> impl Strategy<Value = Kind> {
    (
        prop::bool::weighted(0.9),
        prop::bool::weighted(0.85),
        any::<bool>(),
        1..5i64,
    )
        .prop_map(|(ready, active, east, cpus)| Kind {
            ready,
            active,
            east,
            cpus,
        })
}

fn fleet(kinds: &[Kind]) -> State {
    let mut state = cluster();
    for (at, kind) in kinds.iter().enumerate() {
        let mut node = node(&format!("n{at:02}"));
        if !kind.ready {
            node.status.state = NodeState::Down;
        }
        if !kind.active {
            node.spec.availability = Availability::Pause;
        }
        node.spec
            .labels
            .insert("zone".into(), if kind.east { "east" } else { "west" }.into());
        node.description.nano_cpus = kind.cpus * 1_000_000_000;
        create(&mut state, node);
    }
    state
}

fn placed(state: &State, service: &str) -> BTreeMap<String, u64> {
    let mut on = BTreeMap::new();
    for task in state.tasks_of_service(&service.into()) {
        if task.status.state == TaskState::Assigned {
            *on.entry(task.node_id.to_string()).or_default() += 1;
        }
    }
    on
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_filter_is_ever_violated(
        kinds in prop::collection::vec(kind(), 1..12),
        services in prop::collection::vec((1..12u64, 0..3i64, any::<bool>(), any::<bool>(), 0..3u64), 1..4),
    ) {
        let mut state = fleet(&kinds);
        for (at, (replicas, cpus, constrained, port, max)) in services.iter().enumerate() {
            let mut value = json!({
                "Name": format!("s{at}"),
                "TaskTemplate": {
                    "ContainerSpec": {"Image": "web"},
                    "Resources": {"Reservations": {"NanoCPUs": cpus * 1_000_000_000}},
                    "Placement": {"MaxReplicas": max},
                },
                "Mode": {"Replicated": {"Replicas": replicas}},
            });
            if *constrained {
                value["TaskTemplate"]["Placement"]["Constraints"] = json!(["node.labels.zone==east"]);
            }
            if *port {
                value["EndpointSpec"] = json!({"Ports": [
                    {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 80, "PublishMode": "host"}]});
            }
            service(&mut state, spec(value));
        }
        decide(&mut state, START);
        for node in state.nodes().iter() {
            let tasks: Vec<_> = state
                .tasks_of_node(&node.id)
                .filter(|t| t.status.state == TaskState::Assigned)
                .collect();
            prop_assert!(tasks.is_empty() || node.is_schedulable());
            let cpus: i64 = tasks.iter().filter_map(|t| {
                Some(t.spec.resources.as_ref()?.reservations.as_ref()?.nano_cpus)
            }).sum();
            prop_assert!(cpus <= node.description.nano_cpus);
            let ports = tasks.iter().filter(|t| !t.ports.is_empty()).count();
            prop_assert!(ports <= 1);
            for task in &tasks {
                prop_assert!(constraint::satisfies(node, &task.spec));
                let max = task.spec.placement.as_ref().map_or(0, |p| p.max_replicas);
                let same = tasks.iter().filter(|t| t.service_id == task.service_id).count() as u64;
                prop_assert!(max == 0 || same <= max);
            }
        }
        // What has no place says why.
        for task in state.tasks().iter().filter(|t| t.status.state < TaskState::Assigned) {
            prop_assert!(task.status.err.starts_with("no suitable node ("), "{:?}", task.status);
        }
    }

    #[test]
    fn replicas_differ_by_at_most_one_where_every_node_qualifies(
        nodes in 1..12usize, first in 0..30u64, second in 0..30u64,
    ) {
        let kinds = vec![Kind { ready: true, active: true, east: true, cpus: 4 }; nodes];
        let mut state = fleet(&kinds);
        for (name, replicas) in [("a", first), ("b", second)] {
            service(&mut state, spec(json!({
                "Name": name, "TaskTemplate": {"ContainerSpec": {"Image": "web"}},
                "Mode": {"Replicated": {"Replicas": replicas}},
            })));
            decide(&mut state, START);
            let on = placed(&state, &format!("svc-{name}"));
            prop_assert_eq!(on.values().sum::<u64>(), replicas);
            let (most, least) = (
                on.values().max().copied().unwrap_or(0),
                if on.len() < nodes { 0 } else { on.values().min().copied().unwrap_or(0) },
            );
            prop_assert!(most - least <= 1, "{:?}", on);
        }
        // Both together are even as well.
        let totals: Vec<_> = state.nodes().iter().map(|n| state.tasks_of_node(&n.id).count()).collect();
        let (most, least) = (totals.iter().max(), totals.iter().min());
        prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 2), "{totals:?}");
    }

    #[test]
    fn scaling_comes_to_what_is_asked(steps in prop::collection::vec(0..25u64, 1..8)) {
        let kinds = vec![Kind { ready: true, active: true, east: true, cpus: 4 }; 4];
        let mut state = fleet(&kinds);
        service(&mut state, spec(json!({"Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "web"}}})));
        for replicas in steps {
            let mut service = (**state.service(&"svc-a".into()).unwrap()).clone();
            service.spec.mode.replicated.get_or_insert_default().replicas = Some(replicas);
            let version = service.meta.version;
            crate::fixture::write(&mut state, vec![shoal_raft_objects::Write::Spec { object: service.into(), version }]);
            decide(&mut state, START);
            // One that waits for its predecessor to stop (nobody stops here) is wanted ready.
            let wanted: Vec<_> = state.tasks().iter().filter(|t| t.desired <= TaskState::Running).collect();
            prop_assert_eq!(wanted.len() as u64, replicas);
            let slots: std::collections::BTreeSet<_> = wanted.iter().map(|t| t.slot).collect();
            prop_assert_eq!(slots.len() as u64, replicas);
        }
    }
}

#[test]
fn creating_and_placing_is_one_proposal_of_bounded_size() {
    let mut state = cluster();
    for n in 0..1000 {
        create(&mut state, node(&format!("n{n:04}")));
    }
    service(
        &mut state,
        spec(json!({
            "Name": "a", "TaskTemplate": {"ContainerSpec": {"Image": "web"}},
            "Mode": {"Replicated": {"Replicas": 1000}},
        })),
    );
    let mut memory = Memory::new(START);
    let decision = step(&state, START, &mut memory, &mut crate::fixture::Ids::default());
    assert_eq!(decision.proposals.len(), 5);
    for proposal in &decision.proposals {
        assert_eq!(proposal.writes.len(), 200);
        state.apply(state.applied() + 1, proposal);
    }
    assert!(
        state
            .tasks()
            .iter()
            .all(|t| t.status.state == TaskState::Assigned)
    );
    assert!(
        state
            .nodes()
            .iter()
            .all(|n| state.tasks_of_node(&n.id).count() == 1)
    );
}
