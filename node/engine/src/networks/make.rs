//! `docker network create`: what was asked for is checked, subnets are chosen, the network is on disk and in the kernel.

use super::asked::said;
use super::open::insert;
use super::record::{Record, Subnet};
use super::sub;
use super::table::{NetworkTable, driver};
use crate::clock;
use crate::error::{Result, conflict, forbidden, invalid, not_found, system};
use crate::ids;
use ipnet::IpNet;
use shoal_api_types::network::{IpamConfig, NetworkCreateRequest};
use shoal_node_core_host::bridgeopts::{self, BridgeOptions, go_bool};
use shoal_node_core_host::ipam::{self, Pool};
use std::collections::BTreeMap;
use std::net::IpAddr;

const OVERLAPS: &str = "invalid pool request: Pool overlaps with other one on this address space";

pub(super) fn make(table: &NetworkTable, request: NetworkCreateRequest) -> Result<Record> {
    let mut record = read(table, request)?;
    if record.driver == "bridge" && !record.config_only {
        let options = BridgeOptions::parse(&record.options, record.internal).map_err(invalid)?;
        let own = || format!("br-{}", ids::short(&record.id));
        record.link = options.name.unwrap_or_else(own);
        if record.ipam_driver == "null" && record.enable_ipv4 {
            return Err(invalid("ipv4 pool is empty"));
        }
        one_of_each(&record)?;
    }
    if sub::is_sub(&record) {
        sub::choose_parent(&mut record);
        sub::check(table, &record)?;
    }
    let placed = place(table, &mut record);
    let made = placed.and_then(|()| table.ensure_link(&record)).and_then(|()| {
        if record.plan().is_some() {
            table.converge(false)?;
        }
        table.save(&record)
    });
    if let Err(e) = made {
        let known = table.inner.state.lock().networks.remove(&record.id).is_some();
        if known {
            let _ = table.converge(false);
        }
        // A bridge of that name may be another network's: then this one was never in the table.
        if known && record.plan().is_some() {
            let _ = table.inner.links.remove(&record.link);
        }
        let _ = sub::remove_parent(&table.inner.links, &record);
        return Err(e);
    }
    Ok(record)
}

/// What the request says, with a configuration-only network's part in it.
fn read(table: &NetworkTable, request: NetworkCreateRequest) -> Result<Record> {
    let options = request.options.into_map();
    let ipam = request.ipam.unwrap_or_default();
    let from = request.config_from.map(|c| c.network).unwrap_or_default();
    let truth = |key: &str| match options.get(key) {
        Some(text) => go_bool(text)
            .map(Some)
            .ok_or_else(|| invalid(format!("invalid value for {key}: {text}"))),
        None => Ok(None),
    };
    let enable_ipv4 = request
        .enable_ipv4
        .or(truth(bridgeopts::ENABLE_V4)?)
        .unwrap_or(true);
    let enable_ipv6 = request
        .enable_ipv6
        .or(truth(bridgeopts::ENABLE_V6)?)
        .unwrap_or(false);
    if !matches!(ipam.driver.as_str(), "" | "default" | "null") {
        return Err(not_found(format!("plugin {:?} not found", ipam.driver)));
    }
    let mut record = Record {
        id: ids::new(),
        name: request.name.trim().to_owned(),
        created: clock::now(),
        driver: match request.driver.as_str() {
            _ if request.config_only => "null".into(),
            "" => "bridge".into(),
            driver => driver.into(),
        },
        internal: request.internal,
        attachable: request.attachable,
        enable_ipv4,
        enable_ipv6,
        config_only: request.config_only,
        config_from: from.clone(),
        labels: request.labels.into_map(),
        ipam_driver: if ipam.driver.is_empty() {
            "default".into()
        } else {
            ipam.driver.clone()
        },
        ipam_options: ipam.options.clone().into_map(),
        subnets: subnets(&ipam.config)?,
        options,
        ..Record::default()
    };
    if !from.is_empty() {
        let given = !record.options.is_empty()
            || !record.subnets.is_empty()
            || !record.labels.is_empty()
            || record.internal
            || record.enable_ipv6;
        let source = table.find(&from).ok().filter(|r| r.config_only);
        let source =
            source.ok_or_else(|| not_found(format!("configuration network {from:?} does not exist")))?;
        if given || record.config_only {
            return Err(forbidden(
                "user specified configurations are not supported if the network depends on a configuration network",
            ));
        }
        record.options = source.options;
        record.labels = source.labels;
        record.subnets = source.subnets;
        record.ipam_driver = source.ipam_driver;
        record.ipam_options = source.ipam_options;
        record.internal = source.internal;
        record.enable_ipv4 = source.enable_ipv4;
        record.enable_ipv6 = source.enable_ipv6;
    }
    if !record.enable_ipv4 && !record.enable_ipv6 {
        return Err(invalid("IPv4 or IPv6 must be enabled"));
    }
    Ok(record)
}

