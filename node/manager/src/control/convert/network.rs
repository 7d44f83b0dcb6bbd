//! `/networks`, as far as they are the cluster's.

use super::{annotations, annotations_from, meta, timestamp};
use serde_json::json;
use shoal_api_backend::{Error, Result};
use shoal_api_types::network::{Ipam, IpamConfig, Network as Shown, NetworkCreateRequest};
use shoal_api_types::{Dict, Slice, swarm as api};
use shoal_node_core_cluster::allocator::Wish;
use shoal_raft_objects::network::OVERLAY;
use shoal_raft_objects::{Network, NetworkSpec};
use std::collections::BTreeMap;

const VXLAN_IDS: &str = "com.docker.network.driver.overlay.vxlanid_list";

/// What a user asks for: the spec, and the wishes for its subnets.
pub fn spec_from(request: &NetworkCreateRequest) -> Result<(NetworkSpec, Vec<Wish>)> {
    let driver = match request.driver.as_str() {
        "" => OVERLAY,
        other => other,
    };
    let wishes = request
        .ipam
        .iter()
        .flat_map(|ipam| ipam.config.iter())
        .map(|config| Wish {
            subnet: config.subnet.clone(),
            gateway: config.gateway.clone(),
            ip_range: config.ip_range.clone(),
            reserved: config
                .auxiliary_addresses
                .clone()
                .into_map()
                .into_values()
                .collect(),
        });
    let ipam = request
        .ipam
        .as_ref()
        .map(serde_json::to_value)
        .transpose()
        .map_err(|e| Error::invalid(e.to_string()))?;
    let spec = NetworkSpec {
        annotations: annotations_from(&api::Annotations {
            name: request.name.trim().to_owned(),
            labels: request.labels.clone(),
        }),
        driver: driver.to_owned(),
        driver_options: request.options.clone().into_map(),
        internal: request.internal,
        attachable: request.attachable,
        ingress: request.ingress,
        ipv6: request.enable_ipv6.unwrap_or(false),
        ipam,
    };
    Ok((spec, wishes.collect()))
}

pub fn network(network: &Network) -> Shown {
    let spec = &network.spec;
    Shown {
        name: spec.annotations.name.clone(),
        id: network.id.to_string(),
        created: timestamp(network.meta.created_at),
        scope: "swarm".into(),
        driver: spec.driver.clone(),
        enable_ipv4: true,
        enable_ipv6: spec.ipv6,
        ipam: Ipam {
            driver: "default".into(),
            options: Dict::nil(),
            config: subnets(network),
        },
        internal: spec.internal,
        attachable: spec.attachable,
        ingress: spec.ingress,
        containers: Dict::nil(),
        options: Dict(Some(options(network))),
        labels: match spec.annotations.labels.is_empty() {
            true => Dict::nil(),
            false => Dict(Some(spec.annotations.labels.clone())),
        },
        ..Shown::default()
    }
}

fn subnets(network: &Network) -> Slice<IpamConfig> {
    let subnets = network.subnets.iter().map(|subnet| IpamConfig {
        subnet: subnet.subnet.clone(),
        ip_range: subnet.ip_range.clone(),
        gateway: subnet.gateway.clone(),
        ..IpamConfig::default()
    });
    Slice(Some(subnets.collect()))
}

fn options(network: &Network) -> BTreeMap<String, String> {
    let mut options = network.spec.driver_options.clone();
    if let Some(vni) = network.vni {
        options.insert(VXLAN_IDS.into(), vni.to_string());
    }
    options
}

/// As a task's attachment shows it.
pub fn attached(network: &Network) -> api::SwarmNetwork {
    let spec = &network.spec;
    let mut shown = json!({
        "Name": spec.annotations.name,
        "Labels": annotations(&spec.annotations).labels,
        "DriverConfiguration": {"Name": spec.driver, "Options": spec.driver_options},
        "IPAMOptions": {"Driver": {"Name": "default"}, "Configs": subnets(network)},
        "Scope": "swarm",
    });
    for (key, set) in [
        ("Internal", spec.internal),
        ("Attachable", spec.attachable),
        ("Ingress", spec.ingress),
    ] {
        if set {
            shown[key] = json!(true);
        }
    }
    api::SwarmNetwork {
        id: network.id.to_string(),
        meta: meta(&network.meta),
        spec: shown,
        driver_state: Some(shoal_api_types::mount::Driver {
            name: spec.driver.clone(),
            options: Dict(Some(options(network))),
        }),
        ipam_options: Some(json!({"Driver": {"Name": "default"}, "Configs": subnets(network)})),
    }
}
