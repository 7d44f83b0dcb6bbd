use super::*;
use shoal_raft_objects::node::ManagerStatus;
use shoal_raft_objects::service::{ServiceMode, UpdateState, UpdateStatus};
use shoal_raft_objects::{NodeId, ServiceId, ServiceSpec, TaskId, TaskState, TaskStatus};

fn proposal(writes: impl IntoIterator<Item = Write>) -> Proposal {
    Proposal {
        at: Time(1000),
        writes: writes.into_iter().collect(),
    }
}

fn service(id: &str, name: &str) -> Service {
    Service {
        id: id.into(),
        spec: ServiceSpec {
            name: name.into(),
            ..Default::default()
        },
        ..Default::default()
    }
}

fn task(id: &str, service: &str, slot: u64) -> Task {
    Task {
        id: id.into(),
        service_id: service.into(),
        slot,
        ..Default::default()
    }
}

fn applied(outcome: Outcome) -> Vec<Event> {
    match outcome {
        Outcome::Applied(events) => events,
        Outcome::Refused(refusal) => panic!("refused: {refusal}"),
    }
}

fn refused(outcome: Outcome) -> Refusal {
    match outcome {
        Outcome::Applied(events) => panic!("applied: {events:?}"),
        Outcome::Refused(refusal) => refusal,
    }
}

fn create_all(state: &mut State, index: u64, objects: impl IntoIterator<Item = Object>) {
    applied(state.apply(index, &proposal(objects.into_iter().map(Write::Create))));
}

#[test]
fn creating_sets_versions_and_times() {
    let mut state = State::default();
    create_all(&mut state, 7, [service("s1", "web").into()]);
    let stored = state.service_named("WEB").unwrap();
    assert_eq!(
        stored.meta,
        Meta {
            version: 7,
            touched: 7,
            created_at: Time(1000),
            updated_at: Time(1000)
        }
    );
    assert_eq!(stored.spec_version, 7);
    assert_eq!(state.applied(), 7);
}

#[test]
fn one_refused_write_undoes_the_whole_proposal() {
    let mut state = State::default();
    create_all(&mut state, 1, [service("s1", "web").into()]);
    let before = state.clone();
    let refusal = refused(state.apply(
        2,
        &proposal([
            Write::Create(service("s2", "db").into()),
            Write::Create(service("s3", "Web").into()),
        ]),
    ));
    assert!(matches!(
        refusal,
        Refusal::NameConflict {
            kind: Kind::Service,
            ..
        }
    ));
    assert_eq!(state.services().len(), 1);
    assert!(state.service_named("db").is_none());
    assert_eq!(state.applied(), 2);
    let mut expected = before;
    expected.skip(2);
    assert_eq!(state, expected);
}

#[test]
fn a_freed_name_can_be_taken_and_a_rename_is_followed() {
    let mut state = State::default();
    create_all(
        &mut state,
        1,
        [service("s1", "web").into(), service("s2", "db").into()],
    );
    let write = |object: Service, version| Write::Spec {
        object: object.into(),
        version,
    };
    assert!(matches!(
        refused(state.apply(2, &proposal([write(service("s1", "db"), 1)]))),
        Refusal::NameConflict { .. }
    ));
    applied(state.apply(3, &proposal([write(service("s1", "api"), 1)])));
    assert!(state.service_named("web").is_none());
    applied(state.apply(4, &proposal([Write::Create(service("s4", "web").into())])));
    assert_eq!(state.service_named("web").unwrap().id, ServiceId::new("s4"));
}

#[test]
fn a_users_update_needs_the_version_and_survives_status_reports() {
    let mut state = State::default();
    create_all(&mut state, 1, [service("s1", "web").into()]);
    // A loop touches the service; the user's version stays good.
    let mut looped = Service::clone(state.service(&"s1".into()).unwrap());
    looped.update_status = Some(UpdateStatus::default());
    applied(state.apply(
        2,
        &proposal([Write::Update {
            object: looped.clone().into(),
            touched: 1,
        }]),
    ));
    let stored = state.service(&"s1".into()).unwrap();
    assert_eq!((stored.meta.version, stored.meta.touched), (1, 2));
    assert!(matches!(
        refused(state.apply(
            3,
            &proposal([Write::Update {
                object: looped.into(),
                touched: 1
            }])
        )),
        Refusal::Stale { .. }
    ));

    let mut wanted = service("s1", "web");
    wanted.spec.labels.insert("a".into(), "b".into());
    let spec = |version| Write::Spec {
        object: wanted.clone().into(),
        version,
    };
    applied(state.apply(4, &proposal([spec(1)])));
    assert_eq!(
        refused(state.apply(5, &proposal([spec(1)]))).to_string(),
        "update out of sequence"
    );
    let stored = state.service(&"s1".into()).unwrap();
    assert_eq!((stored.meta.version, stored.spec_version), (4, 4));
    assert_eq!(stored.previous_spec_version, Some(1));
    assert_eq!(
        stored.update_status, None,
        "the old update's status does not apply to the new spec"
    );
}

