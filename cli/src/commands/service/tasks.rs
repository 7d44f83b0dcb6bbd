//! Tasks as `service ps` and `node ps` list them.

use crate::app::Session;
use crate::commands::parse::filters_of;
use crate::format::{Column, Listing, lower_title, short_id, since_now};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};
use shoal_api_client::query;
use std::collections::HashMap;

pub async fn print(s: &Session, m: &ArgMatches, wanted: &[String]) -> Result<u8> {
    let mut tasks: Vec<Json> = s
        .client
        .get(&query("/tasks", &[("filters", &filters_of(wanted)?)]))
        .await?;
    let names = |objects: Vec<Json>, name: &dyn Fn(&Json) -> String| -> HashMap<String, String> {
        objects
            .iter()
            .map(|o| (o["ID"].as_str().unwrap_or_default().to_owned(), name(o)))
            .collect()
    };
    let nodes = names(s.client.get("/nodes").await?, &|n| {
        n["Description"]["Hostname"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    });
    let services = names(s.client.get("/services").await?, &|x| {
        x["Spec"]["Name"].as_str().unwrap_or_default().to_owned()
    });
    let whole = m.get_flag("no-trunc");
    let named = |t: &Json| {
        let field = |key: &str| t[key].as_str().unwrap_or_default().to_owned();
        let service = services
            .get(&field("ServiceID"))
            .cloned()
            .unwrap_or_else(|| field("ServiceID"));
        match t["Slot"].as_u64().filter(|s| *s > 0) {
            Some(slot) => format!("{service}.{slot}"),
            None => format!("{service}.{}", field("NodeID")),
        }
    };
    // By name, the newest first: older tasks of a slot hang below its present one.
    tasks.sort_by(|a, b| (named(a), b["CreatedAt"].as_str()).cmp(&(named(b), a["CreatedAt"].as_str())));
    let mut last = String::new();
    let mut rows = Vec::new();
    for t in &tasks {
        let name = named(t);
        let id = t["ID"].as_str().unwrap_or_default();
        let status = &t["Status"];
        let shown = if name == last {
            format!(" \\_ {name}")
        } else {
            name.clone()
        };
        last = name;
        let error = status["Err"].as_str().unwrap_or_default();
        let error = if whole || error.chars().count() <= 30 {
            error.to_owned()
        } else {
            format!("{}…", error.chars().take(29).collect::<String>())
        };
        let node = t["NodeID"].as_str().unwrap_or_default();
        let ports: Vec<String> = status["PortStatus"]["Ports"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|p| {
                format!(
                    "*:{}->{}/{}",
                    p["PublishedPort"],
                    p["TargetPort"],
                    p["Protocol"].as_str().unwrap_or("tcp")
                )
            })
            .collect();
        rows.push(json!({
            "ID": if whole { id.to_owned() } else { short_id(id) }, "Name": shown,
            "Image": t["Spec"]["ContainerSpec"]["Image"].as_str().unwrap_or_default().split('@').next().unwrap_or_default(),
            "Node": nodes.get(node).map_or(node, String::as_str),
            "DesiredState": lower_title(t["DesiredState"].as_str().unwrap_or_default()),
            "CurrentState": format!("{} {} ago", lower_title(status["State"].as_str().unwrap_or_default()), since_now(status["Timestamp"].as_str().unwrap_or_default()).to_lowercase()),
            "Error": if error.is_empty() { String::new() } else { format!("\"{error}\"") },
            "Ports": ports.join(","),
        }));
    }
    let columns = &[
        Column("ID", "ID"),
        Column("NAME", "Name"),
        Column("IMAGE", "Image"),
        Column("NODE", "Node"),
        Column("DESIRED STATE", "DesiredState"),
        Column("CURRENT STATE", "CurrentState"),
        Column("ERROR", "Error"),
        Column("PORTS", "Ports"),
    ];
    Listing {
        columns,
        id: "ID",
        rows,
    }
    .print(m)?;
    Ok(0)
}
