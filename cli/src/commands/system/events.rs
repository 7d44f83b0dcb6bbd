//! `events`.

use crate::app::{Leaf, Session};
use crate::commands::container_shared::logs::moment;
use crate::commands::parse::*;
use crate::format::render;
use anyhow::Result;
use clap::ArgMatches;
use futures_util::StreamExt;
use http::{HeaderMap, Method};
use serde_json::Value as Json;
use shoal_api_client::{Body, query};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["system", "events"],
        also: &[&["events"]],
        about: "Get real time events from the server",
        args: |c| {
            c.arg(many("filter", "Filter output based on conditions provided").short('f'))
                .arg(one("format", "string", "Format output using a custom template"))
                .arg(one("since", "string", "Show all events created since timestamp"))
                .arg(one("until", "string", "Stream events until this timestamp"))
        },
        run: |s, m| Box::pin(events(s, m)),
    }
}

async fn events(s: &Session, m: &ArgMatches) -> Result<u8> {
    let (since, until) = (moment(text(m, "since")), moment(text(m, "until")));
    let path = query(
        "/events",
        &[("since", &since), ("until", &until), ("filters", &filters(m)?)],
    );
    let mut lines = s
        .client
        .lines::<Json>(Method::GET, &path, Body::Empty, HeaderMap::new())
        .await?;
    while let Some(event) = lines.next().await {
        let mut event = event?;
        if let Some(format) = text(m, "format") {
            // Docker's older names of the same members, which templates use.
            event["ID"] = event["Actor"]["ID"].clone();
            println!("{}", render(format, &event)?);
            continue;
        }
        let nanos = i128::from(event["timeNano"].as_i64().unwrap_or(0));
        let at = OffsetDateTime::from_unix_timestamp_nanos(nanos)
            .ok()
            .and_then(|t| t.format(&Rfc3339).ok())
            .unwrap_or_default();
        let mut attributes: Vec<String> = event["Actor"]["Attributes"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(k, v)| format!("{k}={}", v.as_str().unwrap_or_default()))
            .collect();
        attributes.sort();
        let field = |v: &Json| v.as_str().unwrap_or_default().to_owned();
        let attributes = if attributes.is_empty() {
            String::new()
        } else {
            format!(" ({})", attributes.join(", "))
        };
        println!(
            "{at} {} {} {}{attributes}",
            field(&event["Type"]),
            field(&event["Action"]),
            field(&event["Actor"]["ID"])
        );
    }
    Ok(0)
}
