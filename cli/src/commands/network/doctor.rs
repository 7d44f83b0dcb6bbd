//! `network doctor`: whether kernels have of the cluster's networks what the cluster decided.

use crate::app::Leaf;
use clap::{Arg, ArgAction, Command};
use serde_json::Value as Json;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["network", "doctor"],
        also: &[],
        about: "Compare every node's part of the cluster's networks with what it should be",
        args: |command: Command| {
            command.arg(
                Arg::new("here")
                    .long("here")
                    .action(ArgAction::SetTrue)
                    .help("Only this host, without asking the cluster"),
            )
        },
        run: |s, matches| {
            Box::pin(async move {
                let info: Json = s.client.get("/info").await?;
                let alone = info["Swarm"]["LocalNodeState"] != "active";
                if matches.get_flag("here") || alone {
                    let host = info["Name"].as_str().unwrap_or("this host").to_owned();
                    let found: Json = s.client.get("/shoal/networks/doctor").await?;
                    return Ok(say(&host, &found));
                }
                let found: Json = s.client.get("/shoal/networks/doctor?all=true").await?;
                let nodes = found["Nodes"].as_array().cloned().unwrap_or_default();
                let codes = nodes.iter().map(|node| {
                    let name = node["Name"].as_str().filter(|name| !name.is_empty());
                    say(name.or(node["ID"].as_str()).unwrap_or_default(), node)
                });
                Ok(codes.max().unwrap_or(0))
            })
        },
    }
}

/// 0 where all is well, 1 where it is not or nobody knows.
fn say(host: &str, found: &Json) -> u8 {
    let error = found["Error"].as_str().unwrap_or_default();
    let differences = found["Differences"].as_array().cloned().unwrap_or_default();
    if error.is_empty() && differences.is_empty() {
        println!("{host}: the kernel is as the cluster decided");
        return 0;
    }
    if !error.is_empty() {
        println!("{host}: {error}");
    }
    for difference in differences.iter().filter_map(Json::as_str) {
        println!("{host}: {difference}");
    }
    1
}
