//! `shoal node …`.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::inspect;
use crate::commands::parse::*;
use crate::commands::service::tasks;
use crate::format::{Column, Listing, lower_title};
use anyhow::Result;
use clap::{Arg, ArgMatches};
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["node", "ls"],
            also: &[&["node", "list"]],
            about: "List nodes in the swarm",
            args: Listing::args,
            run: |s, m| Box::pin(ls(s, m)),
        },
        Leaf {
            path: &["node", "inspect"],
            also: &[],
            about: "Display detailed information on one or more nodes",
            args: inspect::args,
            run: |s, m| Box::pin(inspect::print(s, m, &["node"])),
        },
        Leaf {
            path: &["node", "ps"],
            also: &[],
            about: "List tasks running on one or more nodes, defaults to current node",
            args: |c| {
                Listing::args(c)
                    .arg(Arg::new("names").value_name("NODE").num_args(0..))
                    .arg(switch("no-resolve", "Do not map IDs to Names"))
            },
            run: |s, m| {
                Box::pin(async move {
                    let mut nodes = list(m, "names");
                    if nodes.is_empty() {
                        nodes.push("self".into());
                    }
                    let mut wanted = list(m, "filter");
                    for node in nodes {
                        let id = if node == "self" {
                            s.client.get::<Json>("/info").await?["Swarm"]["NodeID"]
                                .as_str()
                                .unwrap_or_default()
                                .to_owned()
                        } else {
                            s.client.get::<Json>(&format!("/nodes/{node}")).await?["ID"]
                                .as_str()
                                .unwrap_or_default()
                                .to_owned()
                        };
                        wanted.push(format!("node={id}"));
                    }
                    tasks::print(s, m, &wanted).await
                })
            },
        },
        Leaf {
            path: &["node", "update"],
            also: &[],
            about: "Update a node",
            args: |c| {
                name(c, "NODE")
                    .arg(one(
                        "availability",
                        "string",
                        "Availability of the node (active, pause, drain)",
                    ))
                    .arg(one("role", "string", "Role of the node (worker, manager)"))
                    .arg(many("label-add", "Add or update a node label (key=value)"))
                    .arg(many("label-rm", "Remove a node label if exists"))
            },
            run: |s, m| {
                Box::pin(async move {
                    let id = required(m, "name")?;
                    change(s, id, |spec| {
                        if let Some(availability) = text(m, "availability") {
                            spec["Availability"] = json!(availability);
                        }
                        if let Some(role) = text(m, "role") {
                            spec["Role"] = json!(role);
                        }
                        for (key, value) in pairs(&list(m, "label-add")) {
                            spec["Labels"][key] = value;
                        }
                        for key in list(m, "label-rm") {
                            if let Some(labels) = spec["Labels"].as_object_mut() {
                                labels.remove(&key);
                            }
                        }
                    })
                    .await?;
                    println!("{id}");
                    Ok(0)
                })
            },
        },
        role(
            &["node", "promote"],
            "Promote one or more nodes to manager in the swarm",
            |s, m| Box::pin(set_role(s, m, "manager", "promoted to a manager")),
        ),
        role(
            &["node", "demote"],
            "Demote one or more nodes from manager in the swarm",
            |s, m| Box::pin(set_role(s, m, "worker", "demoted in the swarm")),
        ),
        Leaf {
            path: &["node", "rm"],
            also: &[&["node", "remove"]],
            about: "Remove one or more nodes from the swarm",
            args: |c| names(c, "NODE").arg(switch("force", "Force remove a node from the swarm").short('f')),
            run: |s, m| {
                Box::pin(async move {
                    let force = if on(m, "force") { "1" } else { "" };
                    each(&list(m, "names"), |id| async move {
                        s.client
                            .plain(
                                Method::DELETE,
                                &query(&format!("/nodes/{id}"), &[("force", force)]),
                                Body::Empty,
                            )
                            .await
                    })
                    .await
                })
            },
        },
    ]
}

fn role(
    path: &'static [&'static str],
    about: &'static str,
    run: for<'a> fn(&'a Session, &'a ArgMatches) -> crate::app::Run<'a>,
) -> Leaf {
    Leaf {
        path,
        also: &[],
        about,
        args: |c| names(c, "NODE"),
        run,
    }
}

async fn set_role(s: &Session, m: &ArgMatches, role: &str, done: &str) -> Result<u8> {
    for id in list(m, "names") {
        let node: Json = s.client.get(&format!("/nodes/{id}")).await?;
        if node["Spec"]["Role"] == role {
            println!("Node {id} is already a {role}.");
            continue;
        }
        change(s, &id, |spec| spec["Role"] = json!(role)).await?;
        println!("Node {id} {done}.");
    }
    Ok(0)
}

async fn change(s: &Session, id: &str, edit: impl Fn(&mut Json)) -> Result<()> {
    let mut node: Json = s.client.get(&format!("/nodes/{id}")).await?;
    let version = node["Version"]["Index"].to_string();
    edit(&mut node["Spec"]);
    let path = format!("/nodes/{}/update", node["ID"].as_str().unwrap_or(id));
    Ok(s.client
        .plain(
            Method::POST,
            &query(&path, &[("version", &version)]),
            Body::json(&node["Spec"])?,
        )
        .await?)
}

async fn ls(s: &Session, m: &ArgMatches) -> Result<u8> {
    let nodes: Vec<Json> = s
        .client
        .get(&query("/nodes", &[("filters", &filters(m)?)]))
        .await?;
    let info: Json = s.client.get("/info").await?;
    let mine = info["Swarm"]["NodeID"].as_str().unwrap_or_default();
    let mut rows: Vec<Json> = nodes
        .iter()
        .map(|n| {
            let id = n["ID"].as_str().unwrap_or_default();
            let leader = n["ManagerStatus"]["Leader"] == true;
            let reachability = n["ManagerStatus"]["Reachability"].as_str().unwrap_or_default();
            let title = |v: &Json| lower_title(v.as_str().unwrap_or_default());
            json!({
                "ID": id, "Self": id == mine, "Star": if id == mine { format!("{id} *") } else { format!("{id}  ") },
                "Hostname": n["Description"]["Hostname"], "Status": title(&n["Status"]["State"]),
                "Availability": title(&n["Spec"]["Availability"]),
                "ManagerStatus": if leader { "Leader".to_owned() } else { lower_title(reachability) },
                "EngineVersion": n["Description"]["Engine"]["EngineVersion"], "TLSStatus": "Ready",
            })
        })
        .collect();
    rows.sort_by_key(|r| r["Hostname"].as_str().unwrap_or_default().to_owned());
    let columns = &[
        Column("ID", "Star"),
        Column("HOSTNAME", "Hostname"),
        Column("STATUS", "Status"),
        Column("AVAILABILITY", "Availability"),
        Column("MANAGER STATUS", "ManagerStatus"),
        Column("ENGINE VERSION", "EngineVersion"),
    ];
    Listing {
        columns,
        id: "ID",
        rows,
    }
    .print(m)?;
    Ok(0)
}