#[test]
fn going_back_to_the_previous_spec_restores_its_version() {
    let mut state = State::default();
    create_all(&mut state, 1, [service("s1", "web").into()]);
    let mut second = service("s1", "web");
    second.spec.mode = ServiceMode {
        global: Some(Default::default()),
        ..Default::default()
    };
    applied(state.apply(
        2,
        &proposal([Write::Spec {
            object: second.into(),
            version: 1,
        }]),
    ));
    let mut back = service("s1", "web");
    back.update_status = Some(UpdateStatus {
        state: UpdateState::RollbackStarted,
        ..Default::default()
    });
    applied(state.apply(
        3,
        &proposal([Write::Spec {
            object: back.into(),
            version: 2,
        }]),
    ));
    let stored = state.service(&"s1".into()).unwrap();
    assert_eq!((stored.meta.version, stored.spec_version), (3, 1));
    assert_eq!(stored.previous_spec_version, Some(2));
    assert_eq!(
        stored.update_status.as_ref().unwrap().state,
        UpdateState::RollbackStarted
    );
}

fn status(state: TaskState, message: &str) -> TaskStatus {
    TaskStatus {
        state,
        message: message.into(),
        ..Default::default()
    }
}

#[test]
fn reports_only_move_a_task_forward() {
    let mut state = State::default();
    create_all(&mut state, 1, [task("t1", "s1", 1).into()]);
    let mut index = 1;
    let mut report = |state: &mut State, to, message: &str| {
        index += 1;
        applied(state.apply(
            index,
            &proposal([Write::Status {
                task: "t1".into(),
                status: status(to, message),
            }]),
        ))
        .len()
    };
    assert_eq!(report(&mut state, TaskState::Running, "started"), 1);
    assert_eq!(report(&mut state, TaskState::Preparing, "late"), 0);
    assert_eq!(
        report(&mut state, TaskState::Running, "started"),
        0,
        "said already"
    );
    assert_eq!(report(&mut state, TaskState::Running, "healthy"), 1, "says more");
    assert_eq!(report(&mut state, TaskState::Failed, "oops"), 1);
    assert_eq!(report(&mut state, TaskState::Failed, "again"), 0, "it ended once");
    assert_eq!(report(&mut state, TaskState::Complete, "no"), 0);
    let stored = state.task(&"t1".into()).unwrap();
    assert_eq!(stored.status.message, "oops");
    assert_eq!(stored.meta.version, 1, "a report is no change of the spec");
    // A report for a task that is gone is no error.
    applied(state.apply(
        99,
        &proposal([Write::Status {
            task: "t9".into(),
            status: status(TaskState::Running, ""),
        }]),
    ));
}

#[test]
fn a_task_is_assigned_once_and_never_goes_back() {
    let mut state = State::default();
    create_all(&mut state, 1, [task("t1", "s1", 1).into()]);
    let mut assigned = task("t1", "s1", 1);
    assigned.node_id = "n1".into();
    assigned.desired = TaskState::Running;
    applied(state.apply(
        2,
        &proposal([Write::Update {
            object: assigned.clone().into(),
            touched: 1,
        }]),
    ));
    assert_eq!(state.tasks_of_node(&NodeId::new("n1")).count(), 1);
    let mut attempt = |change: &dyn Fn(&mut Task)| {
        let mut wrong = assigned.clone();
        change(&mut wrong);
        let write = Write::Update {
            object: wrong.into(),
            touched: 2,
        };
        refused(state.apply(3, &proposal([write]))).to_string()
    };
    assert!(attempt(&|t| t.node_id = "n2".into()).contains("cannot move"));
    assert!(attempt(&|t| t.desired = TaskState::Ready).contains("cannot go back"));
    assert!(attempt(&|t| t.spec.force_update = 1).contains("spec"));
    assert!(attempt(&|t| t.slot = 2).contains("slot"));
}

