//! What a node is told.

use crate::fixture::{cluster, create, task, write};
use serde_json::json;
use shoal_node_core_cluster::assignments::{Change, of_node};
use shoal_raft_objects::{ContainerSpec, Secret, TaskState, TaskStatus, Write};

fn words(changes: &[Change]) -> Vec<String> {
    changes
        .iter()
        .map(|change| match change {
            Change::Secret(s) => format!("secret {}", s.id),
            Change::Config(c) => format!("config {}", c.id),
            Change::Task(t) => format!("task {} {}", t.id, t.desired.name()),
            Change::RemoveTask(id) => format!("forget task {id}"),
            Change::RemoveSecret(id) => format!("forget secret {id}"),
            Change::RemoveConfig(id) => format!("forget config {id}"),
        })
        .collect()
}

#[test]
fn a_node_gets_its_tasks_with_exactly_what_they_name_and_then_the_differences() {
    let mut state = cluster();
    for id in ["x", "y"] {
        let mut secret = Secret {
            id: id.into(),
            ..Default::default()
        };
        secret.spec.annotations.name = id.into();
        create(&mut state, secret);
    }
    let mut mine = task("t1", "n1", TaskState::Assigned);
    mine.spec.container_spec = Some(ContainerSpec {
        rest: [(
            "Secrets".to_owned(),
            json!([{"SecretID": "x", "SecretName": "x"}]),
        )]
        .into(),
        ..Default::default()
    });
    create(&mut state, mine);
    create(&mut state, task("t2", "n2", TaskState::Assigned));
    create(&mut state, task("t3", "", TaskState::Pending));
    create(&mut state, task("t4", "n1", TaskState::Orphaned));
    let first = of_node(&state, &"n1".into());
    assert_eq!(words(&first.complete()), ["secret x", "task t1 running"]);

    // What the node itself reported is not sent back.
    let status = TaskStatus {
        state: TaskState::Running,
        ..Default::default()
    };
    write(
        &mut state,
        vec![Write::Status {
            task: "t1".into(),
            status,
        }],
    );
    let second = of_node(&state, &"n1".into());
    assert_eq!(words(&second.since(&first)), [] as [String; 0]);
    assert!(second.index > first.index);

    let desired = TaskState::Shutdown;
    write(
        &mut state,
        vec![Write::Desired {
            task: "t1".into(),
            desired,
        }],
    );
    let third = of_node(&state, &"n1".into());
    assert_eq!(
        words(&third.since(&second)),
        ["task t1 shutdown", "forget secret x"]
    );

    write(
        &mut state,
        vec![Write::Delete {
            kind: shoal_raft_objects::Kind::Task,
            id: "t1".into(),
            touched: None,
        }],
    );
    let fourth = of_node(&state, &"n1".into());
    assert_eq!(words(&fourth.since(&third)), ["forget task t1"]);
}
