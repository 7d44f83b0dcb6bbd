//! `top`.

use crate::app::Leaf;
use crate::commands::parse::*;
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
                let row = |r: &Json| -> Vec<String> {
                    r.as_array()
                        .into_iter()
                        .flatten()
                        .map(|c| c.as_str().unwrap_or_default().to_owned())
                        .collect()
                };
                let mut rows = vec![row(&top["Titles"])];
                rows.extend(top["Processes"].as_array().into_iter().flatten().map(row));
                let width = |i: usize| {
                    rows.iter()
                        .map(|r| r.get(i).map_or(0, |c| c.chars().count()))
                        .max()
                        .unwrap_or(0)
                };
                let widths: Vec<usize> = (0..rows[0].len()).map(width).collect();
                for row in &rows {
                    let cells: Vec<String> = row
                        .iter()
                        .enumerate()
                        .map(|(i, c)| format!("{c:<w$}", w = widths.get(i).copied().unwrap_or(0) + 12))
                        .collect();
                    println!("{}", cells.concat().trim_end());
                }
                Ok(0)
            })
        },
    }
}
