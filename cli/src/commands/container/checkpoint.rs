//! `shoal checkpoint …`: what the daemon answers, which has no checkpoints unless it says otherwise.

use crate::app::Leaf;
use crate::commands::parse::*;
use crate::format::{Column, Listing};
use clap::Arg;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::Body;

pub fn leaves() -> Vec<Leaf> {
    vec![
        Leaf {
            path: &["checkpoint", "ls"],
            also: &[&["checkpoint", "list"]],
            about: "List checkpoints for a container",
            args: |c| name(Listing::args(c), "CONTAINER"),
            run: |s, m| {
                Box::pin(async move {
                    let path = format!("/containers/{}/checkpoints", required(m, "name")?);
                    let found: Option<Vec<Json>> = s.client.get(&path).await?;
                    Listing {
                        columns: &[Column("CHECKPOINT NAME", "Name")],
                        id: "Name",
                        rows: found.unwrap_or_default(),
                    }
                    .print(m)?;
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["checkpoint", "create"],
            also: &[],
            about: "Create a checkpoint from a running container",
            args: |c| {
                name(c, "CONTAINER")
                    .arg(Arg::new("checkpoint").value_name("CHECKPOINT").required(true))
                    .arg(switch(
                        "leave-running",
                        "Leave the container running after checkpoint",
                    ))
            },
            run: |s, m| {
                Box::pin(async move {
                    let checkpoint = required(m, "checkpoint")?;
                    let body = json!({"CheckpointID": checkpoint, "Exit": !on(m, "leave-running")});
                    let path = format!("/containers/{}/checkpoints", required(m, "name")?);
                    s.client.plain(Method::POST, &path, Body::json(&body)?).await?;
                    println!("{checkpoint}");
                    Ok(0)
                })
            },
        },
        Leaf {
            path: &["checkpoint", "rm"],
            also: &[&["checkpoint", "remove"]],
            about: "Remove a checkpoint",
            args: |c| {
                name(c, "CONTAINER").arg(Arg::new("checkpoint").value_name("CHECKPOINT").required(true))
            },
            run: |s, m| {
                Box::pin(async move {
                    let (container, checkpoint) = (required(m, "name")?, required(m, "checkpoint")?);
                    let path = format!("/containers/{container}/checkpoints/{checkpoint}");
                    s.client.plain(Method::DELETE, &path, Body::Empty).await?;
                    Ok(0)
                })
            },
        },
    ]
}
