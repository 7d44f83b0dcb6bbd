//! `tag`, `rmi`, `history`, `image inspect`, `image prune`.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::{inspect, prune};
use crate::commands::parse::*;
use crate::format::{Column, Listing, ago, created_at, human_size, human_size_short, short_id};
use anyhow::Result;
use clap::{Arg, ArgMatches};
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["image", "tag"],
            also: &[&["tag"]],
            about: "Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE",
            args: |c| {
                c.arg(Arg::new("source").value_name("SOURCE_IMAGE[:TAG]").required(true))
                    .arg(Arg::new("target").value_name("TARGET_IMAGE[:TAG]").required(true))
            },
            run: |s, m| {
                Box::pin(async move {
                    let target = super::with_tag(required(m, "target")?);
                    let (repo, tag) = target.rsplit_once(':').unwrap_or((&target, "latest"));
                    let path = format!("/images/{}/tag", required(m, "source")?);
                    s.client
                        .plain(
                            Method::POST,
                            &query(&path, &[("repo", repo), ("tag", tag)]),
                            Body::Empty,
                        )
                        .await?;
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["image", "rm"],
            also: &[&["rmi"], &["image", "remove"]],
            about: "Remove one or more images",
            args: |c| {
                names(c, "IMAGE")
                    .arg(switch("force", "Force removal of the image").short('f'))
                    .arg(switch("no-prune", "Do not delete untagged parents"))
                    .arg(super::platform_arg("Remove only the given platform variant"))
            },
            run: |s, m| Box::pin(rm(s, m)),
        },
        Leaf {
            path: &["image", "inspect"],
            also: &[],
            about: "Display detailed information on one or more images",
            args: |c| {
                inspect::args(c).arg(one(
                    "platform",
                    "string",
                    "Inspect a specific platform of the image",
                ))
            },
            run: |s, m| Box::pin(inspect::print(s, m, &["image"])),
        },
        Leaf {
            path: &["image", "history"],
            also: &[&["history"]],
            about: "Show the history of an image",
            args: |c| {
                name(Listing::args(c), "IMAGE").arg(one(
                    "platform",
                    "string",
                    "Show history for the given platform",
                ))
            },
            run: |s, m| Box::pin(history(s, m)),
        },
        Leaf {
            path: &["image", "prune"],
            also: &[],
            about: "Remove unused images",
            args: |c| {
                prune::args(c)
                    .arg(switch("all", "Remove all unused images, not just dangling ones").short('a'))
            },
            run: |s, m| {
                Box::pin(async move {
                    if !prune::sure(m, "This will remove all dangling images.")? {
                        return Ok(0);
                    }
                    let mut wanted = list(m, "filter");
                    wanted.push(format!("dangling={}", !on(m, "all")));
                    let path = query("/images/prune", &[("filters", &filters_of(&wanted)?)]);
                    let report: Json = s.client.json(Method::POST, &path, Body::Empty).await?;
                    for item in report["ImagesDeleted"].as_array().into_iter().flatten() {
                        show(item);
                    }
                    println!(
                        "Total reclaimed space: {}",
                        human_size(report["SpaceReclaimed"].as_f64().unwrap_or(0.0))
                    );
                    Ok(0)
                })
            },
        },
    ]
}

fn show(item: &Json) {
    for (key, word) in [("Untagged", "Untagged"), ("Deleted", "Deleted")] {
        if let Some(what) = item[key].as_str().filter(|w| !w.is_empty()) {
            println!("{word}: {what}");
        }
    }
}

async fn rm(s: &Session, m: &ArgMatches) -> Result<u8> {
    let mut code = 0;
    let flag = |name: &str| if on(m, name) { "1" } else { "" };
    let platforms = super::platforms(m, "platforms")?;
    for image in list(m, "names") {
        let path = query(
            &format!("/images/{image}"),
            &[("force", flag("force")), ("noprune", flag("no-prune"))],
        );
        let path = super::with_query(&path, &platforms);
        match s
            .client
            .json::<Vec<Json>>(Method::DELETE, &path, Body::Empty)
            .await
        {
            Ok(items) => items.iter().for_each(show),
            Err(e) => {
                eprintln!("{e}");
                code = 1;
            }
        }
    }
    Ok(code)
}

async fn history(s: &Session, m: &ArgMatches) -> Result<u8> {
    let path = format!("/images/{}/history", required(m, "name")?);
    let path = super::with_query(&path, &super::platforms(m, "platform")?);
    let layers: Vec<Json> = s.client.get(&path).await?;
    let whole = m.get_flag("no-trunc");
    let rows = layers
        .iter()
        .map(|l| {
            let id = l["Id"].as_str().unwrap_or_default();
            json!({
                "ID": if whole || !id.starts_with("sha256:") { id.to_owned() } else { short_id(id) },
                "CreatedAt": created_at(l["Created"].as_i64().unwrap_or(0)),
                "CreatedSince": ago(l["Created"].as_i64().unwrap_or(0)),
                "CreatedBy": l["CreatedBy"].as_str().unwrap_or_default().chars().take(if whole { usize::MAX } else { 45 }).collect::<String>(),
                "Size": human_size_short(l["Size"].as_f64().unwrap_or(0.0)),
                "Comment": l["Comment"],
            })
        })
        .collect();
    let columns = &[
        Column("IMAGE", "ID"),
        Column("CREATED", "CreatedSince"),
        Column("CREATED BY", "CreatedBy"),
        Column("SIZE", "Size"),
        Column("COMMENT", "Comment"),
    ];
    Listing {
        columns,
        id: "ID",
        rows,
    }
    .print(m)?;
    Ok(0)
}
