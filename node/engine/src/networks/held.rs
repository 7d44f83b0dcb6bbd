//! What a container holds of its networks: addresses and ports, taken and given back in memory, at once. Cables that are
//! no longer needed are pulled in the background.

use super::endpoint::{Endpoint, Published};
use super::ports::wanted_ports;
use super::table::{NetworkTable, State};
use crate::containers::Record as Container;
use crate::error::{Result, conflict, invalid, not_found, system};
use crate::ids;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::netplan::{self, Protocol};
use shoal_node_drivers_network::{HostPort, PortGuard};
use std::net::{Ipv4Addr, SocketAddrV4};

/// What one container holds.
#[derive(Default)]
pub(super) struct Held {
    pub endpoints: Vec<Endpoint>,
    guards: Vec<PortGuard>,
}

impl NetworkTable {
    /// Takes addresses and ports for a container that is about to start. Nothing is taken when it fails.
    pub fn allocate(&self, container: &Container) -> Result<Vec<Endpoint>> {
        let mode = container.host.network_mode.as_str();
        let mut wanted: Vec<(&String, &EndpointSettings)> = container.networks.iter().collect();
        // The network of `--network` is the first interface and the way out.
        wanted.sort_by_key(|(name, _)| name.as_str() != mode);
        let mut held = Held::default();
        for (index, (name, asked)) in wanted.into_iter().enumerate() {
            let one = self.endpoint(container, name, asked, index);
            match one.and_then(|e| self.publish(container, e, index == 0, &mut held.guards)) {
                Ok(endpoint) => held.endpoints.push(endpoint),
                Err(e) => {
                    let mut state = self.inner.state.lock();
                    held.endpoints.iter().for_each(|e| give_back(&mut state, e));
                    return Err(e);
                }
            }
        }
        let endpoints = held.endpoints.clone();
        self.inner.state.lock().held.insert(container.id.clone(), held);
        Ok(endpoints)
    }

    fn endpoint(
        &self,
        c: &Container,
        name: &str,
        asked: &EndpointSettings,
        index: usize,
    ) -> Result<Endpoint> {
        let record = self.find(name)?;
        let bad = |e: shoal_node_core_host::ipam::Error| match e {
            shoal_node_core_host::ipam::Error::InUse => conflict(e.to_string()),
            e => invalid(e.to_string()),
        };
        let mac = match asked.mac_address.as_str() {
            "" => match c.config.mac_address.as_str() {
                mac if index == 0 && !mac.is_empty() => Some(parse_mac(mac)?),
                _ => None,
            },
            mac => Some(parse_mac(mac)?),
        };
        let mut state = self.inner.state.lock();
        let net = state
            .networks
            .get_mut(&record.id)
            .ok_or_else(|| not_found(format!("network {name} not found")))?;
        let Some(pool) = net.pool.as_mut() else {
            return Err(invalid(format!("network {name} cannot be joined in this way")));
        };
        let asked_ip = asked
            .ipam_config
            .as_ref()
            .map(|c| c.ipv4_address.as_str())
            .unwrap_or_default();
        let address = if asked_ip.is_empty() {
            pool.take_next().map_err(bad)?
        } else {
            if record.is_predefined() {
                return Err(invalid(
                    "invalid config for network bridge: invalid endpoint settings:\nuser specified IP address is supported on user defined networks only",
                ));
            }
            let address = asked_ip
                .parse()
                .map_err(|_| invalid(format!("invalid IPv4 address: {asked_ip}")))?;
            pool.take(address).map_err(bad)?;
            address
        };
        let endpoint_id = ids::new();
        Ok(Endpoint {
            network: record.name.clone(),
            network_id: record.id.clone(),
            // Of this start: the last one's cable may not be gone yet.
            host_link: netplan::host_link(&self.inner.sid, &c.id, &endpoint_id),
            endpoint_id,
            bridge: record.bridge.clone(),
            name: format!("eth{index}"),
            address,
            prefix_len: pool.subnet().prefix_len(),
            gateway: pool.gateway(),
            is_default: index == 0 && !record.internal,
            internal: record.internal,
            isolated: !record.icc,
            mtu: record.mtu,
            mac: mac.unwrap_or_else(|| netplan::mac_of(address)),
            published: Vec::new(),
        })
    }