/// All that is wrong with the subnets is said at once.
fn subnets(config: &[IpamConfig]) -> Result<Vec<Subnet>> {
    let mut wrong = Vec::new();
    let mut out = Vec::new();
    let empty = |one: &&IpamConfig| {
        let all = [&one.subnet, &one.gateway, &one.ip_range];
        all.iter().all(|text| text.is_empty()) && one.auxiliary_addresses.is_empty()
    };
    for one in config.iter().filter(|one| !empty(one)) {
        let text = &one.subnet;
        let Ok(net) = text.parse::<IpNet>() else {
            wrong.push(format!("invalid subnet {text}: invalid CIDR block notation"));
            continue;
        };
        if net.trunc() != net {
            wrong.push(format!("invalid subnet {net}: it should be {}", net.trunc()));
        }
        let mut faults = Vec::new();
        let mut subnet = Subnet {
            net,
            range: None,
            gateway: None,
            aux: BTreeMap::new(),
            given: true,
        };
        if !one.ip_range.is_empty() {
            subnet.range = range_of(net, &one.ip_range, &mut faults);
        }
        if !one.gateway.is_empty() {
            let gateway = address_of(net, &one.gateway);
            subnet.gateway = gateway
                .map_err(|fault| faults.push(format!("invalid gateway {}: {fault}", one.gateway)))
                .ok();
        }
        for (name, text) in one.auxiliary_addresses.iter() {
            match address_of(net, text) {
                Ok(address) => drop(subnet.aux.insert(name.clone(), address)),
                Err(fault) => faults.push(format!("invalid auxiliary address {name}: {fault}")),
            }
        }
        // What is left to be wrong is the subnet itself.
        if faults.is_empty()
            && let Err(e) = Pool::new(subnet.net, subnet.range, subnet.gateway)
        {
            faults.push(e.to_string());
        }
        wrong.extend(faults);
        out.push(subnet);
    }
    said("invalid network config", &wrong)?;
    Ok(out)
}

/// A range within its subnet; otherwise all that is wrong with it.
fn range_of(net: IpNet, text: &str, faults: &mut Vec<String>) -> Option<IpNet> {
    let before = faults.len();
    let mut fault = |what: String| faults.push(format!("invalid ip-range {text}: {what}"));
    let Ok(range) = text.parse::<IpNet>() else {
        fault("invalid CIDR block notation".into());
        return None;
    };
    if ipam::is_v6(range) != ipam::is_v6(net) {
        fault(format!("parent subnet is an {} block", family(net)));
        return None;
    }
    if range.prefix_len() < net.prefix_len() {
        fault(format!("CIDR block is bigger than its parent subnet {net}"));
    }
    if range.trunc() != range {
        fault(format!("it should be {}", range.trunc()));
    }
    if !ipam::overlaps(net, range) {
        fault(format!("parent subnet {net} doesn't contain ip-range"));
    }
    (faults.len() == before).then_some(range)
}

fn address_of(net: IpNet, text: &str) -> std::result::Result<IpAddr, String> {
    let address: IpAddr = text.parse().map_err(|_| "invalid address".to_owned())?;
    if address.is_ipv6() != ipam::is_v6(net) {
        return Err(format!("parent subnet is an {} block", family(net)));
    }
    match net.contains(&address) {
        true => Ok(address),
        false => Err(format!("parent subnet {net} doesn't contain this address")),
    }
}

fn family(net: IpNet) -> &'static str {
    match ipam::is_v6(net) {
        true => "IPv6",
        false => "IPv4",
    }
}

fn one_of_each(record: &Record) -> Result<()> {
    for v6 in [false, true] {
        let of_family = || record.subnets.iter().filter(|s| ipam::is_v6(s.net) == v6);
        let pairs = of_family().flat_map(|one| of_family().map(move |other| (one, other)));
        if pairs
            .filter(|(one, other)| !std::ptr::eq(*one, *other))
            .any(|(one, other)| ipam::overlaps(one.net, other.net))
        {
            return Err(forbidden(OVERLAPS));
        }
        if of_family().count() > 1 {
            return Err(forbidden("bridge driver doesn't support multiple subnets"));
        }
    }
    Ok(())
}

