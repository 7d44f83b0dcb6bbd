//! Which ports a container wants on the host.

use crate::containers::Record as Container;
use crate::error::{Result, invalid};
use shoal_node_core_host::ports;
use std::net::IpAddr;

pub(super) type Wanted = (u16, String, String, u16, u16);

/// (container port, protocol, host address, first and last host port)
pub(super) fn wanted_ports(c: &Container) -> Result<Vec<Wanted>> {
    let mut out = Vec::new();
    for (port, bindings) in c.host.port_bindings.iter() {
        let (number, protocol) = ports::parse(port).map_err(invalid)?;
        let any = [shoal_api_types::container::PortBinding::default()];
        let bindings = if bindings.is_empty() {
            &any[..]
        } else {
            &bindings[..]
        };
        for binding in bindings {
            let (first, last) = ports::parse_host(&binding.host_port).map_err(invalid)?;
            out.push((number, protocol.to_string(), binding.host_ip.clone(), first, last));
        }
    }
    if c.host.publish_all_ports {
        for port in c
            .config
            .exposed_ports
            .keys()
            .filter(|p| !c.host.port_bindings.contains_key(p))
        {
            let (number, protocol) = ports::parse(port).map_err(invalid)?;
            out.push((number, protocol.to_string(), String::new(), 0, 0));
        }
    }
    Ok(out)
}

/// Where a port goes on the host, family by family: the addresses asked for, or the defaults of the network.
pub(super) fn host_addresses(
    asked: &str,
    default_v4: Option<IpAddr>,
    has_v4: bool,
    has_v6: bool,
) -> Vec<IpAddr> {
    let any = |v6| shoal_node_core_host::netplan::any_address(v6);
    match asked.parse::<IpAddr>() {
        Ok(ip) if ip.is_ipv6() => {
            if has_v6 {
                vec![ip]
            } else {
                Vec::new()
            }
        }
        Ok(ip) => {
            if has_v4 {
                vec![ip]
            } else {
                Vec::new()
            }
        }
        Err(_) => {
            let mut out = Vec::new();
            if has_v4 {
                out.push(default_v4.unwrap_or(any(false)));
            }
            // A network that is bound to an address of one family stays on it.
            if has_v6 && default_v4.is_none_or(|ip| ip.is_unspecified()) {
                out.push(any(true));
            }
            out
        }
    }
}
