//! Which ports a container wants on the host.

use crate::containers::Record as Container;
use crate::error::{Result, invalid};
use shoal_node_core_host::ports;

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
            // There is no IPv6 here yet; `::` is what clients add beside `0.0.0.0`.
            if binding.host_ip.contains(':') {
                continue;
            }
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
