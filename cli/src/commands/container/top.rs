//! `top`.

use crate::app::Leaf;
use crate::commands::parse::*;
use crate::format::align_to;
use clap::Arg;
use serde_json::Value as Json;
use shoal_api_client::query;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "top"],
        also: &[&["top"]],
        about: "Display the running processes of a container",
        args: |c| {
            name(c, "CONTAINER").arg(
                Arg::new("options")
                    .value_name("ps OPTIONS")
                    .num_args(0..)
                    .allow_hyphen_values(true),
            )
        },
        run: |s, m| {
            Box::pin(async move {
                let path = format!("/containers/{}/top", required(m, "name")?);
                let top: Json = s
                    .client
                    .get(&query(&path, &[("ps_args", &list(m, "options").join(" "))]))
                    .await?;
                let row = |r: &Json| -> String {
                    let cells = r.as_array().into_iter().flatten();
                    cells
                        .map(|c| c.as_str().unwrap_or_default())
                        .collect::<Vec<_>>()
                        .join("\t")
                };
                let mut rows = vec![row(&top["Titles"])];
                rows.extend(top["Processes"].as_array().into_iter().flatten().map(row));
                print!("{}", align_to(20, &rows));
                Ok(0)
            })
        },
    }
}