#[test]
fn indexes_follow_their_tasks() {
    let mut state = State::default();
    let mut global = task("t3", "s2", 0);
    global.node_id = "n1".into();
    create_all(
        &mut state,
        1,
        [
            task("t1", "s1", 1).into(),
            task("t2", "s1", 2).into(),
            global.into(),
        ],
    );
    let ids = |tasks: &mut dyn Iterator<Item = &Arc<Task>>| -> Vec<String> {
        tasks.map(|t| t.id.to_string()).collect()
    };
    assert_eq!(ids(&mut state.tasks_of_service(&"s1".into())), ["t1", "t2"]);
    assert_eq!(ids(&mut state.tasks_of_slot(&"s1".into(), 2)), ["t2"]);
    assert_eq!(ids(&mut state.tasks_of_slot(&"s2".into(), 0)), [""; 0]);
    assert_eq!(ids(&mut state.tasks_of_node(&"n1".into())), ["t3"]);
    assert_eq!(ids(&mut state.tasks().with_prefix("t")), ["t1", "t2", "t3"]);
    assert_eq!(ids(&mut state.tasks().with_prefix("t2")), ["t2"]);
    for id in ["t1", "t2", "t3", "t3"] {
        applied(state.apply(
            5,
            &proposal([Write::Delete {
                kind: Kind::Task,
                id: id.into(),
                touched: None,
            }]),
        ));
    }
    assert_eq!(state.services_with_tasks().count(), 0);
    assert_eq!(ids(&mut state.tasks_of_node(&"n1".into())), [""; 0]);
    assert!(state.task(&TaskId::new("t1")).is_none());
}

#[test]
fn a_manager_is_admitted_under_the_index_of_its_write() {
    let mut state = State::default();
    let manager = |id: &str, raft_id| Node {
        id: id.into(),
        manager: Some(ManagerStatus {
            raft_id: RaftId(raft_id),
            addr: "10.0.0.1:2377".into(),
        }),
        ..Default::default()
    };
    create_all(&mut state, 41, [manager("n1", 0).into()]);
    assert_eq!(state.node_of_raft(RaftId(41)).unwrap().id, NodeId::new("n1"));
    assert!(matches!(
        refused(state.apply(42, &proposal([Write::Create(manager("n2", 41).into())]))),
        Refusal::Invalid(_)
    ));
    // Demoted: the id is free again, but no later write can have its index.
    let mut demoted = manager("n1", 0);
    demoted.manager = None;
    applied(state.apply(
        43,
        &proposal([Write::Update {
            object: demoted.into(),
            touched: 41,
        }]),
    ));
    assert!(state.node_of_raft(RaftId(41)).is_none());
}

#[test]
fn deletes_are_idempotent_but_can_be_conditional() {
    let mut state = State::default();
    create_all(&mut state, 1, [service("s1", "web").into()]);
    let delete = |touched| {
        proposal([Write::Delete {
            kind: Kind::Service,
            id: "s1".into(),
            touched,
        }])
    };
    assert!(matches!(
        refused(state.apply(2, &delete(Some(9)))),
        Refusal::Stale { .. }
    ));
    assert_eq!(applied(state.apply(3, &delete(Some(1)))).len(), 1);
    assert_eq!(applied(state.apply(4, &delete(Some(1)))).len(), 0);
}

#[test]
fn jobs_run_again_when_forced() {
    let mut state = State::default();
    let job = |force| {
        let mut job = service("j1", "job");
        job.spec.mode.replicated_job = Some(Default::default());
        job.spec.task_template.force_update = force;
        job
    };
    create_all(&mut state, 1, [job(0).into()]);
    assert_eq!(
        state.service(&"j1".into()).unwrap().last_execution,
        Some(Time(1000))
    );
    applied(state.apply(
        2,
        &proposal([Write::Spec {
            object: job(1).into(),
            version: 1,
        }]),
    ));
    assert_eq!(state.service(&"j1".into()).unwrap().job_iteration, 1);
}

#[test]
fn what_is_wanted_only_moves_forward_and_needs_no_version() {
    let mut state = State::default();
    create_all(&mut state, 1, [task("t1", "s1", 1).into()]);
    let want = |state: &mut State, index, desired| {
        applied(state.apply(
            index,
            &proposal([Write::Desired {
                task: "t1".into(),
                desired,
            }]),
        ))
        .len()
    };
    assert_eq!(want(&mut state, 2, TaskState::Shutdown), 1);
    assert_eq!(want(&mut state, 3, TaskState::Running), 0);
    assert_eq!(want(&mut state, 4, TaskState::Remove), 1);
    assert_eq!(state.task(&"t1".into()).unwrap().desired, TaskState::Remove);
    assert_eq!(state.task(&"t1".into()).unwrap().meta.touched, 4);
}
