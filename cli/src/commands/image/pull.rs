//! `pull`.

use super::{auth, with_tag};
use crate::app::Leaf;
use crate::commands::{parse::*, progress};
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["image", "pull"],
        also: &[&["pull"]],
        about: "Download an image from a registry",
        args: |c| {
            name(c, "NAME[:TAG|@DIGEST]")
                .arg(one(
                    "platform",
                    "string",
                    "Set platform if server is multi-platform capable",
                ))
                .arg(switch("quiet", "Suppress verbose output").short('q'))
        },
        run: |s, m| {
            Box::pin(async move {
                let image = required(m, "name")?;
                let full = with_tag(image);
                if full != image {
                    println!("Using default tag: latest");
                }
                let path = query(
                    "/images/create",
                    &[
                        ("fromImage", &full),
                        ("platform", text(m, "platform").unwrap_or_default()),
                    ],
                );
                let lines = s
                    .client
                    .lines::<Json>(Method::POST, &path, Body::Empty, auth(image))
                    .await?;
                progress::show(lines, on(m, "quiet")).await?;
                println!("{full}");
                Ok(0)
            })
        },
    }
}
