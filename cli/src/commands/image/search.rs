//! `search`.

use crate::app::Leaf;
use crate::commands::parse::*;
use crate::credentials;
use crate::format::{Column, Listing};
use clap::Arg;
use http::Method;
use serde_json::{Value as Json, json};
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["search"],
        also: &[],
        about: "Search Docker Hub for images",
        args: |c| {
            Listing::args(c)
                .arg(one("limit", "int", "Max number of search results"))
                .arg(Arg::new("term").value_name("TERM").required(true))
        },
        run: |s, m| {
            Box::pin(async move {
                let term = required(m, "term")?;
                let path = query(
                    "/images/search",
                    &[
                        ("term", term),
                        ("limit", text(m, "limit").unwrap_or_default()),
                        ("filters", &filters_of(&list(m, "filter"))?),
                    ],
                );
                let headers = credentials::header(&credentials::registry_of(term));
                let found: Vec<Json> = s
                    .client
                    .json_with(Method::GET, &path, Body::Empty, headers)
                    .await?;
                let whole = m.get_flag("no-trunc");
                let rows = found.iter().map(|hit| {
                    let description = hit["description"]
                        .as_str()
                        .unwrap_or_default()
                        .replace(['\n', '\r'], " ");
                    let short: String = description.chars().take(44).collect();
                    let cut = !whole && description.chars().count() > 45;
                    json!({
                        "Name": hit["name"],
                        "Description": if cut { format!("{short}…") } else { description },
                        "StarCount": hit["star_count"].to_string(),
                        "IsOfficial": if hit["is_official"] == true { "[OK]" } else { "" },
                    })
                });
                Listing {
                    columns: &[
                        Column("NAME", "Name"),
                        Column("DESCRIPTION", "Description"),
                        Column("STARS", "StarCount"),
                        Column("OFFICIAL", "IsOfficial"),
                    ],
                    id: "Name",
                    rows: rows.collect(),
                }
                .print(m)?;
                Ok(0)
            })
        },
    }
}
