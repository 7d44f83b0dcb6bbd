//! `shoal network …`.

mod doctor;
mod ports;

use crate::app::Leaf;
use crate::commands::container_shared::{inspect, prune};
use crate::commands::options::{Opt, Takes::*, args, lay, opt};
use crate::commands::parse::*;
use crate::format::{Column, Listing, short_id};
use clap::Arg;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["network", "ls"],
            also: &[&["network", "list"]],
            about: "List networks",
            args: Listing::args,
            run: |s, m| {
                Box::pin(async move {
                    let found: Vec<Json> = s
                        .client
                        .get(&query("/networks", &[("filters", &filters(m)?)]))
                        .await?;
                    let whole = m.get_flag("no-trunc");
                    let mut rows: Vec<Json> = found
                        .iter()
                        .map(|n| {
                            let id = n["Id"].as_str().unwrap_or_default();
                            json!({
                                "ID": if whole { id.to_owned() } else { short_id(id) }, "Name": n["Name"], "Driver": n["Driver"],
                                "Scope": n["Scope"], "Internal": n["Internal"].to_string(), "IPv4": n["EnableIPv4"].to_string(), "IPv6": n["EnableIPv6"].to_string(), "CreatedAt": n["Created"].as_str().unwrap_or_default().replace('T', " ").replace('Z', " +0000 UTC"),
                                "Labels": crate::commands::container_shared::ls::labels(&n["Labels"]),
                            })
                        })
                        .collect();
                    rows.sort_by_key(|r| r["Name"].as_str().unwrap_or_default().to_owned());
                    let columns = &[
                        Column("NETWORK ID", "ID"),
                        Column("NAME", "Name"),
                        Column("DRIVER", "Driver"),
                        Column("SCOPE", "Scope"),
                    ];
                    Listing {
                        columns,
                        id: "ID",
                        rows,
                    }
                    .print(m)?;
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["network", "inspect"],
            also: &[],
            about: "Display detailed information on one or more networks",
            args: inspect::args,
            run: |s, m| Box::pin(inspect::print(s, m, &["network"])),
        },
        Leaf {
            path: &["network", "create"],
            also: &[],
            about: "Create a network",
            args: |c| {
                name(c, "NETWORK")
                    .arg(
                        one("driver", "string", "Driver to manage the Network")
                            .short('d')
                            .default_value("bridge"),
                    )
                    .arg(many(
                        "subnet",
                        "Subnet in CIDR format that represents a network segment",
                    ))
                    .arg(many("gateway", "IPv4 or IPv6 Gateway for the master subnet"))
                    .arg(many("ip-range", "Allocate container ip from a sub-range"))
                    .arg(many("label", "Set metadata on a network"))
                    .arg(many("opt", "Set driver specific options").short('o'))
                    .arg(switch("internal", "Restrict external access to the network"))
                    .arg(switch("attachable", "Enable manual container attachment"))
                    .arg(many(
                        "aux-address",
                        "Auxiliary IPv4 or IPv6 addresses used by Network driver",
                    ))
                    .arg(one(
                        "config-from",
                        "string",
                        "The network from which to copy the configuration",
                    ))
                    .arg(switch("config-only", "Create a configuration only network"))
                    .arg(switch("ingress", "Create swarm routing-mesh network"))
                    .arg(
                        one("ipam-driver", "string", "IP Address Management Driver").default_value("default"),
                    )
                    .arg(many("ipam-opt", "Set IPAM driver specific options"))
                    .arg(switch("ipv4", "Enable or disable IPv4 address assignment").default_value("true"))
                    .arg(switch("ipv6", "Enable or disable IPv6 address assignment"))
                    .arg(one("scope", "string", "Control the network's scope"))
            },
            run: |s, m| {
                Box::pin(async move {
                    let mut config: Vec<Json> = list(m, "subnet")
                        .iter()
                        .map(|subnet| json!({"Subnet": subnet}))
                        .collect();
                    // Each goes to a subnet of its family; whether it lies in it is the daemon's to say.
                    let v6 = |text: &str| text.contains(':');
                    for (key, values) in [("Gateway", list(m, "gateway")), ("IPRange", list(m, "ip-range"))] {
                        for value in values {
                            let fits = |c: &&mut Json| {
                                c[key].is_null() && c["Subnet"].as_str().is_some_and(|s| v6(s) == v6(&value))
                            };
                            match config.iter_mut().find(fits) {
                                Some(subnet) => subnet[key] = json!(value),
                                None => anyhow::bail!("no matching subnet for {value}"),
                            }
                        }
                    }
                    for (name, address) in pairs(&list(m, "aux-address")) {
                        let is_v6 = address.as_str().is_some_and(v6);
                        let fits = |c: &&mut Json| c["Subnet"].as_str().is_some_and(|s| v6(s) == is_v6);
                        match config.iter_mut().find(fits) {
                            Some(subnet) => subnet["AuxiliaryAddresses"][name] = address,
                            None => anyhow::bail!("no matching subnet for aux-address {address}"),
                        }
                    }
                    let mut body = json!({
                        "Name": required(m, "name")?, "Driver": text(m, "driver"), "Internal": on(m, "internal"),
                        "Attachable": on(m, "attachable"), "Labels": pairs(&list(m, "label")), "Options": pairs(&list(m, "opt")),
                        "IPAM": {"Driver": text(m, "ipam-driver"), "Options": pairs(&list(m, "ipam-opt")), "Config": config},
                        "Ingress": on(m, "ingress"), "ConfigOnly": on(m, "config-only"),
                        "Scope": text(m, "scope").unwrap_or_default(),
                    });
                    if let Some(from) = text(m, "config-from") {
                        body["ConfigFrom"] = json!({"Network": from});
                    }
                    if !on(m, "ipv4") {
                        body["EnableIPv4"] = json!(false);
                    }
                    if on(m, "ipv6") {
                        body["EnableIPv6"] = json!(true);
                    }
                    let made: Json = s
                        .client
                        .json(Method::POST, "/networks/create", Body::json(&body)?)
                        .await?;
                    println!("{}", made["Id"].as_str().unwrap_or_default());
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["network", "rm"],
            also: &[&["network", "remove"]],
            about: "Remove one or more networks",
            args: |c| {
                names(c, "NETWORK")
                    .arg(switch("force", "Do not error if the network does not exist").short('f'))
            },
            run: |s, m| {
                Box::pin(async move {
                    each(&list(m, "names"), |id| async move {
                        s.client
                            .plain(Method::DELETE, &format!("/networks/{id}"), Body::Empty)
                            .await
                    })
                    .await
                })
            },
        },
        connect(),
        disconnect(),
        doctor::leaf(),
        ports::leaf(),
        Leaf {
            path: &["network", "prune"],
            also: &[],
            about: "Remove all unused networks",
            args: prune::args,
            run: |s, m| {
                Box::pin(async move {
                    if !prune::sure(
                        m,
                        "This will remove all custom networks not used by at least one container.",
                    )? {
                        return Ok(0);
                    }
                    let path = query("/networks/prune", &[("filters", &filters(m)?)]);
                    let report: Json = s.client.json(Method::POST, &path, Body::Empty).await?;
                    let gone = report["NetworksDeleted"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .filter_map(|n| n.as_str());
                    gone.for_each(|n| println!("{n}"));
                    Ok(0)
                })
            },
        },
    ]
}

#[rustfmt::skip]
const ENDPOINT: &[Opt] = &[
    opt("alias", List, "Aliases", "Add network-scoped alias for the container"),
    opt("driver-opt", List, "", "driver options for the network"),
    opt("gw-priority", Int, "GwPriority", "Highest gw-priority provides the default gateway. Accepts positive and negative values"),
    opt("ip", Text, "IPAMConfig/IPv4Address", "IPv4 address (e.g., \"172.30.100.104\")"),
    opt("ip6", Text, "IPAMConfig/IPv6Address", "IPv6 address (e.g., \"2001:db8::33\")"),
    opt("link", List, "Links", "Add link to another container"),
    opt("link-local-ip", List, "IPAMConfig/LinkLocalIPs", "Add a link-local address for the container"),
];

fn connect() -> Leaf {
    Leaf {
        path: &["network", "connect"],
        also: &[],
        about: "Connect a container to a network",
        args: |c| {
            args(
                name(c, "NETWORK").arg(Arg::new("container").value_name("CONTAINER").required(true)),
                ENDPOINT,
            )
        },
        run: |s, m| {
            Box::pin(async move {
                let mut endpoint = json!({});
                lay(m, ENDPOINT, &mut endpoint)?;
                let options = list(m, "driver-opt");
                if !options.is_empty() {
                    endpoint["DriverOpts"] = Json::Object(pairs(&options));
                }
                let body = json!({"Container": required(m, "container")?, "EndpointConfig": endpoint});
                let path = format!("/networks/{}/connect", required(m, "name")?);
                s.client.plain(Method::POST, &path, Body::json(&body)?).await?;
                Ok(0)
            })
        },
    }
}

fn disconnect() -> Leaf {
    Leaf {
        path: &["network", "disconnect"],
        also: &[],
        about: "Disconnect a container from a network",
        args: |c| {
            name(c, "NETWORK")
                .arg(Arg::new("container").value_name("CONTAINER").required(true))
                .arg(switch("force", "Force the container to disconnect from a network").short('f'))
        },
        run: |s, m| {
            Box::pin(async move {
                let body = json!({"Container": required(m, "container")?, "Force": on(m, "force")});
                let path = format!("/networks/{}/disconnect", required(m, "name")?);
                s.client.plain(Method::POST, &path, Body::json(&body)?).await?;
                Ok(0)
            })
        },
    }
}
