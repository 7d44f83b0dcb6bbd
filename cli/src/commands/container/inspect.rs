//! `inspect`, for containers and for whatever has the name.

use crate::app::{Leaf, Session};
use crate::commands::image;
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
    names(command, "NAME|ID")
        .arg(switch("size", "Display total file sizes if the type is container").short('s'))
        .arg(
            switch("verbose", "Verbose output for diagnostics")
                .short('v')
                .hide(true),
        )
        .arg(one("format", "string", "Format output using a custom template").short('f'))
}

fn path(kind: &str, name: &str) -> String {
    match kind {
        "container" => format!("/containers/{name}/json"),
        "image" => format!("/images/{name}/json"),
        "network" => format!("/networks/{name}"),
        "volume" => format!("/volumes/{name}"),
        "plugin" => format!("/plugins/{name}/json"),
        kind => format!("/{kind}s/{name}"),
    }
}

/// By four spaces, as docker indents.
fn indented(found: &[Json]) -> Result<String> {
    let mut out = Vec::new();
    let pretty = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    serde::Serialize::serialize(
        found,
        &mut serde_json::Serializer::with_formatter(&mut out, pretty),
    )?;
    Ok(String::from_utf8(out)?)
}

/// Members that an object may lack and templates still ask for, as in `{{if .State.Health}}`.
fn optional(object: &mut Json) {
    for (part, key) in [
        ("State", "Health"),
        ("Config", "Healthcheck"),
        ("HostConfig", "Init"),
    ] {
        if let Some(Json::Object(part)) = object.get_mut(part) {
            part.entry(key).or_insert(Json::Null);
        }
    }
}

/// Looks each name up among `kinds` in turn, and prints a JSON list or the template over each.
pub async fn print(s: &Session, m: &ArgMatches, kinds: &[&str]) -> Result<u8> {
    let mut found: Vec<Json> = Vec::new();
    let mut code = 0;
    // Only images have it.
    let platform = match m.try_get_one::<String>("platform") {
        Ok(Some(platform)) => vec![("platform".to_owned(), image::platform(platform)?)],
        _ => Vec::new(),
    };
    for name in list(m, "names") {
        let mut missing = None;
        let before = found.len();
        for kind in kinds {
            let mut at = path(kind, &name);
            if *kind == "container" && on(m, "size") {
                at += "?size=1";
            }
            at = image::with_query(&at, &platform);
            match s.client.get::<Json>(&at).await {
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
                _ => eprintln!("Error: No such object: {name}"),
            }
        }
    }
    match text(m, "format") {
        None => println!("{}", indented(&found)?),
        Some("json") => println!("{}", serde_json::to_string(&found)?),
        Some(format) => {
            for mut object in found {
                optional(&mut object);
                println!("{}", render(format, &object)?);
            }
        }
    }
    Ok(code)
}
