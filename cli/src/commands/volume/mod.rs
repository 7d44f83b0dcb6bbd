//! `shoal volume …`.

use crate::app::Leaf;
use crate::commands::container_shared::{inspect, ls, prune};
use crate::commands::parse::*;
use crate::format::{Column, Listing};
use clap::Arg;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["volume", "create"],
            also: &[],
            about: "Create a volume",
            args: |c| {
                c.arg(Arg::new("name").value_name("VOLUME"))
                    .arg(
                        one("driver", "string", "Specify volume driver name")
                            .short('d')
                            .default_value("local"),
                    )
                    .arg(many("label", "Set metadata for a volume"))
                    .arg(many("opt", "Set driver specific options").short('o'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let body = json!({
                        "Name": text(m, "name").unwrap_or_default(), "Driver": text(m, "driver"),
                        "Labels": pairs(&list(m, "label")), "DriverOpts": pairs(&list(m, "opt")),
                    });
                    let made: Json = s
                        .client
                        .json(Method::POST, "/volumes/create", Body::json(&body)?)
                        .await?;
                    println!("{}", made["Name"].as_str().unwrap_or_default());
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["volume", "ls"],
            also: &[&["volume", "list"]],
            about: "List volumes",
            args: Listing::args,
            run: |s, m| {
                Box::pin(async move {
                    let found: Json = s
                        .client
                        .get(&query("/volumes", &[("filters", &filters(m)?)]))
                        .await?;
                    let rows = found["Volumes"]
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|v| {
                            json!({
                                "Name": v["Name"], "Driver": v["Driver"], "Scope": v["Scope"], "Mountpoint": v["Mountpoint"],
                                "Labels": ls::labels(&v["Labels"]), "Availability": "N/A", "Group": "N/A", "Links": "N/A", "Size": "N/A", "Status": "N/A",
                            })
                        })
                        .collect();
                    let columns = &[Column("DRIVER", "Driver"), Column("VOLUME NAME", "Name")];
                    Listing {
                        columns,
                        id: "Name",
                        rows,
                    }
                    .print(m)?;
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["volume", "inspect"],
            also: &[],
            about: "Display detailed information on one or more volumes",
            args: inspect::args,
            run: |s, m| Box::pin(inspect::print(s, m, &["volume"])),
        },
        Leaf {
            path: &["volume", "rm"],
            also: &[&["volume", "remove"]],
            about: "Remove one or more volumes",
            args: |c| {
                names(c, "VOLUME").arg(switch("force", "Force the removal of one or more volumes").short('f'))
            },
            run: |s, m| {
                Box::pin(async move {
                    let force = if on(m, "force") { "1" } else { "" };
                    each(&list(m, "names"), |name| async move {
                        s.client
                            .plain(
                                Method::DELETE,
                                &query(&format!("/volumes/{name}"), &[("force", force)]),
                                Body::Empty,
                            )
                            .await
                    })
                    .await
                })
            },
        },
        Leaf {
            path: &["volume", "prune"],
            also: &[],
            about: "Remove unused local volumes",
            args: |c| {
                prune::args(c)
                    .arg(switch("all", "Remove all unused volumes, not just anonymous ones").short('a'))
            },
            run: |s, m| {
                Box::pin(async move {
                    if !prune::sure(
                        m,
                        "This will remove anonymous local volumes not used by at least one container.",
                    )? {
                        return Ok(0);
                    }
                    let mut wanted = list(m, "filter");
                    if on(m, "all") {
                        wanted.push("all=true".into());
                    }
                    let path = query("/volumes/prune", &[("filters", &filters_of(&wanted)?)]);
                    let report: Json = s.client.json(Method::POST, &path, Body::Empty).await?;
                    prune::show(&report, "VolumesDeleted", "Deleted Volumes:");
                    Ok(0)
                })
            },
        },
    ]
}
