//! What a container holds of its networks: addresses and ports, taken and given back in memory, at once. Cables that are
//! no longer needed are pulled in the background.

use super::attached::{self, Placed, Places};
use super::endpoint::{Attach, Endpoint, Place, Published, ways_out};
use super::names::Seen;
use super::ports::{host_addresses, wanted_ports};
use super::record::Record;
use super::table::{NetworkTable, State};
use super::{asked, sub};
use crate::containers::Record as Container;
use crate::error::{Error, Result, conflict, invalid, not_found, system};
use crate::ids;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::ipam;
use shoal_node_core_host::netplan::{self, Mode, Protocol};
use shoal_node_drivers_network::{HostPort, Netns, PortGuard, Resolver, has_v6};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What one container holds.
#[derive(Default)]
pub(super) struct Held {
    pub endpoints: Vec<Endpoint>,
    pub guards: Vec<PortGuard>,
    /// Its namespace, once it has one.
    pub netns: Option<Arc<Netns>>,
    pub seen: Option<Arc<Seen>>,
    pub resolver: Option<Resolver>,
}

impl NetworkTable {
    /// Takes addresses and ports for a container that is about to start. Nothing is taken when it fails.
    pub fn allocate(&self, container: &Container, places: &Places) -> Result<Vec<Endpoint>> {
        let mode = container.host.network_mode.as_str();
        let mut wanted: Vec<(&String, &EndpointSettings)> = container.networks.iter().collect();
        // The network of `--network` is the first interface.
        let first = self.find(mode).map_or(mode.to_owned(), |record| record.name);
        wanted.sort_by_key(|(name, _)| **name != first);
        let mut held = Held::default();
        for (name, asked) in wanted {
            match self.placed(container, name, asked, places.get(name), &held.endpoints) {
                Ok(endpoint) => held.endpoints.push(endpoint),
                Err(e) => return Err(self.give_up(held, e)),
            }
        }
        if let Err(e) = self.turn_gateway(container, &mut held.endpoints) {
            return Err(self.give_up(held, e));
        }
        if let Err(e) = self.arrange_ports(container, &mut held.endpoints, &mut held.guards) {
            return Err(self.give_up(held, e));
        }
        let endpoints = held.endpoints.clone();
        self.inner.state.lock().held.insert(container.id.clone(), held);
        Ok(endpoints)
    }

    fn give_up(&self, held: Held, e: Error) -> Error {
        let mut state = self.inner.state.lock();
        held.endpoints.iter().for_each(|e| give_back(&mut state, e));
        Error::new(
            e.class,
            format!("failed to set up container networking: {}", e.message),
        )
    }

    /// As [`NetworkTable::endpoint`], on a network of this host's or, with what the cluster gave, of the cluster's.
    pub(super) fn placed(
        &self,
        c: &Container,
        name: &str,
        asked: &EndpointSettings,
        placed: Option<&Placed>,
        beside: &[Endpoint],
    ) -> Result<Endpoint> {
        let Some(placed) = placed else {
            return self.endpoint(c, name, asked, beside);
        };
        let asked = attached::given(asked, placed);
        let endpoint = self.endpoint(c, &placed.network, &asked, beside)?;
        Ok(Endpoint {
            attached: true,
            closed: placed.internal,
            ..endpoint
        })
    }

    /// One more place on a network, with addresses taken.
    pub(super) fn endpoint(
        &self,
        c: &Container,
        name: &str,
        asked: &EndpointSettings,
        beside: &[Endpoint],
    ) -> Result<Endpoint> {
        let record = self.find(name)?;
        if record.config_only {
            return Err(invalid(format!(
                "configuration-only network {name} cannot be used by containers"
            )));
        }
        super::overlay::check_place(&record, asked)?;
        let mut endpoint = Endpoint {
            network: record.name.clone(),
            network_id: record.id.clone(),
            driver: record.driver.clone(),
            endpoint_id: ids::new(),
            internal: record.internal,
            gw_priority: asked.gw_priority,
            ..Endpoint::default()
        };
        if matches!(record.driver.as_str(), "host" | "null") {
            return Ok(endpoint);
        }
        let options = record.bridge_options();
        endpoint.mtu = options.mtu;
        endpoint.name = asked::interface_name(asked, &options.prefix, beside)?;
        endpoint.switches = asked::switches(asked, &endpoint.name)?;
        endpoint.link_local = asked::link_local(asked)?;
        if !record.is_predefined() {
            endpoint.dns_names = asked::dns_names(c, asked);
        }
        endpoint.attach = self.attach(&record, &c.id, &endpoint.endpoint_id, options.icc)?;
        let mac = match asked.mac_address.as_str() {
            "" if beside.is_empty() => c.config.mac_address.as_str(),
            mac => mac,
        };
        let mac = match mac {
            "" => None,
            mac => Some(parse_mac(mac)?),
        };
        self.take_addresses(&record, asked, &mut endpoint)?;
        let first = endpoint.places().next().map(|place| place.address);
        endpoint.mac = mac.unwrap_or_else(|| netplan::mac_of(first.unwrap_or([127, 0, 0, 1].into())));
        Ok(endpoint)
    }

