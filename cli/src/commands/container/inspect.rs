//! `inspect`, for containers and for whatever has the name.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::render;
use anyhow::Result;
use clap::{ArgMatches, Command};
use serde_json::Value as Json;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["inspect"],
        also: &[],
        about: "Return low-level information on Shoal objects",
        args: |c| args(c).arg(one("type", "string", "Only inspect objects of the given type")),
        run: |s, m| {
            Box::pin(async move {
                let kinds: Vec<&str> = match text(m, "type") {
                    Some(kind) => vec![kind],
                    None => vec![
                        "container",
                        "image",
                        "network",
                        "volume",
                        "node",
                        "service",
                        "task",
                    ],
                };
                print(s, m, &kinds).await
            })
        },
    }
}

pub fn args(command: Command) -> Command {
    names(command, "NAME|ID").arg(one("format", "string", "Format output using a custom template").short('f'))
}

fn path(kind: &str, name: &str) -> String {
    match kind {
        "container" => format!("/containers/{name}/json"),
        "image" => format!("/images/{name}/json"),
        "network" => format!("/networks/{name}"),
        "volume" => format!("/volumes/{name}"),
        kind => format!("/{kind}s/{name}"),
    }
}

/// Looks each name up among `kinds` in turn, and prints a JSON list or the template over each.
pub async fn print(s: &Session, m: &ArgMatches, kinds: &[&str]) -> Result<u8> {
    let mut found: Vec<Json> = Vec::new();
    let mut code = 0;
    for name in list(m, "names") {
        let mut missing = None;
        let before = found.len();
        for kind in kinds {
            match s.client.get::<Json>(&path(kind, &name)).await {
                Ok(object) => {
                    found.push(object);
                    break;
                }
                Err(e) => missing = Some(e),
            }
        }
        if found.len() == before {
            code = 1;
            match (kinds, missing) {
                ([_], Some(e)) => eprintln!("{e}"),
                _ => eprintln!("error: no such object: {name}"),
            }
        }
    }
    match text(m, "format") {
        None | Some("json") if text(m, "format").is_none() => {
            println!("{}", serde_json::to_string_pretty(&found)?)
        }
        Some(format) => {
            for object in &found {
                println!("{}", render(format, object)?);
            }
        }
        None => {}
    }
    Ok(code)
}
