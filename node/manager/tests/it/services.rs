use crate::harness::{Node, create, eventually, running, service, spec, tasks};
use shoal_api_backend::{Class, Logs, Swarm as _, UpdateService};
use shoal_api_types::Filters;
use shoal_api_types::swarm::ServiceSpec;
use std::collections::BTreeSet;
use tokio_stream::StreamExt as _;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_lives_on_all_nodes() {
    let manager = Node::init("m1").await;
    let worker = Node::worker_of("w1", &manager).await;
    let id = create(&manager, spec("web", 6)).await;
    let took = eventually("six tasks run", || async {
        running(&manager, &id).await.len() == 6
    })
    .await;
    println!("six tasks after {took:?}");
    assert_eq!(manager.host.running().len(), 3);
    assert_eq!(worker.host.running().len(), 3);

    let name = manager
        .swarm
        .create_service(spec("web", 1), String::new(), false)
        .await
        .unwrap_err();
    assert_eq!(name.class, Class::Conflict);
    assert!(
        name.message.contains("name conflicts with an existing object"),
        "{name}"
    );

    // A container ends: another takes its place.
    let victim = worker.host.running()[0].clone();
    worker.host.end(&victim, 1);
    eventually("it is replaced", || async {
        let all = tasks(&manager, &id).await;
        let failed = all.iter().find(|t| t.id == victim.as_str());
        failed.is_some_and(|t| t.status.state == "failed" && t.status.err == "task: non-zero exit (1)")
            && running(&manager, &id).await.len() == 6
    })
    .await;

    // Scaled, with the version that was read; a second time with the same version is out of sequence.
    let read = service(&manager, "web").await;
    let options = UpdateService {
        version: read.meta.version.index,
        ..Default::default()
    };
    manager
        .swarm
        .update_service("web", options.clone(), spec("web", 2))
        .await
        .unwrap();
    let stale = manager
        .swarm
        .update_service("web", options, spec("web", 9))
        .await
        .unwrap_err();
    assert!(stale.message.contains("update out of sequence"), "{stale}");
    eventually("two are left", || async {
        running(&manager, &id).await.len() == 2
            && manager.host.containers.lock().len() + worker.host.containers.lock().len() <= 3
    })
    .await;

    // Updated and rolled back.
    let read = service(&manager, "web").await;
    let mut changed = read.spec.clone();
    changed.task_template.container_spec.as_mut().unwrap().image = "other".into();
    let options = UpdateService {
        version: read.meta.version.index,
        ..Default::default()
    };
    manager
        .swarm
        .update_service("web", options, changed.clone())
        .await
        .unwrap();
    let image = async |image: &str| {
        let running = running(&manager, &id).await;
        running.len() == 2
            && running
                .iter()
                .all(|t| t.spec.container_spec.as_ref().unwrap().image == image)
    };
    eventually("both have the new image", || image("other")).await;
    eventually("the update is complete", || async {
        service(&manager, "web")
            .await
            .update_status
            .is_some_and(|s| s.state == "completed")
    })
    .await;
    let options = UpdateService {
        version: service(&manager, "web").await.meta.version.index,
        rollback: "previous".into(),
        ..Default::default()
    };
    manager
        .swarm
        .update_service("web", options, changed)
        .await
        .unwrap();
    eventually("both have the old image", || image("tiny")).await;

    // Logs of all tasks, wherever they are.
    let options = Logs {
        stdout: true,
        details: true,
        ..Default::default()
    };
    let mut logs = manager.swarm.service_logs("web", options).await.unwrap();
    let mut text = Vec::new();
    while let Some(frame) = logs.frames.next().await {
        text.extend_from_slice(&frame.unwrap());
    }
    let text = String::from_utf8_lossy(&text).into_owned();
    for task in running(&manager, &id).await {
        assert!(text.contains(&task.id), "{text}");
    }

    let listed = manager.swarm.services(Filters::new(), true).await.unwrap();
    assert_eq!(listed[0].service_status.as_ref().unwrap().running_tasks, 2);

    // Drained: everything moves.
    let node = manager.swarm.node("w1").await.unwrap();
    let mut spec = node.spec.clone();
    spec.availability = "drain".into();
    manager
        .swarm
        .update_node(&node.id, node.meta.version.index, spec)
        .await
        .unwrap();
    eventually("nothing runs on the drained node", || async {
        worker.host.running().is_empty() && running(&manager, &id).await.len() == 2
    })
    .await;

    manager.swarm.remove_service("web").await.unwrap();
    eventually("nothing is left", || async {
        tasks_of_all(&manager).await == 0
            && manager.host.containers.lock().is_empty()
            && worker.host.containers.lock().is_empty()
    })
    .await;
    let missing = manager.swarm.service("web", false).await.unwrap_err();
    assert_eq!(
        (missing.class, missing.message.as_str()),
        (Class::NotFound, "service web not found")
    );
    manager.swarm.shutdown().await;
    worker.swarm.shutdown().await;
}

