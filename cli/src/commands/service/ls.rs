//! `service ls`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{Column, Listing, short_id};
use anyhow::Result;
use clap::ArgMatches;
use serde_json::{Value as Json, json};
use shoal_api_client::query;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["service", "ls"],
        also: &[&["service", "list"]],
        about: "List services",
        args: Listing::args,
        run: |s, m| Box::pin(ls(s, m)),
    }
}

async fn ls(s: &Session, m: &ArgMatches) -> Result<u8> {
    let services: Vec<Json> = s
        .client
        .get(&query(
            "/services",
            &[("status", "true"), ("filters", &filters(m)?)],
        ))
        .await?;
    let mut rows: Vec<Json> = services
        .iter()
        .map(|x| {
            let mode = &x["Spec"]["Mode"];
            let kind = [
                ("Replicated", "replicated"),
                ("Global", "global"),
                ("ReplicatedJob", "replicated job"),
                ("GlobalJob", "global job"),
            ]
            .into_iter()
            .find(|(key, _)| !mode[*key].is_null())
            .map_or("replicated", |k| k.1);
            let status = &x["ServiceStatus"];
            let count = |key: &str| status[key].as_u64().unwrap_or(0);
            let ports: Vec<String> = x["Endpoint"]["Ports"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|p| p["PublishMode"] != "host")
                .map(|p| {
                    format!(
                        "*:{}->{}/{}",
                        p["PublishedPort"],
                        p["TargetPort"],
                        p["Protocol"].as_str().unwrap_or("tcp")
                    )
                })
                .collect();
            let image = x["Spec"]["TaskTemplate"]["ContainerSpec"]["Image"]
                .as_str()
                .unwrap_or_default();
            json!({
                "ID": short_id(x["ID"].as_str().unwrap_or_default()), "Name": x["Spec"]["Name"], "Mode": kind,
                "Replicas": format!("{}/{}", count("RunningTasks"), count("DesiredTasks")),
                "Image": image.split('@').next().unwrap_or_default(), "Ports": ports.join(","),
            })
        })
        .collect();
    rows.sort_by_key(|r| r["Name"].as_str().unwrap_or_default().to_owned());
    let columns = &[
        Column("ID", "ID"),
        Column("NAME", "Name"),
        Column("MODE", "Mode"),
        Column("REPLICAS", "Replicas"),
        Column("IMAGE", "Image"),
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
