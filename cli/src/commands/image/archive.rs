//! `load`, `save` and `import`.

use super::{platform_arg, platforms, with_query};
use crate::app::Leaf;
use crate::commands::{parse::*, progress};
use anyhow::{Context, Result, bail};
use bytes::Bytes;
use clap::Arg;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method};
use serde_json::Value as Json;
use shoal_api_client::{Body, query};
use std::io::IsTerminal;
use tokio::io::AsyncWriteExt;

pub fn load() -> Leaf {
    Leaf {
        path: &["image", "load"],
        also: &[&["load"]],
        about: "Load an image from a tar archive or STDIN",
        args: |c| {
            c.arg(one("input", "string", "Read from tar archive file, instead of STDIN").short('i'))
                .arg(switch("quiet", "Suppress the load output").short('q'))
                .arg(platform_arg("Load only the given platform(s)"))
        },
        run: |s, m| {
            Box::pin(async move {
                let body = source(text(m, "input").unwrap_or("-")).await?;
                let quiet = if on(m, "quiet") { "1" } else { "" };
                let path = with_query(
                    &query("/images/load", &[("quiet", quiet)]),
                    &platforms(m, "platform")?,
                );
                let lines = s
                    .client
                    .lines::<Json>(Method::POST, &path, body, HeaderMap::new())
                    .await?;
                progress::show(lines, false).await?;
                Ok(0)
            })
        },
    }
}

pub fn save() -> Leaf {
    Leaf {
        path: &["image", "save"],
        also: &[&["save"]],
        about: "Save one or more images to a tar archive (streamed to STDOUT by default)",
        args: |c| {
            names(c, "IMAGE")
                .arg(one("output", "string", "Write to a file, instead of STDOUT").short('o'))
                .arg(platform_arg("Save only the given platform(s)"))
        },
        run: |s, m| {
            Box::pin(async move {
                let output = text(m, "output");
                if output.is_none() && std::io::stdout().is_terminal() {
                    bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
                }
                let names = list(m, "names")
                    .into_iter()
                    .map(|name| ("names".to_owned(), name));
                let wanted: Vec<_> = names.chain(platforms(m, "platform")?).collect();
                let path = with_query("/images/get", &wanted);
                let (_, mut tar) = s
                    .client
                    .stream(Method::GET, &path, Body::Empty, HeaderMap::new())
                    .await?;
                match output {
                    None => {
                        let mut out = tokio::io::stdout();
                        while let Some(chunk) = tar.next().await {
                            out.write_all(&chunk?).await?;
                        }
                        out.flush().await?;
                    }
                    Some(file) => whole_file(file, tar).await?,
                }
                Ok(0)
            })
        },
    }
}

pub fn import() -> Leaf {
    Leaf {
        path: &["image", "import"],
        also: &[&["import"]],
        about: "Import the contents from a tarball to create a filesystem image",
        args: |c| {
            c.arg(many("change", "Apply Dockerfile instruction to the created image").short('c'))
                .arg(one("message", "string", "Set commit message for imported image").short('m'))
                .arg(one(
                    "platform",
                    "string",
                    "Set platform if server is multi-platform capable",
                ))
                .arg(Arg::new("source").value_name("file|URL|-").required(true))
                .arg(Arg::new("repository").value_name("REPOSITORY[:TAG]"))
        },
        run: |s, m| {
            Box::pin(async move {
                let from = required(m, "source")?;
                let url = from.starts_with("http://") || from.starts_with("https://");
                let body = if url { Body::Empty } else { source(from).await? };
                let reference = text(m, "repository").unwrap_or_default();
                let mut path = query(
                    "/images/create",
                    &[
                        ("fromSrc", if url { from } else { "-" }),
                        ("repo", reference),
                        ("message", text(m, "message").unwrap_or_default()),
                        ("platform", text(m, "platform").unwrap_or_default()),
                    ],
                );
                for change in list(m, "change") {
                    path.push('&');
                    path.push_str(query("", &[("changes", &change)]).trim_start_matches('?'));
                }
                let lines = s
                    .client
                    .lines::<Json>(Method::POST, &path, body, HeaderMap::new())
                    .await?;
                progress::show(lines, false).await?;
                Ok(0)
            })
        },
    }
}

/// Writes a stream to a file, whole or not at all: an interrupted one leaves no half file under the name.
pub async fn whole_file(
    file: &str,
    mut tar: impl Stream<Item = shoal_api_client::Result<Bytes>> + Unpin,
) -> Result<()> {
    let part = format!("{file}.part");
    let result: Result<()> = async {
        let mut out = tokio::fs::File::create(&part)
            .await
            .with_context(|| format!("creating {part}"))?;
        while let Some(chunk) = tar.next().await {
            out.write_all(&chunk?).await?;
        }
        out.sync_all().await?;
        tokio::fs::rename(&part, file)
            .await
            .with_context(|| format!("writing {file}"))
    }
    .await;
    if result.is_err() {
        let _ = tokio::fs::remove_file(&part).await;
    }
    result
}

/// A file, or standard input for `-`.
async fn source(name: &str) -> Result<Body> {
    if name != "-" {
        let file = tokio::fs::File::open(name)
            .await
            .with_context(|| format!("open {name}"))?;
        return Ok(Body::Tar(Box::new(file)));
    }
    if std::io::stdin().is_terminal() {
        bail!("requested load from stdin, but stdin is empty");
    }
    Ok(Body::Tar(Box::new(tokio::io::stdin())))
}