async fn tasks_of_all(node: &Node) -> usize {
    node.swarm.tasks(Filters::new()).await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_services_are_refused_in_words() {
    let node = Node::init("m1").await;
    let refused = async |change: serde_json::Value| {
        let mut value = serde_json::to_value(spec("web", 1)).unwrap();
        for (key, with) in change.as_object().unwrap() {
            value[key] = with.clone();
        }
        let spec: ServiceSpec = serde_json::from_value(value).unwrap();
        node.swarm
            .create_service(spec, String::new(), false)
            .await
            .unwrap_err()
    };
    let ingress = serde_json::json!({"Ports": [{"TargetPort": 80, "PublishedPort": 80}]});
    let mut first = spec("first", 0);
    first.endpoint_spec = serde_json::from_value(ingress.clone()).unwrap();
    create(&node, first).await;
    let error = refused(serde_json::json!({"EndpointSpec": ingress})).await;
    assert_eq!(error.class, Class::InvalidParameter);
    assert!(
        error
            .message
            .contains("port '80' is already in use by service 'first'"),
        "{error}"
    );
    let nowhere = serde_json::json!({"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": "nowhere"}]});
    let error = refused(serde_json::json!({"TaskTemplate": nowhere})).await;
    assert_eq!(
        (error.class, error.message.as_str()),
        (Class::NotFound, "network nowhere not found")
    );
    let explicit = serde_json::json!({"ContainerSpec": {"Image": "a"}, "Networks": [{"Target": "ingress"}]});
    let error = refused(serde_json::json!({"TaskTemplate": explicit})).await;
    assert!(
        error
            .message
            .contains("explicitly attached to the ingress network"),
        "{error}"
    );
    for change in [
        serde_json::json!({"Name": "not a name"}),
        serde_json::json!({"TaskTemplate": {"ContainerSpec": {}}}),
        serde_json::json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}, "Placement": {"Constraints": ["nonsense"]}}}),
        serde_json::json!({"TaskTemplate": {"ContainerSpec": {"Image": "a"}, "RestartPolicy": {"Condition": "sometimes"}}}),
    ] {
        let error = refused(change.clone()).await;
        assert_eq!(error.class, Class::InvalidParameter, "{change}: {error}");
    }
    let rejected = create(&node, {
        let mut spec = spec("rejected", 1);
        spec.task_template.container_spec.as_mut().unwrap().image = "missing".into();
        spec
    })
    .await;
    eventually("the reason is shown", || async {
        let tasks = tasks(&node, &rejected).await;
        tasks
            .iter()
            .any(|t| t.status.state == "rejected" && t.status.err == "No such image: missing")
    })
    .await;
    node.swarm.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_global_service_runs_once_on_each_node() {
    let manager = Node::init("m1").await;
    let mut global = spec("everywhere", 1);
    global.mode = serde_json::from_value(serde_json::json!({"Global": {}})).unwrap();
    let id = create(&manager, global).await;
    eventually("one", || async { running(&manager, &id).await.len() == 1 }).await;
    let worker = Node::worker_of("w1", &manager).await;
    eventually("the newcomer gets one, too", || async {
        let nodes: BTreeSet<String> = running(&manager, &id)
            .await
            .into_iter()
            .map(|t| t.node_id)
            .collect();
        nodes.len() == 2
    })
    .await;
    manager.swarm.shutdown().await;
    worker.swarm.shutdown().await;
}

/// As dockerd 28.5 does: a rollback exchanges the two specs, so a second one goes forth again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rollback_exchanges_the_specs() {
    let manager = Node::init("m1").await;
    let id = create(&manager, spec("web", 0)).await;
    let change = async |label: Option<&str>| {
        let read = service(&manager, "web").await;
        let mut spec = read.spec.clone();
        let rollback = if label.is_none() { "previous" } else { "" };
        if let Some(label) = label {
            spec.annotations.labels.insert("v", label.to_owned());
        }
        let options = UpdateService {
            version: read.meta.version.index,
            rollback: rollback.into(),
            ..Default::default()
        };
        manager.swarm.update_service("web", options, spec).await
    };
    let shown = async || {
        let read = service(&manager, "web").await;
        let previous = read
            .previous_spec
            .map(|spec| spec.annotations.labels.get("v").cloned());
        (read.spec.annotations.labels.get("v").cloned(), previous)
    };
    let refused = change(None).await.unwrap_err();
    assert_eq!(
        refused.message,
        format!("rpc error: code = FailedPrecondition desc = service {id} does not have a previous spec")
    );
    assert_eq!(refused.class, shoal_api_backend::Class::InvalidParameter);
    let (old, new) = (None, Some("2".to_owned()));
    change(Some("2")).await.unwrap();
    assert_eq!(shown().await, (new.clone(), Some(old.clone())));
    change(None).await.unwrap();
    assert_eq!(shown().await, (old.clone(), Some(new.clone())));
    change(None).await.unwrap();
    assert_eq!(shown().await, (new, Some(old)));
    manager.swarm.shutdown().await;
}
