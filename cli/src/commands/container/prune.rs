//! `container prune`, and the question that every prune asks.

use crate::app::Leaf;
use crate::commands::parse::*;
use crate::format::human_size;
use anyhow::Result;
use clap::{ArgMatches, Command};
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};
use std::io::Write;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "prune"],
        also: &[],
        about: "Remove all stopped containers",
        args,
        run: |s, m| {
            Box::pin(async move {
                if !sure(m, "This will remove all stopped containers.")? {
                    return Ok(0);
                }
                let path = query("/containers/prune", &[("filters", &filters(m)?)]);
                let report: Json = s.client.json(Method::POST, &path, Body::Empty).await?;
                show(&report, "ContainersDeleted", "Deleted Containers:");
                Ok(0)
            })
        },
    }
}

pub fn args(command: Command) -> Command {
    command
        .arg(switch("force", "Do not prompt for confirmation").short('f'))
        .arg(many("filter", "Provide filter values"))
}

pub fn sure(m: &ArgMatches, warning: &str) -> Result<bool> {
    if on(m, "force") {
        return Ok(true);
    }
    print!("WARNING! {warning}\nAre you sure you want to continue? [y/N] ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().eq_ignore_ascii_case("y"))
}

pub fn show(report: &Json, key: &str, title: &str) {
    let gone: Vec<&str> = report[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|d| d.as_str())
        .collect();
    if !gone.is_empty() {
        println!("{title}\n{}\n", gone.join("\n"));
    }
    println!(
        "Total reclaimed space: {}",
        human_size(report["SpaceReclaimed"].as_f64().unwrap_or(0.0))
    );
}
