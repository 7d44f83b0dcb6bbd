//! `network doctor`: whether the kernel has of the cluster's networks what the cluster decided.

use crate::app::Leaf;
use clap::Command;
use serde_json::Value as Json;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["network", "doctor"],
        also: &[],
        about: "Compare this host's part of the cluster's networks with what it should be",
        args: |command: Command| command,
        run: |s, _| {
            Box::pin(async move {
                let info: Json = s.client.get("/info").await?;
                let host = info["Name"].as_str().unwrap_or("this host").to_owned();
                let found: Json = s.client.get("/shoal/networks/doctor").await?;
                let differences: Vec<&str> = found["Differences"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Json::as_str)
                    .collect();
                if differences.is_empty() {
                    println!("{host}: the kernel is as the cluster decided");
                    return Ok(0);
                }
                for difference in &differences {
                    println!("{host}: {difference}");
                }
                Ok(1)
            })
        },
    }
}
