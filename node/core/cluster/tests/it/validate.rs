//! Requests that are refused, in Docker's words.

use crate::fixture::spec;
use serde_json::{Value, json};
use shoal_node_core_cluster::validate;

fn merged(mut base: Value, path: &str, value: Value) -> Value {
    let mut at = &mut base;
    for member in path.split('.') {
        if !at.is_object() {
            *at = json!({});
        }
        at = &mut at[member];
    }
    *at = value;
    base
}

#[test]
fn each_wrong_member_has_its_text() {
    let good = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": "busybox:1.36"}}});
    assert_eq!(validate::service(&spec(good.clone())), Ok(()));
    let table: Vec<(&str, Value, &str)> = vec![
        ("Name", json!(""), "meta: name must be provided"),
        ("Name", json!("a b"), "name must be valid as a DNS name component"),
        (
            "Name",
            json!("x".repeat(64)),
            "name must be 63 characters or fewer",
        ),
        (
            "TaskTemplate.ContainerSpec",
            Value::Null,
            "ContainerSpec: missing in service spec",
        ),
        (
            "TaskTemplate.ContainerSpec.Image",
            json!(""),
            "ContainerSpec: image reference must be provided",
        ),
        (
            "TaskTemplate.ContainerSpec.Image",
            json!("A B"),
            "ContainerSpec: \"A B\" is not a valid repository/tag",
        ),
        (
            "TaskTemplate.ContainerSpec.Mounts",
            json!([{"Target": "/a"}, {"Target": "/a"}]),
            "ContainerSpec: duplicate mount point: /a",
        ),
        (
            "TaskTemplate.ContainerSpec.Secrets",
            json!([{"SecretID": "1", "SecretName": "s1", "File": {"Name": "f"}}, {"SecretID": "2", "SecretName": "s2", "File": {"Name": "f"}}]),
            "secret references 's1' and 's2' have a conflicting target: 'f'",
        ),
        (
            "TaskTemplate.Resources.Limits.NanoCPUs",
            json!(1000),
            "invalid cpu value 0.000001: Must be at least 0.001",
        ),
        (
            "TaskTemplate.Resources.Reservations.MemoryBytes",
            json!(1024),
            "invalid memory value 1024: Must be at least 4MiB",
        ),
        (
            "TaskTemplate.RestartPolicy.Delay",
            json!(-1),
            "TaskSpec: restart-delay cannot be negative",
        ),
        (
            "TaskTemplate.Placement.Constraints",
            json!(["node.role=manager"]),
            "constraint expected one operator from ==, !=",
        ),
        (
            "UpdateConfig.Delay",
            json!(-1),
            "TaskSpec: update-delay cannot be negative",
        ),
        (
            "UpdateConfig.MaxFailureRatio",
            json!(1.5),
            "TaskSpec: update-maxfailureratio cannot be less than 0 or bigger than 1",
        ),
        (
            "EndpointSpec",
            json!({"Mode": "dnsrr", "Ports": [{"TargetPort": 80}]}),
            "EndpointSpec: port published with ingress mode can't be used with dnsrr mode",
        ),
        (
            "EndpointSpec.Ports",
            json!([{"TargetPort": 80, "PublishedPort": 80}, {"TargetPort": 81, "PublishedPort": 80}]),
            "EndpointSpec: duplicate published ports provided",
        ),
    ];
    for (path, value, text) in table {
        let wrong = spec(merged(good.clone(), path, value));
        let refusal = validate::service(&wrong).expect_err(text);
        assert_eq!(refusal.to_string(), text);
    }
}

#[test]
fn good_references_are_let_through() {
    for image in [
        "busybox",
        "library/busybox:latest",
        "localhost:5000/a/b:c",
        "registry.example.com/a@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    ] {
        let good = json!({"Name": "web", "TaskTemplate": {"ContainerSpec": {"Image": image}}});
        assert_eq!(validate::service(&spec(good)), Ok(()), "{image}");
    }
}