    fn attach(&self, record: &Record, container: &str, endpoint: &str, icc: bool) -> Result<Attach> {
        Ok(match record.driver.as_str() {
            "macvlan" | "ipvlan" => Attach::Sub {
                parent: record.link.clone(),
                kind: sub::kind(record)?,
            },
            _ => Attach::Cable {
                bridge: record.link.clone(),
                // Of this start: the last one's cable may not be gone yet.
                host_link: netplan::host_link(&self.inner.sid, container, endpoint),
                isolated: !icc,
            },
        })
    }

    fn take_addresses(
        &self,
        record: &Record,
        asked: &EndpointSettings,
        endpoint: &mut Endpoint,
    ) -> Result<()> {
        let failed = |e: ipam::Error| match e {
            ipam::Error::InUse => conflict(e.to_string()),
            ipam::Error::Exhausted { .. } => conflict(format!("{e}: {} ({})", record.name, record.id)),
            e => invalid(e.to_string()),
        };
        let l3 = matches!(endpoint.attach, Attach::Sub { kind: super::endpoint::Sub::Ipvlan { mode, .. }, .. } if mode > 0);
        let mut state = self.inner.state.lock();
        let net = state
            .networks
            .get_mut(&record.id)
            .ok_or_else(|| not_found(format!("network {} not found", record.name)))?;
        for v6 in [false, true] {
            let Some(pool) = net.pool(v6) else { continue };
            let taken = match asked::address(asked, v6)? {
                Some(address) => pool.take(address).map(|()| address),
                None => pool.take_next(),
            };
            let place = taken.map(|address| Place {
                address,
                prefix_len: pool.subnet().prefix_len(),
                gateway: match pool.gateway() {
                    _ if record.internal => None,
                    // Everything is on the link.
                    Some(_) if l3 => Some(netplan::any_address(v6)),
                    gateway => gateway,
                },
            });
            match place {
                Ok(place) if v6 => endpoint.v6 = Some(place),
                Ok(place) => endpoint.v4 = Some(place),
                Err(e) => {
                    give_back(&mut state, endpoint);
                    return Err(failed(e));
                }
            }
        }
        Ok(())
    }

    /// Publishes the ports on the endpoints that lead out; what was published before goes where they are now.
    pub(super) fn arrange_ports(
        &self,
        c: &Container,
        endpoints: &mut [Endpoint],
        guards: &mut Vec<PortGuard>,
    ) -> Result<()> {
        let before: Vec<Published> = endpoints
            .iter_mut()
            .flat_map(|e| std::mem::take(&mut e.published))
            .collect();
        let (v4, v6) = ways_out(endpoints);
        let on_bridge = |at: Option<usize>| at.filter(|at| endpoints[*at].bridge().is_some());
        let (v4, v6) = (on_bridge(v4), on_bridge(v6));
        let published = if before.is_empty() && (v4.is_some() || v6.is_some()) {
            self.reserve(c, endpoints, (v4, v6), guards)?
        } else {
            before
        };
        for one in published {
            if let Some(at) = if one.v6 { v6.or(v4) } else { v4 } {
                endpoints[at].published.push(one);
            }
        }
        self.lead(guards, endpoints);
        Ok(())
    }

    fn reserve(
        &self,
        c: &Container,
        endpoints: &[Endpoint],
        (v4, v6): (Option<usize>, Option<usize>),
        guards: &mut Vec<PortGuard>,
    ) -> Result<Vec<Published>> {
        let mut out = Vec::new();
        let of = |at: Option<usize>| {
            let endpoint = at.map(|at| &endpoints[at])?;
            Some((endpoint, self.find(&endpoint.network_id).ok()?.bridge_options()))
        };
        let (on_v4, on_v6) = (of(v4), of(v6));
        let routed = |v6: bool| {
            let on = if v6 { &on_v6 } else { &on_v4 };
            on.as_ref()
                .is_some_and(|(_, options)| options.mode(v6) == Mode::Routed)
        };
        // A container without IPv6 is reached by it all the same: what comes is passed on.
        let pass_on = self.inner.pass_on && has_v6();
        let may_pass_on = pass_on && on_v4.is_some() && on_v6.is_none() && !routed(false);
        let binding = on_v4.as_ref().and_then(|(_, options)| options.host_binding);
        for (container_port, protocol, host_ip, first, last) in wanted_ports(c)? {
            let Some(kind) = Protocol::parse(&protocol) else {
                continue;
            };
            let passed_on = kind != Protocol::Sctp && may_pass_on;
            let ips = host_addresses(&host_ip, binding, on_v4.is_some(), on_v6.is_some() || passed_on);
            let (open, ips): (Vec<IpAddr>, Vec<IpAddr>) =
                ips.into_iter().partition(|ip| routed(ip.is_ipv6()));
            let mut push = |ip: IpAddr, host_port: u16| {
                out.push(Published {
                    protocol: protocol.clone(),
                    host_ip: ip.to_string(),
                    host_port,
                    container_port,
                    v6: ip.is_ipv6(),
                });
            };
            open.into_iter().for_each(|ip| push(ip, 0));
            if ips.is_empty() {
                continue;
            }
            let targets: Vec<SocketAddr> = [&on_v4, &on_v6]
                .into_iter()
                .flatten()
                .flat_map(|(endpoint, _)| endpoint.addresses())
                .map(|address| SocketAddr::new(address, container_port))
                .collect();
            let wanted = HostPort {
                ips,
                first,
                last,
                protocol: kind,
            };
            let taken = self.inner.ports.reserve_for(&wanted, &targets).map_err(|e| {
                let on = on_v4.as_ref().or(on_v6.as_ref());
                let endpoint = on.map_or("", |(endpoint, _)| endpoint.endpoint_id.as_str());
                system(format!(
                    "driver failed programming external connectivity on endpoint {} ({endpoint}): {e}",
                    c.name
                ))
            })?;
            taken
                .iter()
                .for_each(|guard| push(guard.address().ip(), guard.port()));
            guards.extend(taken);
        }
        Ok(out)
    }

