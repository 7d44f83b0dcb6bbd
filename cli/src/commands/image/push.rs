//! `push`.

use super::{platform, with_tag};
use crate::app::Leaf;
use crate::commands::{parse::*, progress};
use crate::credentials;
use anyhow::bail;
use http::Method;
use serde_json::Value as Json;
use shoal_api_client::{Body, query};

pub fn leaf() -> Leaf {
    Leaf {
        path: &["image", "push"],
        also: &[&["push"]],
        about: "Upload an image to a registry",
        args: |c| {
            name(c, "NAME[:TAG]")
                .arg(switch("all-tags", "Push all tags of an image to the repository").short('a'))
                .arg(one(
                    "platform",
                    "string",
                    "Push a platform-specific manifest as a single-platform image to the registry",
                ))
                .arg(switch("quiet", "Suppress verbose output").short('q'))
        },
        run: |s, m| {
            Box::pin(async move {
                let image = required(m, "name")?;
                let full = with_tag(image);
                let all = on(m, "all-tags");
                if all && full == image {
                    bail!("tag can't be used with --all-tags/-a");
                }
                if !all && full != image {
                    println!("Using default tag: latest");
                }
                let (repository, tag) = full.rsplit_once(':').unwrap_or((&full, ""));
                let platform = text(m, "platform").map(platform).transpose()?.unwrap_or_default();
                let path = query(
                    &format!("/images/{repository}/push"),
                    &[("tag", if all { "" } else { tag }), ("platform", &platform)],
                );
                let headers = credentials::header(&credentials::registry_of(image));
                let lines = s
                    .client
                    .lines::<Json>(Method::POST, &path, Body::Empty, headers)
                    .await?;
                progress::show(lines, on(m, "quiet")).await?;
                if on(m, "quiet") {
                    println!("{full}");
                }
                Ok(0)
            })
        },
    }
}