/// Chooses what was left open and puts the network into the table, so that the next one sees it.
fn place(table: &NetworkTable, record: &mut Record) -> Result<()> {
    let inner = &table.inner;
    let _turn = inner.choosing.lock();
    let others = table.all();
    if others.iter().any(|r| r.name == record.name) {
        return Err(conflict(format!(
            "network with name {} already exists",
            record.name
        )));
    }
    if record.config_only {
        return insert(table, record.clone());
    }
    // The other one's containers would be on it, and removing one network would take the bridge from both.
    if let Some(other) = others
        .iter()
        .find(|r| record.driver == "bridge" && r.link == record.link)
    {
        return Err(forbidden(format!(
            "cannot create network {} ({link}): conflicts with network {} ({link}): networks have same bridge name",
            record.id,
            other.id,
            link = record.link
        )));
    }
    let theirs: Vec<IpNet> = others
        .iter()
        .filter(|r| !r.config_only)
        .flat_map(|r| r.used_subnets().map(|s| s.net).collect::<Vec<_>>())
        .collect();
    for subnet in record.used_subnets() {
        if theirs.iter().any(|other| ipam::overlaps(*other, subnet.net)) {
            return Err(forbidden(OVERLAPS));
        }
    }
    for v6 in [false, true] {
        let wanted = if v6 {
            record.enable_ipv6
        } else {
            record.enable_ipv4
        };
        if !wanted || record.subnets.iter().any(|s| ipam::is_v6(s.net) == v6) {
            continue;
        }
        let mut used = inner.links.used_subnets(None).map_err(driver)?;
        used.extend(&theirs);
        let net = ipam::pick_subnet(&inner.pools, &used, v6).map_err(|e| system(e.to_string()))?;
        let gateway = Pool::new(net, None, None)
            .map_err(|e: ipam::Error| system(e.to_string()))?
            .gateway();
        record.subnets.push(Subnet {
            net,
            range: None,
            gateway,
            aux: BTreeMap::new(),
            given: false,
        });
    }
    // Nobody has the gateway's address where there is none.
    let pools = record.pools().map_err(|e| invalid(e.to_string()))?;
    for subnet in record.subnets.iter_mut().filter(|s| !s.given) {
        let pool = pools.iter().find(|p| p.subnet() == subnet.net);
        subnet.gateway = pool.and_then(Pool::gateway);
    }
    insert(table, record.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_with_subnets_is_said_at_once() {
        let one = |subnet: &str, gateway: &str, range: &str| IpamConfig {
            subnet: subnet.into(),
            gateway: gateway.into(),
            ip_range: range.into(),
            ..IpamConfig::default()
        };
        let said = |config: &[IpamConfig]| subnets(config).map_err(|e| e.message);
        assert_eq!(
            said(&[one("10.0.0.0/24", "10.0.0.9", "10.0.0.0/25")])
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            said(&[one("10.99.3.0/24", "10.99.4.1", "")]).unwrap_err(),
            "invalid network config:\ninvalid gateway 10.99.4.1: parent subnet 10.99.3.0/24 doesn't contain this address"
        );
        assert_eq!(
            said(&[
                one("10.99.1.0/33", "", ""),
                one("10.99.3.0/24", "", "10.99.4.0/25")
            ])
            .unwrap_err(),
            "invalid network config:\n* invalid subnet 10.99.1.0/33: invalid CIDR block notation\n\
             * invalid ip-range 10.99.4.0/25: parent subnet 10.99.3.0/24 doesn't contain ip-range"
        );
        assert_eq!(
            said(&[one("10.99.3.7/24", "fd00::1", "10.99.0.0/8")]).unwrap_err(),
            "invalid network config:\n* invalid subnet 10.99.3.7/24: it should be 10.99.3.0/24\n\
             * invalid ip-range 10.99.0.0/8: CIDR block is bigger than its parent subnet 10.99.3.7/24\n\
             * invalid ip-range 10.99.0.0/8: it should be 10.0.0.0/8\n\
             * invalid gateway fd00::1: parent subnet is an IPv4 block"
        );
        assert_eq!(
            said(&[one("", "10.0.0.1", "")]).unwrap_err(),
            "invalid network config:\ninvalid subnet : invalid CIDR block notation"
        );
        assert!(said(&[one("0.0.0.0/0", "", "")]).is_err());
    }
}
