use crate::fake::Fake;
use crate::wire::{Daemon, golden};
use serde_json::{Value, json};
use shoal_api_http::router;

/// Mounts have no order in the reference.
fn settled(mut container: Value) -> Value {
    if let Some(mounts) = container["Mounts"].as_array_mut() {
        mounts.sort_by_key(|mount| mount["Destination"].to_string());
    }
    if let Some(members) = container.as_object_mut() {
        members.remove("SizeRw");
        members.remove("SizeRootFs");
    }
    container
}

#[tokio::test]
async fn containers_look_as_the_reference_shows_them_to_each_age() {
    let daemon = Daemon::start().await;
    for version in ["1.24", "1.43", "1.47"] {
        let ours = daemon
            .get(&format!("/v{version}/containers/golden/json"))
            .await
            .json();
        let theirs = golden(&format!("container_inspect_v{version}"));
        assert_eq!(settled(ours), settled(theirs), "API {version}");
    }
    let new = daemon.get("/v1.52/containers/golden/json").await.json();
    let mut keys: Vec<_> = new["NetworkSettings"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    keys.sort();
    assert_eq!(keys, ["Networks", "Ports", "SandboxID", "SandboxKey"]);
    assert!(new["Config"].get("OnBuild").is_none());
}

#[tokio::test]
async fn lists_of_containers_have_what_each_age_knows() {
    let daemon = Daemon::start().await;
    // The same containers again and again, whose texts are kept.
    for (version, annotated, health) in [
        ("1.52", true, true),
        ("1.45", false, false),
        ("1.51", true, false),
        ("1.46", true, false),
        ("1.24", false, false),
        ("1.55", true, true),
    ] {
        let reply = daemon.get(&format!("/v{version}/containers/json")).await;
        let list = reply.json();
        let all = list.as_array().unwrap();
        assert_eq!(all.len(), golden("container_list").as_array().unwrap().len());
        for one in all {
            let annotations = &one["HostConfig"]["Annotations"];
            assert_eq!(annotations == &json!({"a": "<b>"}), annotated, "API {version}");
            assert_eq!(one.get("Health").is_some(), health, "API {version}");
        }
        let text = reply.text();
        assert_eq!(text.contains(r#"{"a":"\u003cb\u003e"}"#), annotated, "{text}");
        assert!(text.ends_with("}]\n"));
    }
}

#[tokio::test]
async fn images_look_as_the_reference_shows_them_to_each_age() {
    let daemon = Daemon::start().await;
    for version in ["1.24", "1.42", "1.43", "1.47", "1.51"] {
        let ours = daemon
            .get(&format!("/v{version}/images/golden/json"))
            .await
            .json();
        assert_eq!(
            ours,
            golden(&format!("image_inspect_v{version}")),
            "API {version}"
        );
    }
    let list = |version: &str| {
        let target = format!("/v{version}/images/json");
        let daemon = &daemon;
        async move { daemon.get(&target).await.json()[0].clone() }
    };
    let old = list("1.42").await;
    assert_eq!(old["RepoTags"], json!(["<none>:<none>"]));
    assert_eq!(old["RepoDigests"], json!(["<none>@<none>"]));
    assert_eq!((&old["VirtualSize"], &old["Containers"]), (&json!(5), &json!(-1)));
    let new = list("1.51").await;
    assert_eq!(
        (&new["RepoTags"], &new["RepoDigests"], &new["Containers"]),
        (&json!([]), &json!([]), &json!(2))
    );
    assert!(new.get("VirtualSize").is_none());
}

#[tokio::test]
async fn info_looks_as_the_reference_shows_it_to_each_age() {
    let daemon = Daemon::start().await;
    for version in ["1.24", "1.41"] {
        let ours = daemon.get(&format!("/v{version}/info")).await.json();
        let theirs = golden(&format!("info_v{version}"));
        for key in [
            "BridgeNfIptables",
            "BridgeNfIp6tables",
            "SecurityOptions",
            "FirewallBackend",
            "Containerd",
            "DiscoveredDevices",
        ] {
            assert_eq!(ours.get(key), theirs.get(key), "{key} in API {version}");
        }
        assert_eq!(ours["RegistryConfig"], theirs["RegistryConfig"], "API {version}");
    }
    let new = daemon.get("/v1.51/info").await.json();
    let theirs = golden("info");
    for key in theirs.as_object().unwrap().keys().filter(|key| *key != "Swarm") {
        assert_eq!(new.get(key), theirs.get(key), "{key}");
    }
    assert_eq!(new["Swarm"]["LocalNodeState"], "inactive");
}

#[tokio::test]
async fn disk_usage_changed_its_shape() {
    let daemon = Daemon::start().await;
    let old = daemon.get("/v1.41/system/df?type=image").await.json();
    assert!(
        old["Volumes"].is_array(),
        "the parameter is newer than the client"
    );
    let some = daemon.get("/v1.51/system/df?type=container").await.json();
    assert!(some["Volumes"].is_null() && some.get("BuilderSize").is_none());
    let new = daemon.get("/v1.52/system/df?type=volume").await.json();
    assert!(new["VolumeUsage"]["TotalCount"].is_u64() && new.get("Volumes").is_none());
    assert!(new["VolumeUsage"].get("Items").is_none());
    assert!(daemon.get("/v1.52/system/df?verbose=1").await.json()["VolumeUsage"]["Items"].is_array());
}

#[tokio::test]
async fn requests_lose_what_their_version_did_not_have() {
    let fake = Fake::default();
    let daemon = Daemon::serving(router(fake.backends())).await;
    let body = json!({
        "Image": "i", "Healthcheck": {"Test": ["CMD", "x"], "StartInterval": 5}, "MacAddress": "02:00:00:00:00:01",
        "HostConfig": {"Annotations": {"a": "b"}, "KernelMemory": 5, "PidsLimit": 0, "Mounts": [
            {"Type": "bind", "Source": "/a", "Target": "/b", "ReadOnly": true}
        ]}
    });
    for version in ["1.39", "1.43", "1.51"] {
        assert_eq!(
            daemon
                .post(&format!("/v{version}/containers/create"), &body.to_string())
                .await
                .status,
            201
        );
    }
    {
        let created = fake.0.created.lock().unwrap();
        let (first, second, third) = (&created[0].request, &created[1].request, &created[2].request);
        assert_eq!(first.host_config.ipc_mode, "shareable");
        assert_eq!(first.host_config.cgroupns_mode, "host");
        assert!(first.host_config.annotations.is_empty() && first.host_config.resources.pids_limit.is_none());
        assert_eq!(second.host_config.annotations.len(), 1);
        assert_eq!(second.config.healthcheck.as_ref().unwrap().start_interval, 0);
        assert!(
            second.host_config.mounts[0]
                .bind_options
                .as_ref()
                .unwrap()
                .read_only_non_recursive
        );
        assert_eq!(third.config.healthcheck.as_ref().unwrap().start_interval, 5);
        assert!(third.host_config.mounts[0].bind_options.is_none());
        assert_eq!(third.host_config.resources.kernel_memory, 0);
        let endpoint = third
            .networking_config
            .endpoints_config
            .get("bridge")
            .unwrap()
            .as_ref()
            .unwrap();
        assert_eq!(endpoint.mac_address, "02:00:00:00:00:01");
    }
    let subpath = json!({"Image": "i", "HostConfig": {"Mounts": [{"Type": "volume", "Target": "/b", "VolumeOptions": {"Subpath": "s"}}]}});
    assert_eq!(
        daemon
            .post("/v1.44/containers/create", &subpath.to_string())
            .await
            .status,
        400
    );
    assert_eq!(
        daemon
            .post("/v1.45/containers/create", &subpath.to_string())
            .await
            .status,
        201
    );
    let all = daemon.call("POST", "/v1.41/volumes/prune", "", "").await.json();
    assert_eq!(
        all["VolumesDeleted"],
        json!(["true"]),
        "named volumes were pruned too"
    );
    let job = json!({"Name": "s", "Mode": {"ReplicatedJob": {}}}).to_string();
    assert_eq!(
        daemon.post("/v1.40/services/create", &job).await.json()["Warnings"][1],
        "false"
    );
    assert_eq!(
        daemon.post("/v1.41/services/create", &job).await.json()["Warnings"][1],
        "true"
    );
}
