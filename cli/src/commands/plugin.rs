//! `shoal plugin …`: what the daemon answers. There are no managed plugins yet, and it says so.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::inspect;
use crate::commands::parse::*;
use crate::format::{Column, Listing, short_id};
use anyhow::{Result, bail};
use clap::ArgMatches;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["plugin", "ls"],
            also: &[&["plugin", "list"]],
            about: "List plugins",
            args: Listing::args,
            run: |s, m| {
                Box::pin(async move {
                    let path = query("/plugins", &[("filters", &filters(m)?)]);
                    let found: Vec<Json> = s.client.get(&path).await?;
                    let whole = m.get_flag("no-trunc");
                    let row = |p: &Json| {
                        let id = p["Id"].as_str().unwrap_or_default();
                        json!({
                            "ID": if whole { id.to_owned() } else { short_id(id) },
                            "Name": p["Name"], "Description": p["Config"]["Description"],
                            "Enabled": p["Enabled"], "PluginReference": p["PluginReference"],
                        })
                    };
                    let columns = &[
                        Column("ID", "ID"),
                        Column("NAME", "Name"),
                        Column("DESCRIPTION", "Description"),
                        Column("ENABLED", "Enabled"),
                    ];
                    Listing {
                        columns,
                        id: "ID",
                        rows: found.iter().map(row).collect(),
                    }
                    .print(m)?;
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["plugin", "inspect"],
            also: &[],
            about: "Display detailed information on one or more plugins",
            args: inspect::args,
            run: |s, m| Box::pin(inspect::print(s, m, &["plugin"])),
        },
        Leaf {
            path: &["plugin", "rm"],
            also: &[&["plugin", "remove"]],
            about: "Remove one or more plugins",
            args: |c| {
                names(c, "PLUGIN").arg(switch("force", "Force the removal of an active plugin").short('f'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let force = if on(m, "force") { "1" } else { "" };
                    each(&list(m, "names"), |name| async move {
                        let path = query(&format!("/plugins/{name}"), &[("force", force)]);
                        s.client.plain(Method::DELETE, &path, Body::Empty).await
                    })
                    .await
                })
            },
        },
        Leaf {
            path: &["plugin", "enable"],
            also: &[],
            about: "Enable a plugin",
            args: |c| names(c, "PLUGIN"),
            run: |s, m| {
                Box::pin(async move {
                    each(&list(m, "names"), |name| async move {
                        let path = query(&format!("/plugins/{name}/enable"), &[("timeout", "30")]);
                        s.client.plain(Method::POST, &path, Body::Empty).await
                    })
                    .await
                })
            },
        },
        Leaf {
            path: &["plugin", "disable"],
            also: &[],
            about: "Disable a plugin",
            args: |c| {
                names(c, "PLUGIN").arg(switch("force", "Force the disable of an active plugin").short('f'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let force = if on(m, "force") { "1" } else { "" };
                    each(&list(m, "names"), |name| async move {
                        let path = query(&format!("/plugins/{name}/disable"), &[("force", force)]);
                        s.client.plain(Method::POST, &path, Body::Empty).await
                    })
                    .await
                })
            },
        },
        Leaf {
            path: &["plugin", "install"],
            also: &[],
            about: "Install a plugin",
            args: |c| {
                name(c, "PLUGIN").arg(switch(
                    "grant-all-permissions",
                    "Grant all permissions necessary to run the plugin",
                ))
            },
            run: |s, m| Box::pin(install(s, m)),
        },
    ]
}

async fn install(s: &Session, m: &ArgMatches) -> Result<u8> {
    let remote = required(m, "name")?;
    let asked: Json = s
        .client
        .get(&query("/plugins/privileges", &[("remote", remote)]))
        .await?;
    if asked.as_array().is_some_and(|all| !all.is_empty()) && !on(m, "grant-all-permissions") {
        bail!("plugin {remote} asks for {asked}: grant that with --grant-all-permissions");
    }
    let pull = query("/plugins/pull", &[("remote", remote), ("name", remote)]);
    s.client.plain(Method::POST, &pull, Body::json(&asked)?).await?;
    let enable = query(&format!("/plugins/{remote}/enable"), &[("timeout", "30")]);
    s.client.plain(Method::POST, &enable, Body::Empty).await?;
    println!("Installed plugin {remote}");
    Ok(0)
}
