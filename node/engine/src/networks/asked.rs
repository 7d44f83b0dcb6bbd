//! What a user says about a container's place on a network, read and checked.

use super::endpoint::Endpoint;
use super::record::Record;
use crate::containers::Record as Container;
use crate::error::{Result, invalid};
use crate::ids;
use ipnet::IpNet;
use shoal_api_types::network::EndpointSettings;
use shoal_node_core_host::bridgeopts::check_link;
use std::net::IpAddr;

const INTERFACE: &str = "com.docker.network.endpoint.ifname";
const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Only what may be asked for: what a client copies out of an inspection comes back with it.
pub fn wishes(asked: EndpointSettings) -> EndpointSettings {
    EndpointSettings {
        ipam_config: asked.ipam_config,
        links: asked.links,
        aliases: asked.aliases,
        driver_opts: asked.driver_opts,
        gw_priority: asked.gw_priority,
        mac_address: asked.mac_address,
        ..EndpointSettings::default()
    }
}

/// What is wrong with it, all of it, in Docker's words. `record` is the network, where there is one.
pub fn check(asked: &EndpointSettings, record: &Record) -> Result<()> {
    let mut wrong = Vec::new();
    let config = asked.ipam_config.clone().unwrap_or_default();
    if record.is_predefined() && !asked.aliases.is_empty() {
        wrong.push(
            "network-scoped alias is supported only for containers in user defined networks".to_owned(),
        );
    }
    let by_user = |v6: bool| {
        record
            .subnets
            .iter()
            .any(|s| s.net.addr().is_ipv6() == v6 && s.given)
    };
    for (text, v6) in [(&config.ipv4_address, false), (&config.ipv6_address, true)] {
        if text.is_empty() {
            continue;
        }
        if record.is_predefined() {
            wrong.push("user specified IP address is supported on user defined networks only".into());
        }
        match text.parse::<IpAddr>() {
            Ok(address) if address.is_ipv6() == v6 => {
                let subnets = record.subnets.iter().filter(|s| s.net.addr().is_ipv6() == v6);
                if record.is_predefined() {
                    // Said above.
                } else if !by_user(v6) {
                    wrong.push(
                        "user specified IP address is supported only when connecting to networks with user configured subnets"
                            .into(),
                    );
                } else if !subnets.clone().any(|s| s.net.contains(&address)) {
                    wrong.push(format!(
                        "no configured subnet or ip-range contain the IP address {address}"
                    ));
                }
            }
            _ => wrong.push(format!(
                "invalid IPv{} address: {text}",
                if v6 { "6" } else { "4" }
            )),
        }
    }
    for text in config.link_local_ips.iter() {
        if text.parse::<IpAddr>().is_err() {
            wrong.push(format!("invalid link-local IP address: {text}"));
        }
    }
    if !asked.mac_address.is_empty()
        && let Err(e) = super::parse_mac(&asked.mac_address)
    {
        wrong.push(e.message);
    }
    said("invalid endpoint settings", &wrong)
}

/// Several errors as Docker lists them.
pub fn said(what: &str, wrong: &[String]) -> Result<()> {
    match wrong {
        [] => Ok(()),
        [one] => Err(invalid(format!("{what}:\n{one}"))),
        many => Err(invalid(format!("{what}:\n* {}", many.join("\n* ")))),
    }
}

pub fn address(asked: &EndpointSettings, v6: bool) -> Result<Option<IpAddr>> {
    let Some(config) = &asked.ipam_config else {
        return Ok(None);
    };
    let text = if v6 {
        &config.ipv6_address
    } else {
        &config.ipv4_address
    };
    match text.as_str() {
        "" => Ok(None),
        text => text
            .parse()
            .map(Some)
            .map_err(|_| invalid(format!("invalid IP address: {text}"))),
    }
}

/// On the link in any case, as Docker has them.
pub fn link_local(asked: &EndpointSettings) -> Result<Vec<IpNet>> {
    let config = asked.ipam_config.clone().unwrap_or_default();
    let parse = |text: &String| {
        let address: IpAddr = text
            .parse()
            .map_err(|_| invalid(format!("invalid link-local IP address: {text}")))?;
        let length = if address.is_ipv6() { 64 } else { 16 };
        IpNet::new(address, length).map_err(|e| invalid(e.to_string()))
    };
    config.link_local_ips.iter().map(parse).collect()
}

/// Container name, aliases, short id, host name: each once.
pub fn dns_names(c: &Container, asked: &EndpointSettings) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let host = (c.config.hostname != ids::short(&c.id)).then(|| c.config.hostname.clone());
    let all = std::iter::once(c.name.clone())
        .chain(asked.aliases.iter().cloned())
        .chain([ids::short(&c.id).to_owned()])
        .chain(host);
    for name in all.filter(|n| !n.is_empty()) {
        if !out.contains(&name) {
            out.push(name);
        }
    }
    out
}

/// As the API shows them of a container that is not running.
pub fn shown_names(c: &Container, asked: &EndpointSettings) -> shoal_api_types::Slice<String> {
    super::endpoint::names(&dns_names(c, asked))
}

/// The one that was asked for, else the first free number behind the network's prefix.
pub fn interface_name(asked: &EndpointSettings, prefix: &str, beside: &[Endpoint]) -> Result<String> {
    let taken = |name: &str| name == "lo" || beside.iter().any(|e| e.name == name);
    if let Some(name) = asked.driver_opts.get(INTERFACE) {
        check_link(name).map_err(invalid)?;
        if taken(name) {
            return Err(invalid(format!("interface name {name:?} is used already")));
        }
        return Ok(name.clone());
    }
    let name = (0..).map(|n| format!("{prefix}{n}")).find(|name| !taken(name));
    name.ok_or_else(|| invalid("no interface name is left"))
}

/// `net.ipv4.conf.IFNAME.log_martians=1,…` as (path below /proc/sys/net, value).
pub fn switches(asked: &EndpointSettings, interface: &str) -> Result<Vec<(String, String)>> {
    let Some(text) = asked.driver_opts.get(SYSCTLS) else {
        return Ok(Vec::new());
    };
    let parse = |word: &str| {
        let bad = || {
            invalid(format!(
                "invalid endpoint settings:\nunable to parse sysctl {word}: expected net.X.Y.IFNAME.Z=V"
            ))
        };
        let (key, value) = word.split_once('=').ok_or_else(bad)?;
        let parts: Vec<&str> = key.split('.').collect();
        let fits = |part: &str| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
        };
        match parts.as_slice() {
            [
                "net",
                family @ ("ipv4" | "ipv6" | "mpls"),
                kind @ ("conf" | "neigh"),
                "IFNAME",
                rest,
            ] if fits(rest) => Ok((format!("{family}/{kind}/{interface}/{rest}"), value.to_owned())),
            _ => Err(bad()),
        }
    };
    text.split(',')
        .map(str::trim)
        .filter(|w| !w.is_empty())
        .map(parse)
        .collect()
}
