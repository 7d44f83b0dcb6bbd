use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use shoal_api_types::*;
use std::path::PathBuf;

fn read(name: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(format!("{name}.json"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every difference between two values, as `path: before → after`.
fn differences(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    match (before, after) {
        (Value::Object(a), Value::Object(b)) => {
            for (key, value) in a {
                match b.get(key) {
                    Some(other) => differences(&format!("{path}.{key}"), value, other, found),
                    None => found.push(format!("{path}.{key}: lost {value}")),
                }
            }
            for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
                found.push(format!("{path}.{key}: added {value}"));
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (value, other)) in a.iter().zip(b).enumerate() {
                differences(&format!("{path}[{index}]"), value, other, found);
            }
        }
        _ if before == after => {}
        _ => found.push(format!("{path}: {before} → {after}")),
    }
}

#[track_caller]
fn round_trip<T: DeserializeOwned + Serialize>(name: &str) {
    let text = read(name);
    for line in text.lines() {
        let before: Value = serde_json::from_str(line).unwrap();
        let value: T = decode(line.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        let after: Value = serde_json::from_str(&serde_json::to_string(&value).unwrap()).unwrap();
        let mut found = Vec::new();
        differences(name, &before, &after, &mut found);
        assert!(found.is_empty(), "{}", found.join("\n"));
    }
}

#[test]
fn containers() {
    use container::*;
    for name in ["created", "plain", "exited"] {
        round_trip::<ContainerInspect>(&format!("container_{name}_inspect"));
    }
    round_trip::<ContainerInspect>("container_inspect");
    round_trip::<Vec<ContainerSummary>>("container_list");
    round_trip::<CreateResponse>("container_create");
    round_trip::<TopResponse>("container_top");
    round_trip::<Stats>("container_stats");
    round_trip::<Vec<FilesystemChange>>("container_changes");
    round_trip::<WaitResponse>("container_wait");
    round_trip::<UpdateResponse>("container_update");
    round_trip::<exec::ExecInspect>("exec_inspect_new");
    round_trip::<exec::ExecInspect>("exec_inspect");
}

#[test]
fn images() {
    for version in ["1.43", "1.47", "1.51"] {
        round_trip::<Vec<image::ImageSummary>>(&format!("image_list_v{version}"));
    }
    round_trip::<image::ImageInspect>("image_inspect_v1.51");
    round_trip::<Vec<image::HistoryItem>>("image_history");
    round_trip::<Vec<image::ImageDeleteItem>>("image_delete");
}

#[test]
fn networks_and_volumes() {
    round_trip::<network::Network>("network_inspect");
    round_trip::<Vec<network::Network>>("network_list");
    round_trip::<Vec<network::Network>>("network_swarm_list");
    round_trip::<volume::Volume>("volume");
    round_trip::<volume::VolumeListResponse>("volume_list");
}

#[test]
fn system() {
    round_trip::<system::Version>("version");
    round_trip::<system::Info>("info");
    round_trip::<system::Info>("info_swarm");
    round_trip::<system::DiskUsage>("system_df");
    round_trip::<event::EventMessage>("events");
}

#[test]
fn swarm() {
    use swarm::*;
    round_trip::<Cluster>("swarm_inspect");
    round_trip::<Vec<Node>>("node_list");
    round_trip::<Service>("service_inspect");
    round_trip::<Service>("service_defaults");
    round_trip::<Service>("service_updated_inspect");
    round_trip::<Vec<Service>>("service_list");
    round_trip::<Vec<Task>>("task_list");
    round_trip::<ServiceCreateResponse>("service_create");
    round_trip::<ServiceUpdateResponse>("service_update");
    round_trip::<Vec<Secret>>("secret_list");
    round_trip::<Vec<Config>>("config_list");
}

#[test]
fn requests_keep_what_they_say() {
    let request: container::CreateRequest = decode(read("container_create_request").as_bytes()).unwrap();
    assert_eq!(request.config.image, "shoaltest");
    assert_eq!(
        request.config.exposed_ports.keys().collect::<Vec<_>>(),
        ["80/tcp"]
    );
    let host = &request.host_config;
    assert_eq!(
        (host.resources.memory, host.resources.pids_limit, host.init),
        (67_108_864, Some(50), Some(true))
    );
    assert_eq!(host.restart_policy.maximum_retry_count, 2);
    assert_eq!(
        host.mounts[0].tmpfs_options.as_ref().unwrap().size_bytes,
        1_048_576
    );
    assert!(host.links.is_nil());
    let service: swarm::ServiceSpec = decode(read("service_create_request").as_bytes()).unwrap();
    assert_eq!(service.annotations.name, "contract-gold");
    assert_eq!(service.mode.replicated.unwrap().replicas, Some(1));
    let task = service.task_template;
    assert_eq!(
        task.container_spec.unwrap().stop_grace_period,
        Some(3_000_000_000)
    );
    assert_eq!(task.placement.unwrap().constraints[0], "node.role==manager");
}
