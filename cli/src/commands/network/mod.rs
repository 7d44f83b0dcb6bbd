//! `shoal network …`.

use crate::app::Leaf;
use crate::commands::container_shared::{inspect, prune};
use crate::commands::parse::*;
use crate::format::{Column, Listing, short_id};
use clap::Arg;
use http::Method;
use serde_json::{Map, Value as Json, json};
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
                                "Scope": n["Scope"], "Internal": n["Internal"].to_string(), "IPv4": n["EnableIPv4"].to_string(), "IPv6": n["EnableIPv6"].to_string(), "CreatedAt": n["Created"],
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
            },
            run: |s, m| {
                Box::pin(async move {
                    let (gateways, ranges) = (list(m, "gateway"), list(m, "ip-range"));
                    let config: Vec<Json> = list(m, "subnet")
                        .iter()
                        .enumerate()
                        .map(|(i, subnet)| {
                            let mut c = Map::new();
                            c.insert("Subnet".into(), json!(subnet));
                            if let Some(g) = gateways.get(i) {
                                c.insert("Gateway".into(), json!(g));
                            }
                            if let Some(r) = ranges.get(i) {
                                c.insert("IPRange".into(), json!(r));
                            }
                            Json::Object(c)
                        })
                        .collect();
                    let body = json!({
                        "Name": required(m, "name")?, "Driver": text(m, "driver"), "Internal": on(m, "internal"),
                        "Attachable": on(m, "attachable"), "Labels": pairs(&list(m, "label")), "Options": pairs(&list(m, "opt")),
                        "IPAM": {"Driver": "default", "Config": config},
                    });
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
        join("connect", "Connect a container to a network"),
        join("disconnect", "Disconnect a container from a network"),
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

fn join(verb: &'static str, about: &'static str) -> Leaf {
    let connect = verb == "connect";
    Leaf {
        path: if connect {
            &["network", "connect"]
        } else {
            &["network", "disconnect"]
        },
        also: &[],
        about,
        args: |c| {
            name(c, "NETWORK")
                .arg(Arg::new("container").value_name("CONTAINER").required(true))
                .arg(many("alias", "Add network-scoped alias for the container"))
                .arg(one("ip", "string", "IPv4 address"))
                .arg(switch("force", "Force the container to disconnect from a network").short('f'))
        },
        run: if connect {
            |s, m| {
                Box::pin(async move {
                    let mut body = json!({"Container": required(m, "container")?, "EndpointConfig": {"Aliases": list(m, "alias")}});
                    if let Some(ip) = text(m, "ip") {
                        body["EndpointConfig"]["IPAMConfig"] = json!({"IPv4Address": ip});
                    }
                    let path = format!("/networks/{}/connect", required(m, "name")?);
                    s.client.plain(Method::POST, &path, Body::json(&body)?).await?;
                    Ok(0)
                })
            }
        } else {
            |s, m| {
                Box::pin(async move {
                    let body = json!({"Container": required(m, "container")?, "Force": on(m, "force")});
                    let path = format!("/networks/{}/disconnect", required(m, "name")?);
                    s.client.plain(Method::POST, &path, Body::json(&body)?).await?;
                    Ok(0)
                })
            }
        },
    }
}
