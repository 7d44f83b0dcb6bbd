//! `images`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::{Column, Listing, ago, created_at, human_size, human_size_short, short_id};
use anyhow::Result;
use clap::{Arg, ArgMatches};
use serde_json::{Value as Json, json};
use shoal_api_client::query;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["image", "ls"],
        also: &[&["images"], &["image", "list"]],
        about: "List images",
        args: |c| {
            Listing::args(c)
                .arg(switch("all", "Show all images (default hides intermediate images)").short('a'))
                .arg(switch("digests", "Show digests"))
                .arg(switch(
                    "tree",
                    "List multi-platform images as a tree (EXPERIMENTAL)",
                ))
                .arg(Arg::new("repository").value_name("REPOSITORY[:TAG]"))
        },
        run: |s, m| Box::pin(ls(s, m)),
    }
}

async fn ls(s: &Session, m: &ArgMatches) -> Result<u8> {
    let mut wanted = list(m, "filter");
    if let Some(repository) = text(m, "repository") {
        wanted.push(format!("reference={repository}"));
    }
    let all = if on(m, "all") { "1" } else { "" };
    let tree = on(m, "tree");
    let path = query(
        "/images/json",
        &[
            ("all", all),
            ("filters", &filters_of(&wanted)?),
            ("manifests", if tree { "1" } else { "" }),
        ],
    );
    let found: Vec<Json> = s.client.get(&path).await?;
    let whole = m.get_flag("no-trunc");
    if tree {
        super::tree::print(&found, whole);
        return Ok(0);
    }
    let mut rows = Vec::new();
    for image in &found {
        let id = image["Id"].as_str().unwrap_or_default();
        let mut tags: Vec<&str> = image["RepoTags"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|t| t.as_str())
            .collect();
        if tags.is_empty() {
            tags.push("<none>:<none>");
        }
        let digest = image["RepoDigests"]
            .as_array()
            .and_then(|d| d.first())
            .and_then(|d| d.as_str());
        for tag in tags {
            let (repository, tag) = tag.rsplit_once(':').unwrap_or((tag, "<none>"));
            rows.push(json!({
                "ID": if whole { id.to_owned() } else { short_id(id) },
                "Repository": repository, "Tag": tag,
                "Digest": digest.and_then(|d| d.split_once('@')).map_or("<none>", |d| d.1),
                "CreatedSince": ago(image["Created"].as_i64().unwrap_or(0)),
                "CreatedAt": created_at(image["Created"].as_i64().unwrap_or(0)),
                "Containers": "N/A", "SharedSize": "N/A", "UniqueSize": "N/A",
                "VirtualSize": human_size(image["Size"].as_f64().unwrap_or(0.0)),
                "Size": human_size_short(image["Size"].as_f64().unwrap_or(0.0)),
            }));
        }
    }
    let plain: &[Column] = &[
        Column("REPOSITORY", "Repository"),
        Column("TAG", "Tag"),
        Column("IMAGE ID", "ID"),
        Column("CREATED", "CreatedSince"),
        Column("SIZE", "Size"),
    ];
    let digests: &[Column] = &[
        Column("REPOSITORY", "Repository"),
        Column("TAG", "Tag"),
        Column("DIGEST", "Digest"),
        Column("IMAGE ID", "ID"),
        Column("CREATED", "CreatedSince"),
        Column("SIZE", "Size"),
    ];
    Listing {
        columns: if on(m, "digests") { digests } else { plain },
        id: "ID",
        rows,
    }
    .print(m)?;
    Ok(0)
}
