//! `attach`.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::terminal::{Raw, join};
use anyhow::{Result, bail};
use clap::ArgMatches;
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "attach"],
        also: &[&["attach"]],
        about: "Attach local standard input, output, and error streams to a running container",
        args: |c| {
            name(c, "CONTAINER")
                .arg(switch("no-stdin", "Do not attach STDIN"))
                .arg(one(
                    "detach-keys",
                    "string",
                    "Override the key sequence for detaching a container",
                ))
        },
        run: |s, m| Box::pin(attach(s, m)),
    }
}

async fn attach(s: &Session, m: &ArgMatches) -> Result<u8> {
    let id = required(m, "name")?;
    let info: Json = s.client.get(&format!("/containers/{id}/json")).await?;
    if info["State"]["Running"] != true {
        bail!("cannot attach to a stopped container, start it first");
    }
    let (tty, stdin) = (
        info["Config"]["Tty"] == true,
        info["Config"]["OpenStdin"] == true && !on(m, "no-stdin"),
    );
    let path = query(
        &format!("/containers/{id}/attach"),
        &[
            ("stream", "1"),
            ("stdin", if stdin { "1" } else { "" }),
            ("stdout", "1"),
            ("stderr", "1"),
            ("detachKeys", text(m, "detach-keys").unwrap_or_default()),
        ],
    );
    let (_, stream) = s.client.hijack(&path, Body::Empty).await?;
    let raw = if tty && stdin { Raw::enter() } else { None };
    let result = join(stream, stdin, tty).await;
    drop(raw);
    result?;
    let info: Json = s.client.get(&format!("/containers/{id}/json")).await?;
    if info["State"]["Running"] == true {
        return Ok(0);
    }
    let end: Json = s
        .client
        .json(Method::POST, &format!("/containers/{id}/wait"), Body::Empty)
        .await?;
    Ok(u8::try_from(end["StatusCode"].as_i64().unwrap_or(1) & 0xff).unwrap_or(1))
}