    /// Reserves the ports of the first endpoint. On an error the endpoint's address is given back.
    fn publish(
        &self,
        c: &Container,
        mut endpoint: Endpoint,
        first: bool,
        guards: &mut Vec<PortGuard>,
    ) -> Result<Endpoint> {
        let asked = if first && !endpoint.internal {
            wanted_ports(c)
        } else {
            Ok(Vec::new())
        };
        let reserved = asked.and_then(|asked| {
            for (container_port, protocol, host_ip, first, last) in asked {
                let ip = host_ip.parse().unwrap_or(Ipv4Addr::UNSPECIFIED);
                let Some(kind) = Protocol::parse(&protocol) else { continue };
                let target = SocketAddrV4::new(endpoint.address, container_port);
                let wanted = HostPort { ip, first, last, protocol: kind };
                let guard = self.inner.ports.reserve_for(wanted, target).map_err(|e| {
                    system(format!(
                        "failed to set up container networking: driver failed programming external connectivity on endpoint {} ({}): {e}",
                        c.name, endpoint.endpoint_id
                    ))
                })?;
                endpoint.published.push(Published { protocol, host_ip, host_port: guard.port(), container_port });
                guards.push(guard);
            }
            Ok(())
        });
        match reserved {
            Ok(()) => Ok(endpoint),
            Err(e) => {
                give_back(&mut self.inner.state.lock(), &endpoint);
                Err(e)
            }
        }
    }

    /// Gives back what a container held; its addresses and ports are free at once.
    pub fn release(&self, container: &str, endpoints: &[Endpoint]) {
        let held = {
            let mut state = self.inner.state.lock();
            let held = state.held.remove(container);
            // Once only: what was given back may be another container's by now.
            held.iter()
                .flat_map(|h| &h.endpoints)
                .for_each(|e| give_back(&mut state, e));
            held
        };
        drop(held);
        if endpoints.iter().any(|e| !e.published.is_empty())
            && let Err(error) = self.converge(false)
        {
            tracing::warn!(container, %error, "published ports could not be closed");
        }
        let _ = self.inner.pulled.send(endpoints.to_vec());
    }

    /// A container that runs on holds again what it held before the daemon went.
    pub fn readopt(&self, container: &str, endpoints: &[Endpoint]) {
        let mut held = Held {
            endpoints: endpoints.to_vec(),
            guards: Vec::new(),
        };
        for endpoint in endpoints {
            if let Some(pool) = self
                .inner
                .state
                .lock()
                .networks
                .get_mut(&endpoint.network_id)
                .and_then(|n| n.pool.as_mut())
                && let Err(error) = pool.take(endpoint.address)
            {
                tracing::warn!(container, address = %endpoint.address, %error, "an address in use could not be taken again");
            }
            for p in &endpoint.published {
                let Some(protocol) = Protocol::parse(&p.protocol) else {
                    continue;
                };
                let ip = p.host_address().unwrap_or(Ipv4Addr::UNSPECIFIED);
                match self.inner.ports.reserve(HostPort {
                    ip,
                    first: p.host_port,
                    last: p.host_port,
                    protocol,
                }) {
                    Ok(guard) => held.guards.push(guard),
                    Err(error) => {
                        tracing::warn!(container, port = p.host_port, %error, "a published port is lost")
                    }
                }
            }
        }
        self.inner.state.lock().held.insert(container.into(), held);
    }
}

fn give_back(state: &mut State, endpoint: &Endpoint) {
    if let Some(pool) = state
        .networks
        .get_mut(&endpoint.network_id)
        .and_then(|n| n.pool.as_mut())
    {
        pool.release(endpoint.address);
    }
}

/// Six bytes in hexadecimal.
pub fn parse_mac(text: &str) -> Result<[u8; 6]> {
    let byte = |word: &str| match word.bytes().all(|b| b.is_ascii_hexdigit()) {
        true => u8::from_str_radix(word, 16).ok(),
        false => None,
    };
    let bytes: Option<Vec<u8>> = text.split([':', '-']).map(byte).collect();
    bytes
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| invalid(format!("invalid MAC address: {text}")))
}

#[cfg(test)]
mod tests {
    use super::parse_mac;

    #[test]
    fn hardware_addresses_are_six_whole_bytes() {
        assert_eq!(
            parse_mac("02:42:ac:11:00:02").unwrap(),
            [2, 0x42, 0xac, 0x11, 0, 2]
        );
        assert_eq!(
            parse_mac("02-42-ac-11-00-02").unwrap(),
            [2, 0x42, 0xac, 0x11, 0, 2]
        );
        for bad in [
            "",
            "02:42:zz:ac:11:00:02",
            "02:42:ac:11:00",
            "02:42:ac:11:00:+2",
            "2:42:ac:11:00:102",
        ] {
            assert!(parse_mac(bad).is_err(), "{bad}");
        }
    }
}
