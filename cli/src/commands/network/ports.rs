//! `ports`: what the world can reach of this host's containers, and why.

use crate::app::Leaf;
use crate::format::{Column, Listing};
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;

const MODE: &str = "com.docker.network.bridge.gateway_mode_ipv";

pub fn leaf() -> Leaf {
    Leaf {
        path: &["network", "ports"],
        also: &[&["ports"]],
        about: "List what can be reached of this host's containers, by whom, and why",
        args: Listing::args,
        run: |s, m| {
            Box::pin(async move {
                let containers: Vec<Json> = s.client.get("/containers/json").await?;
                let networks: Vec<Json> = s.client.get("/networks").await?;
                let networks: BTreeMap<&str, &Json> = networks
                    .iter()
                    .filter_map(|n| Some((n["Name"].as_str()?, n)))
                    .collect();
                let mut rows: Vec<Json> = containers.iter().flat_map(|c| rows(c, &networks)).collect();
                rows.sort_by_key(|row| (row["Container"].to_string(), row["Port"].to_string()));
                let columns = &[
                    Column("CONTAINER", "Container"),
                    Column("PORT", "Port"),
                    Column("AT", "At"),
                    Column("BY", "By"),
                    Column("WHY", "Why"),
                ];
                Listing {
                    columns,
                    id: "Container",
                    rows,
                }
                .print(m)?;
                let info: Json = s.client.get("/info").await?;
                for warning in info["Warnings"].as_array().into_iter().flatten() {
                    // A firewall of the host that has the last word is part of the answer.
                    if let Some(text) = warning.as_str().filter(|w| w.contains("forward")) {
                        eprintln!("{text}");
                    }
                }
                Ok(0)
            })
        },
    }
}

/// One for each way in.
fn rows(container: &Json, networks: &BTreeMap<&str, &Json>) -> Vec<Json> {
    let name = container["Names"][0]
        .as_str()
        .unwrap_or_default()
        .trim_start_matches('/');
    let row = |port: &str, at: &str, by: String, why: String| json!({"Container": name, "Port": port, "At": at, "By": by, "Why": why});
    let on = container["NetworkSettings"]["Networks"].as_object();
    let has_v6 = on.into_iter().flatten().any(|(_, place)| {
        let address = place["GlobalIPv6Address"].as_str();
        address.is_some_and(|address| !address.is_empty())
    });
    let mut out = Vec::new();
    for port in container["Ports"].as_array().into_iter().flatten() {
        let (ip, public) = (port["IP"].as_str().unwrap_or_default(), &port["PublicPort"]);
        let Some(public) = public.as_u64().filter(|p| *p > 0) else {
            continue;
        };
        let inside = format!(
            "{}/{}",
            port["PrivatePort"],
            port["Type"].as_str().unwrap_or("tcp")
        );
        let at = if ip.contains(':') {
            format!("[{ip}]:{public}")
        } else {
            format!("{ip}:{public}")
        };
        let (by, why) = match ip {
            "0.0.0.0" | "::" => (
                "whoever reaches this host".to_owned(),
                "published on every address".to_owned(),
            ),
            ip if ip.starts_with("127.") || ip == "::1" => {
                ("this host alone".into(), "published on loopback".into())
            }
            ip => (format!("whoever reaches {ip}"), format!("published on {ip}")),
        };
        // The container has no IPv6: the daemon takes the connection and passes it on.
        let why = match ip.contains(':') && !has_v6 {
            true => format!("{why}, passed on to IPv4 by the daemon"),
            false => why,
        };
        out.push(row(&inside, &at, by, why));
    }
    for (network_name, place) in on.into_iter().flatten() {
        let Some(network) = networks.get(network_name.as_str()) else {
            continue;
        };
        let internal = network["Internal"].as_bool() == Some(true);
        for (field, family) in [("IPAddress", '4'), ("GlobalIPv6Address", '6')] {
            let address = place[field].as_str().filter(|a| !a.is_empty());
            let Some(address) = address else { continue };
            let mode = network["Options"][format!("{MODE}{family}")]
                .as_str()
                .unwrap_or("nat");
            let whoever = format!("whoever has a route to {address}");
            match (network["Driver"].as_str().unwrap_or_default(), mode) {
                ("bridge", "nat-unprotected") if !internal => {
                    out.push(row(
                        "all",
                        address,
                        whoever,
                        format!("network {network_name} is nat-unprotected"),
                    ));
                }
                ("bridge", "routed") if !internal => {
                    out.push(row(
                        "published",
                        address,
                        whoever,
                        format!("network {network_name} is routed"),
                    ));
                }
                ("macvlan" | "ipvlan", _) => {
                    let parent = network["Options"]["parent"]
                        .as_str()
                        .unwrap_or("no interface of the host");
                    out.push(row(
                        "all",
                        address,
                        format!("the network of {parent}"),
                        format!("network {network_name} is on {parent}"),
                    ));
                }
                _ => {}
            }
        }
        if network["Driver"] == "host" {
            out.push(row(
                "all",
                "this host's addresses",
                "whoever reaches this host".into(),
                "it shares the host's network".into(),
            ));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_in_has_its_reason() {
        let networks = [
            json!({"Name": "bridge", "Driver": "bridge", "Options": {}}),
            json!({"Name": "r", "Driver": "bridge", "Options": {format!("{MODE}6"): "routed"}}),
            json!({"Name": "host", "Driver": "host", "Options": {}}),
        ];
        let networks: BTreeMap<&str, &Json> = networks
            .iter()
            .map(|n| (n["Name"].as_str().unwrap(), n))
            .collect();
        let container = json!({
            "Names": ["/web"],
            "Ports": [
                {"IP": "0.0.0.0", "PrivatePort": 80, "PublicPort": 8080, "Type": "tcp"},
                {"IP": "127.0.0.1", "PrivatePort": 81, "PublicPort": 8081, "Type": "tcp"},
                {"PrivatePort": 82, "Type": "tcp"},
            ],
            "NetworkSettings": {"Networks": {
                "bridge": {"IPAddress": "172.17.0.2"},
                "r": {"IPAddress": "10.0.0.2", "GlobalIPv6Address": "fd00::2"},
            }},
        });
        let rows = rows(&container, &networks);
        let by: Vec<&str> = rows.iter().map(|r| r["By"].as_str().unwrap()).collect();
        assert_eq!(
            by,
            [
                "whoever reaches this host",
                "this host alone",
                "whoever has a route to fd00::2"
            ]
        );
        assert_eq!(rows[1]["At"], "127.0.0.1:8081");
        let host = json!({"Names": ["/h"], "NetworkSettings": {"Networks": {"host": {}}}});
        assert_eq!(super::rows(&host, &networks)[0]["Port"], "all");
    }
}
