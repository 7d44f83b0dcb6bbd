//! What a service's labels say of its published ports beside what Docker's own options can. Each names ports by
//! `PORT[/PROTOCOL][,…]`, or `all`.
//!
//! `shoal.publish.local-first`: a node that has tasks of the service sends what comes to it by that port to these alone, while
//! one of them runs.
//!
//! `shoal.publish.proxy-protocol`: whoever is connected by that port (TCP) is told to the task by a header of the PROXY
//! protocol, version 2; the node that the client comes to is the task's peer.

use crate::validate::{Invalid, invalid};
use shoal_raft_objects::PortConfig;
use std::collections::BTreeMap;

pub const LOCAL_FIRST: &str = "shoal.publish.local-first";
pub const PROXY_PROTOCOL: &str = "shoal.publish.proxy-protocol";

/// Which published ports a label names.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Chosen {
    All,
    /// Protocol and published port.
    Some(Vec<(String, u16)>),
}

/// Refuses a label that names no ports, or ports that cannot have what it is for.
pub fn check(labels: &BTreeMap<String, String>) -> Result<(), Invalid> {
    chosen(labels, LOCAL_FIRST)?;
    if let Some(Chosen::Some(ports)) = chosen(labels, PROXY_PROTOCOL)?
        && let Some((protocol, port)) = ports.iter().find(|(protocol, _)| protocol != "tcp")
    {
        return invalid(format!(
            "invalid label {PROXY_PROTOCOL}: the PROXY protocol is for tcp, not for {port}/{protocol}"
        ));
    }
    Ok(())
}

/// Those of `ports` that the label names, by protocol and published port. A label that cannot be read names none.
pub fn named<'p>(
    labels: &BTreeMap<String, String>,
    label: &str,
    ports: impl Iterator<Item = &'p PortConfig>,
) -> Vec<(String, u16)> {
    let all = ports.map(|p| (protocol(&p.protocol).to_owned(), p.published_port));
    match chosen(labels, label) {
        Ok(Some(Chosen::All)) => all.collect(),
        Ok(Some(Chosen::Some(some))) => all.filter(|port| some.contains(port)).collect(),
        Ok(None) | Err(_) => Vec::new(),
    }
}

fn chosen(labels: &BTreeMap<String, String>, label: &str) -> Result<Option<Chosen>, Invalid> {
    let Some(value) = labels.get(label) else {
        return Ok(None);
    };
    if value == "all" {
        return Ok(Some(Chosen::All));
    }
    let mut some = Vec::new();
    for one in value.split(',') {
        let (port, of) = one.split_once('/').unwrap_or((one, "tcp"));
        let known = ["tcp", "udp", "sctp"].contains(&of);
        match port.parse::<u16>() {
            Ok(port) if port > 0 && known => some.push((of.to_owned(), port)),
            _ => {
                return invalid(format!(
                    "invalid label {label}={value}: it should be all, or published ports such as 8080,53/udp"
                ));
            }
        }
    }
    Ok(Some(Chosen::Some(some)))
}

fn protocol(given: &str) -> &str {
    if given.is_empty() { "tcp" } else { given }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(label: &str, value: &str) -> BTreeMap<String, String> {
        [(label.to_owned(), value.to_owned())].into()
    }

    #[test]
    fn ports_are_chosen_by_number_and_protocol() {
        let port = |protocol: &str, published_port| PortConfig {
            protocol: protocol.into(),
            published_port,
            ..Default::default()
        };
        let ports = [port("", 80), port("udp", 53), port("tcp", 53)];
        let chosen = |value: &str| named(&labels(LOCAL_FIRST, value), LOCAL_FIRST, ports.iter());
        assert_eq!(chosen("all").len(), 3);
        assert_eq!(chosen("80,53/udp"), [("tcp".into(), 80), ("udp".into(), 53)]);
        assert!(chosen("81").is_empty());
        assert!(named(&BTreeMap::new(), LOCAL_FIRST, ports.iter()).is_empty());
        for bad in ["", "yes", "0", "80,", "80/http", "70000"] {
            let refusal = check(&labels(LOCAL_FIRST, bad)).unwrap_err().to_string();
            assert!(refusal.contains("such as 8080"), "{refusal}");
            assert!(chosen(bad).is_empty());
        }
        assert!(check(&labels(LOCAL_FIRST, "all")).is_ok() && check(&BTreeMap::new()).is_ok());
        assert!(check(&labels(PROXY_PROTOCOL, "80")).is_ok());
        let refusal = check(&labels(PROXY_PROTOCOL, "80,53/udp"))
            .unwrap_err()
            .to_string();
        assert!(refusal.contains("is for tcp, not for 53/udp"), "{refusal}");
    }
}
