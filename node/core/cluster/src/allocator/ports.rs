//! Published ports: which numbers a service gets.
//!
//! A host-mode port binds on the node of each task and is only passed through. An ingress port belongs to one service
//! in the whole cluster; without a wish it gets a free number of [`DYNAMIC`].

use shoal_raft_objects::{Endpoint, EndpointSpec, PortConfig, Service, ServiceId};
use shoal_raft_store::State;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// Docker's range for ports that the cluster chooses.
pub const DYNAMIC: RangeInclusive<u16> = 30_000..=32_767;

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Error {
    /// Docker's text.
    #[error("port '{port}' is already in use by service '{service}' ({id}) as an ingress port")]
    Taken {
        port: u16,
        service: String,
        id: ServiceId,
    },
    #[error("no published port of {protocol} is free between {} and {}", DYNAMIC.start(), DYNAMIC.end())]
    Exhausted { protocol: String },
}

/// The endpoint of a service with this spec. A port that the service has already (`current`) keeps its number.
/// Ask it when the service is created or changed, so that the answer is part of the same proposal.
pub fn endpoint(
    state: &State,
    service: &ServiceId,
    spec: Option<&EndpointSpec>,
    current: &Endpoint,
) -> Result<Endpoint, Error> {
    let spec = spec.cloned().unwrap_or_default();
    let mut ports = Vec::with_capacity(spec.ports.len());
    let mut given: BTreeSet<(String, u16)> = BTreeSet::new();
    for wish in &spec.ports {
        let mut port = normal(wish);
        if port.publish_mode == "ingress" {
            let taken = |number: u16| {
                given.contains(&(port.protocol.clone(), number))
                    || holder(state, service, &port.protocol, number).is_some()
            };
            if port.published_port != 0 {
                if let Some(holder) = holder(state, service, &port.protocol, port.published_port) {
                    return Err(Error::Taken {
                        port: port.published_port,
                        service: holder.spec.name.clone(),
                        id: holder.id.clone(),
                    });
                }
            } else {
                let kept = current
                    .ports
                    .iter()
                    .find(|p| {
                        p.publish_mode == "ingress"
                            && p.protocol == port.protocol
                            && p.target_port == port.target_port
                            && DYNAMIC.contains(&p.published_port)
                    })
                    .map(|p| p.published_port)
                    .filter(|number| !taken(*number));
                port.published_port = kept
                    .or_else(|| DYNAMIC.clone().find(|number| !taken(*number)))
                    .ok_or_else(|| Error::Exhausted {
                        protocol: port.protocol.clone(),
                    })?;
            }
            given.insert((port.protocol.clone(), port.published_port));
        }
        ports.push(port);
    }
    Ok(Endpoint {
        spec,
        ports,
        virtual_ips: current.virtual_ips.clone(),
        err: String::new(),
    })
}

/// The ports that a task made now would carry.
pub fn ports_of(service: &Service) -> Vec<PortConfig> {
    let wanted = service.spec.endpoint_spec.clone().unwrap_or_default();
    if service.endpoint.spec == wanted {
        return service.endpoint.ports.clone();
    }
    let host = |port: &PortConfig| port.publish_mode == "host";
    wanted.ports.iter().map(normal).filter(host).collect()
}

fn normal(port: &PortConfig) -> PortConfig {
    let mut port = port.clone();
    if port.protocol.is_empty() {
        port.protocol = "tcp".into();
    }
    if port.publish_mode.is_empty() {
        port.publish_mode = "ingress".into();
    }
    port
}

/// The other service that publishes this port through ingress.
fn holder<'a>(state: &'a State, service: &ServiceId, protocol: &str, number: u16) -> Option<&'a Service> {
    state
        .services()
        .iter()
        .filter(|other| other.id != *service)
        .find(|other| {
            // What it asks for counts from the moment that it is asked for.
            let asked = other.spec.endpoint_spec.iter().flat_map(|e| &e.ports).map(normal);
            other.endpoint.ports.iter().cloned().chain(asked).any(|port| {
                port.publish_mode == "ingress" && port.published_port == number && port.protocol == protocol
            })
        })
        .map(|other| &**other)
}
