//! `ps`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{Column, Listing, ago, created_at, human_size_short, short_id};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};
use shoal_api_client::query;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "ls"],
        also: &[&["ps"], &["container", "ps"], &["container", "list"]],
        about: "List containers",
        args: |c| {
            Listing::args(c)
                .arg(switch("all", "Show all containers (default shows just running)").short('a'))
                .arg(
                    one(
                        "last",
                        "int",
                        "Show n last created containers (includes all states)",
                    )
                    .short('n'),
                )
                .arg(
                    switch(
                        "latest",
                        "Show the latest created container (includes all states)",
                    )
                    .short('l'),
                )
                .arg(switch("size", "Display total file sizes").short('s'))
        },
        run: |s, m| Box::pin(ls(s, m)),
    }
}

async fn ls(s: &Session, m: &ArgMatches) -> Result<u8> {
    let flag = |name: &str| if on(m, name) { "1" } else { "" };
    let limit = if on(m, "latest") {
        Some("1")
    } else {
        text(m, "last")
    }
    .unwrap_or_default();
    let all = query(
        "/containers/json",
        &[
            ("all", flag("all")),
            ("limit", limit),
            ("size", flag("size")),
            ("filters", &filters(m)?),
        ],
    );
    let found: Vec<Json> = s.client.get(&all).await?;
    let rows = rows(&found, m.get_flag("no-trunc"), on(m, "size"));
    let mut columns = vec![
        Column("CONTAINER ID", "ID"),
        Column("IMAGE", "Image"),
        Column("COMMAND", "Command"),
        Column("CREATED", "RunningFor"),
        Column("STATUS", "Status"),
        Column("PORTS", "Ports"),
        Column("NAMES", "Names"),
    ];
    if on(m, "size") {
        columns.push(Column("SIZE", "Size"));
    }
    Listing {
        columns: &columns,
        id: "ID",
        rows,
    }
    .print(m)?;
    Ok(0)
}

/// What `--format` knows of each container; `whole` is uncut, `sized` asked for the whole size too.
pub fn rows(found: &[Json], whole: bool, sized: bool) -> Vec<Json> {
    let row = |c: &Json| {
        let id = c["Id"].as_str().unwrap_or_default();
        let command = c["Command"].as_str().unwrap_or_default();
        let names = c["Names"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|n| n.as_str());
        // What others that are linked to it call it is for those who want it all.
        let names = names
            .map(|n| n.trim_start_matches('/'))
            .filter(|n| whole || !n.contains('/'));
        let mounts = || c["Mounts"].as_array().into_iter().flatten();
        let places = mounts().filter_map(|x| x["Name"].as_str().or(x["Source"].as_str()));
        let networks = c["NetworkSettings"]["Networks"].as_object();
        json!({
            "ID": if whole { id.to_owned() } else { short_id(id) },
            "Image": c["Image"],
            "Command": format!("\"{}\"", if whole { command.to_owned() } else { cut(command, 20) }),
            "CreatedAt": created_at(c["Created"].as_i64().unwrap_or(0)),
            "RunningFor": ago(c["Created"].as_i64().unwrap_or(0)),
            "Status": c["Status"],
            "State": c["State"],
            "Ports": ports(&c["Ports"]),
            "Names": names.collect::<Vec<_>>().join(","),
            "Labels": labels(&c["Labels"]),
            "Mounts": places.collect::<Vec<_>>().join(","),
            "Networks": networks.map(|n| n.keys().cloned().collect::<Vec<_>>().join(",")).unwrap_or_default(),
            "Platform": Json::Null,
            "LocalVolumes": mounts().filter(|x| x["Driver"] == "local").count().to_string(),
            "Size": size(c, sized),
        })
    };
    found.iter().map(row).collect()
}

fn size(c: &Json, asked: bool) -> String {
    let written = c["SizeRw"].as_f64().unwrap_or(0.0);
    match c["SizeRootFs"].as_f64() {
        Some(whole) if whole > 0.0 && asked => {
            format!(
                "{} (virtual {})",
                human_size_short(written),
                human_size_short(whole)
            )
        }
        _ => human_size_short(written),
    }
}

fn cut(text: &str, length: usize) -> String {
    if text.chars().count() <= length {
        return text.to_owned();
    }
    text.chars()
        .take(length - 1)
        .chain(std::iter::once('…'))
        .collect()
}

pub fn labels(labels: &Json) -> String {
    let pairs = labels.as_object().into_iter().flatten();
    pairs
        .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
        .collect::<Vec<_>>()
        .join(",")
}

fn ports(ports: &Json) -> String {
    let mut shown: Vec<String> = ports
        .as_array()
        .into_iter()
        .flatten()
        .map(|p| {
            let (private, kind) = (
                p["PrivatePort"].as_u64().unwrap_or(0),
                p["Type"].as_str().unwrap_or("tcp"),
            );
            match p["PublicPort"].as_u64() {
                Some(public) => {
                    let ip = p["IP"].as_str().unwrap_or("0.0.0.0");
                    let ip = if ip.contains(':') {
                        format!("[{ip}]")
                    } else {
                        ip.to_owned()
                    };
                    format!("{ip}:{public}->{private}/{kind}")
                }
                None => format!("{private}/{kind}"),
            }
        })
        .collect();
    shown.sort();
    shown.join(", ")
}
