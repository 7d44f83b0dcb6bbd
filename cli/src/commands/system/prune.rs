//! `system prune`: containers, networks, volumes where asked for, images.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::prune::sure;
use crate::commands::parse::*;
use crate::format::human_size;
use anyhow::{Result, bail};
use clap::ArgMatches;
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["system", "prune"],
        also: &[],
        about: "Remove unused data",
        args: |c| {
            c.arg(switch("all", "Remove all unused images not just dangling ones").short('a'))
                .arg(many(
                    "filter",
                    "Provide filter values (e.g. \"label=<key>=<value>\")",
                ))
                .arg(switch("force", "Do not prompt for confirmation").short('f'))
                .arg(switch("volumes", "Prune anonymous volumes"))
        },
        run: |s, m| Box::pin(prune(s, m)),
    }
}

async fn prune(s: &Session, m: &ArgMatches) -> Result<u8> {
    let given = list(m, "filter");
    let volumes = on(m, "volumes");
    if volumes && given.iter().any(|f| f.starts_with("until=")) {
        bail!("ERROR: The \"until\" filter is not supported with \"--volumes\"");
    }
    if !sure(m, &warning(on(m, "all"), volumes, &given))? {
        return Ok(0);
    }
    let mut kinds = vec![
        ("containers", "ContainersDeleted", "Deleted Containers:"),
        ("networks", "NetworksDeleted", "Deleted Networks:"),
    ];
    if volumes {
        kinds.push(("volumes", "VolumesDeleted", "Deleted Volumes:"));
    }
    kinds.push(("images", "ImagesDeleted", "Deleted Images:"));
    let mut space = 0.0;
    for (kind, key, title) in kinds {
        let mut wanted = given.clone();
        if kind == "images" {
            wanted.push(format!("dangling={}", !on(m, "all")));
        }
        let path = query(&format!("/{kind}/prune"), &[("filters", &filters_of(&wanted)?)]);
        let report: Json = s.client.json(Method::POST, &path, Body::Empty).await?;
        let lines: Vec<String> = report[key]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(words)
            .collect();
        if !lines.is_empty() {
            println!("{title}\n{}\n", lines.join("\n"));
        }
        space += report["SpaceReclaimed"].as_f64().unwrap_or(0.0);
    }
    println!("Total reclaimed space: {}", human_size(space));
    Ok(0)
}

fn words(item: &Json) -> Vec<String> {
    if let Some(name) = item.as_str() {
        return vec![name.to_owned()];
    }
    [("Untagged", "untagged"), ("Deleted", "deleted")]
        .iter()
        .filter_map(|(key, word)| {
            item[key]
                .as_str()
                .filter(|w| !w.is_empty())
                .map(|w| format!("{word}: {w}"))
        })
        .collect()
}

fn warning(all: bool, volumes: bool, filters: &[String]) -> String {
    let mut lines = vec![
        "This will remove:",
        "  - all stopped containers",
        "  - all networks not used by at least one container",
    ];
    if volumes {
        lines.push("  - all anonymous volumes not used by at least one container");
    }
    lines.push(match all {
        true => "  - all images without at least one container associated to them",
        false => "  - all dangling images",
    });
    let mut text = lines.join("\n") + "\n";
    if !filters.is_empty() {
        text += "\n  Items to be pruned will be filtered with:\n";
        for filter in filters {
            text += &format!("  - {filter}\n");
        }
    }
    text
}
