//! Published ports.

use crate::fixture::{cluster, create, spec};
use serde_json::json;
use shoal_node_core_cluster::allocator::endpoint;
use shoal_raft_objects::{Endpoint, EndpointSpec, Service};

fn wish(ports: serde_json::Value) -> EndpointSpec {
    serde_json::from_value(json!({"Ports": ports})).unwrap()
}

#[test]
fn ingress_ports_are_unique_in_the_cluster_and_host_ports_pass_through() {
    let mut state = cluster();
    let ports = wish(
        json!([{"TargetPort": 80}, {"TargetPort": 81, "PublishedPort": 8081},
        {"TargetPort": 82, "PublishedPort": 8081, "PublishMode": "host"}]),
    );
    let first = endpoint(&state, &"a".into(), Some(&ports), &Endpoint::default()).unwrap();
    let numbers: Vec<_> = first.ports.iter().map(|p| p.published_port).collect();
    assert_eq!(numbers, [30000, 8081, 8081]);
    create(
        &mut state,
        Service {
            id: "a".into(),
            spec: spec(json!({"Name": "a"})),
            endpoint: first.clone(),
            ..Default::default()
        },
    );
    let other = endpoint(
        &state,
        &"b".into(),
        Some(&wish(json!([{"TargetPort": 9}]))),
        &Endpoint::default(),
    );
    assert_eq!(other.unwrap().ports[0].published_port, 30001);
    let taken = wish(json!([{"TargetPort": 9, "PublishedPort": 8081}]));
    let refusal = endpoint(&state, &"b".into(), Some(&taken), &Endpoint::default()).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "port '8081' is already in use by service 'a' (a) as an ingress port"
    );
    // A port that was given stays.
    let again = endpoint(&state, &"a".into(), Some(&ports), &first).unwrap();
    assert_eq!(again, first);
}