    /// Gives back what a container held; its addresses and ports are free at once.
    pub fn release(&self, container: &str, endpoints: &[Endpoint]) {
        self.forget_names(container, endpoints);
        self.leave_overlays(container);
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
        for endpoint in endpoints.iter().filter(|e| e.attached) {
            self.leave_place(&endpoint.network_id, container);
        }
        if endpoints.iter().any(|e| !e.published.is_empty())
            && let Err(error) = self.converge(false)
        {
            tracing::warn!(container, %error, "published ports could not be closed");
        }
        let _ = self.inner.pulled.send(endpoints.to_vec());
    }

    /// A container that runs on holds again what it held before the daemon went, and is answered again.
    pub fn readopt(&self, container: &Container, endpoints: &[Endpoint], pid: i32) {
        let id = container.id.as_str();
        let mut held = Held {
            endpoints: endpoints.to_vec(),
            ..Held::default()
        };
        for endpoint in endpoints {
            for place in endpoint.places() {
                let mut state = self.inner.state.lock();
                let net = state.networks.get_mut(&endpoint.network_id);
                if let Some(pool) = net.and_then(|n| n.pool(place.address.is_ipv6()))
                    && let Err(error) = pool.take(place.address)
                {
                    tracing::warn!(id, address = %place.address, %error, "an address in use could not be taken again");
                }
            }
            for p in endpoint.published.iter().filter(|p| p.host_port > 0) {
                let (Some(protocol), Some(ip)) = (Protocol::parse(&p.protocol), p.host_address()) else {
                    continue;
                };
                let wanted = HostPort {
                    ips: vec![ip],
                    first: p.host_port,
                    last: p.host_port,
                    protocol,
                };
                match self.inner.ports.reserve(&wanted) {
                    Ok(guards) => held.guards.extend(guards),
                    Err(error) => {
                        tracing::warn!(id, port = p.host_port, %error, "a published port is lost")
                    }
                }
            }
        }
        self.lead(&mut held.guards, endpoints);
        self.inner.state.lock().held.insert(id.into(), held);
        if endpoints.iter().all(|e| e.attach == Attach::None) {
            return;
        }
        let netns = Netns::of_pid(pid).map_err(super::table::driver);
        if let Err(error) = netns.and_then(|netns| {
            let netns = Arc::new(netns);
            self.enter_overlays(id, &netns, endpoints)?;
            self.settle_names(container, endpoints, Some(netns))
        }) {
            tracing::warn!(id, %error, "a container's names are not answered");
        }
    }

    /// Where what comes to an IPv6 port goes by a way on which no packet rule leads on: to a container without IPv6, or by ::1.
    pub(super) fn lead(&self, guards: &mut [PortGuard], endpoints: &[Endpoint]) {
        if !self.inner.pass_on {
            return;
        }
        for guard in guards {
            let is_it = |p: &&Published| {
                p.host_port == guard.port()
                    && p.host_address() == Some(guard.address().ip())
                    && Protocol::parse(&p.protocol) == Some(guard.protocol())
            };
            let target = endpoints.iter().find_map(|endpoint| {
                let port = endpoint.published.iter().find(is_it)?.container_port;
                let place = endpoint.v6.or(endpoint.v4)?;
                Some(SocketAddr::new(place.address, port))
            });
            if let Err(error) = guard.lead_to(target) {
                tracing::warn!(port = guard.port(), %error, "a published port does not answer there");
            }
        }
    }

    pub(super) fn held_netns(&self, container: &str) -> Option<Arc<Netns>> {
        self.inner.state.lock().held.get(container)?.netns.clone()
    }
}

pub(super) fn give_back(state: &mut State, endpoint: &Endpoint) {
    for place in endpoint.places() {
        let net = state.networks.get_mut(&endpoint.network_id);
        if let Some(pool) = net.and_then(|n| n.pool(place.address.is_ipv6())) {
            pool.release(place.address);
        }
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
