//! `logs`, and the part of it that services share.

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format::duration_of;
use crate::terminal::demultiplex;
use anyhow::Result;
use clap::{ArgMatches, Command};
use futures_util::TryStreamExt;
use http::{HeaderMap, Method};
use serde_json::Value as Json;
use shoal_api_client::{Body, query};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio_util::io::StreamReader;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "logs"],
        also: &[&["logs"]],
        about: "Fetch the logs of a container",
        args: |c| args(name(c, "CONTAINER")),
        run: |s, m| {
            Box::pin(async move {
                let id = required(m, "name")?;
                let info: Json = s.client.get(&format!("/containers/{id}/json")).await?;
                show(
                    s,
                    m,
                    &format!("/containers/{id}/logs"),
                    info["Config"]["Tty"] == true,
                )
                .await
            })
        },
    }
}

pub fn args(command: Command) -> Command {
    command
        .arg(switch("details", "Show extra details provided to logs"))
        .arg(switch("follow", "Follow log output").short('f'))
        .arg(one(
            "since",
            "string",
            "Show logs since timestamp or relative (e.g. 42m)",
        ))
        .arg(one(
            "until",
            "string",
            "Show logs before a timestamp or relative (e.g. 42m)",
        ))
        .arg(
            one(
                "tail",
                "string",
                "Number of lines to show from the end of the logs",
            )
            .short('n')
            .default_value("all"),
        )
        .arg(switch("timestamps", "Show timestamps").short('t'))
}

pub async fn show(s: &Session, m: &ArgMatches, path: &str, tty: bool) -> Result<u8> {
    let flag = |name: &str| if on(m, name) { "1" } else { "" };
    let (since, until) = (moment(text(m, "since")), moment(text(m, "until")));
    let path = query(
        path,
        &[
            ("stdout", "1"),
            ("stderr", "1"),
            ("follow", flag("follow")),
            ("timestamps", flag("timestamps")),
            ("details", flag("details")),
            ("tail", text(m, "tail").unwrap_or("all")),
            ("since", &since),
            ("until", &until),
        ],
    );
    let (_, stream) = s
        .client
        .stream(Method::GET, &path, Body::Empty, HeaderMap::new())
        .await?;
    let mut reader = StreamReader::new(stream.map_err(std::io::Error::other));
    if tty {
        tokio::io::copy(&mut reader, &mut tokio::io::stdout()).await?;
    } else {
        demultiplex(reader).await?;
    }
    Ok(0)
}

/// `42m` is so long ago; a date is itself, in seconds since the epoch; a number is taken as it is.
pub fn moment(value: Option<&str>) -> String {
    let Some(value) = value else { return String::new() };
    if let Ok(nanos) = duration_of(value)
        && value != "0"
    {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |d| d.as_nanos());
        let then = (now as i128 - i128::from(nanos)).max(0);
        return format!("{}.{:09}", then / 1_000_000_000, then % 1_000_000_000);
    }
    if value.contains('T') || value.matches('-').count() == 2 {
        let mut full = value.to_owned();
        if !full.contains('T') {
            full.push_str("T00:00:00");
        }
        let time = full.split('T').nth(1).unwrap_or_default();
        if !time.contains(['Z', '+', '-']) {
            full.push('Z');
        }
        return crate::format::parse_time(&full).to_string();
    }
    value.to_owned()
}
