//! Networks of the cluster: made, shown, allocated, refused, removed.

use crate::harness::{Node, create, eventually, spec, tasks};
use shoal_api_backend::{Class, Swarm as _};
use shoal_api_types::Filters;
use shoal_api_types::network::NetworkCreateRequest;

fn wish(name: &str, more: serde_json::Value) -> NetworkCreateRequest {
    let mut value = serde_json::json!({"Name": name, "Driver": "overlay"});
    for (key, with) in more.as_object().unwrap() {
        value[key] = with.clone();
    }
    serde_json::from_value(value).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn networks_have_their_own_subnets_and_services_their_addresses() {
    let node = Node::init("m1").await;
    let none = serde_json::json!({});
    let listed = node.swarm.networks(Filters::new()).await.unwrap();
    assert_eq!(listed.len(), 1);
    assert!(listed[0].ingress && listed[0].name == "ingress" && listed[0].scope == "swarm");
    // Every task that publishes a port has an address there, and every such service.
    let roomy = listed[0].ipam.config.iter().next().unwrap().subnet.clone();
    assert!(roomy.ends_with("/16"), "{roomy}");

    let front = node
        .swarm
        .create_network(wish("front", none.clone()))
        .await
        .unwrap()
        .id;
    let back = node
        .swarm
        .create_network(wish("back", none.clone()))
        .await
        .unwrap()
        .id;
    let subnet = async |id: &str| {
        let shown = node.swarm.network(id, false).await.unwrap();
        let vni = shown
            .options
            .get("com.docker.network.driver.overlay.vxlanid_list")
            .cloned();
        (
            shown.ipam.config.iter().next().unwrap().subnet.clone(),
            vni.unwrap(),
        )
    };
    let (a, b) = (subnet(&front).await, subnet("back").await);
    assert!(a.0.ends_with("/24") && a.0 != b.0, "{a:?} {b:?}");
    assert_eq!((a.1.as_str(), b.1.as_str()), ("4097", "4098"));

    let again = node.swarm.create_network(wish("front", none)).await.unwrap_err();
    assert_eq!(again.class, Class::Conflict);
    let taken = serde_json::json!({"IPAM": {"Config": [{"Subnet": a.0}]}});
    let overlap = node.swarm.create_network(wish("third", taken)).await.unwrap_err();
    assert!(
        overlap.message.contains("Pool overlaps with other one"),
        "{overlap}"
    );

    let mut web = spec("web", 2);
    let networks = serde_json::json!([{"Target": "front", "Aliases": ["www"]}, {"Target": back}]);
    web.task_template.networks = serde_json::from_value(networks).unwrap();
    let ports = serde_json::json!({"Ports": [{"TargetPort": 80}]});
    web.endpoint_spec = serde_json::from_value(ports).unwrap();
    let id = create(&node, web).await;
    eventually("every task has its places", || async {
        let tasks = tasks(&node, &id).await;
        let placed = tasks.iter().filter(|t| t.networks_attachments.len() == 3);
        placed.count() == 2
    })
    .await;
    let service = node.swarm.service(&id, false).await.unwrap();
    assert_eq!(service.endpoint.virtual_ips.len(), 3);
    let port = service.endpoint.ports.iter().next().unwrap().published_port;
    assert_eq!(port, 30_000);

    let used = node.swarm.remove_network("front").await.unwrap_err();
    assert!(used.message.contains("is in use by service"), "{used}");
    node.swarm.remove_service(&id).await.unwrap();
    eventually("the network can go", || async {
        node.swarm.remove_network("front").await.is_ok()
    })
    .await;
    assert_eq!(
        node.swarm.network(&front, false).await.unwrap_err().class,
        Class::NotFound
    );
    node.swarm.shutdown().await;
}
