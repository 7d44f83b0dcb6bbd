//! `export`, `diff` and `commit`: a container's files as an archive, as a list, as an image.

use crate::app::Leaf;
use crate::commands::image::archive::whole_file;
use crate::commands::parse::*;
use anyhow::bail;
use clap::Arg;
use futures_util::StreamExt;
use http::{HeaderMap, Method};
use shoal_api_client::{Body, query};
use shoal_api_types::container::{ChangeKind, FilesystemChange};
use shoal_api_types::message::IdResponse;
use std::io::IsTerminal;
use tokio::io::AsyncWriteExt;

pub fn leaves() -> Vec<Leaf> {
    vec![export(), diff(), commit()]
}

fn export() -> Leaf {
    Leaf {
        path: &["container", "export"],
        also: &[&["export"]],
        about: "Export a container's filesystem as a tar archive",
        args: |c| {
            c.arg(one("output", "string", "Write to a file, instead of STDOUT").short('o'))
                .arg(Arg::new("container").value_name("CONTAINER").required(true))
        },
        run: |s, m| {
            Box::pin(async move {
                let output = text(m, "output");
                if output.is_none() && std::io::stdout().is_terminal() {
                    bail!("cowardly refusing to save to a terminal. Use the -o flag or redirect");
                }
                let path = format!("/containers/{}/export", required(m, "container")?);
                let (_, mut tar) = s
                    .client
                    .stream(Method::GET, &path, Body::Empty, HeaderMap::new())
                    .await?;
                match output {
                    Some(file) => whole_file(file, tar).await?,
                    None => {
                        let mut out = tokio::io::stdout();
                        while let Some(chunk) = tar.next().await {
                            out.write_all(&chunk?).await?;
                        }
                        out.flush().await?;
                    }
                }
                Ok(0)
            })
        },
    }
}

fn diff() -> Leaf {
    Leaf {
        path: &["container", "diff"],
        also: &[&["diff"]],
        about: "Inspect changes to files or directories on a container's filesystem",
        args: |c| c.arg(Arg::new("container").value_name("CONTAINER").required(true)),
        run: |s, m| {
            Box::pin(async move {
                let path = format!("/containers/{}/changes", required(m, "container")?);
                let changes: Option<Vec<FilesystemChange>> = s.client.get(&path).await?;
                for change in changes.unwrap_or_default() {
                    let kind = match change.kind {
                        ChangeKind::Modified => 'C',
                        ChangeKind::Added => 'A',
                        ChangeKind::Deleted => 'D',
                    };
                    println!("{kind} {}", change.path);
                }
                Ok(0)
            })
        },
    }
}

fn commit() -> Leaf {
    Leaf {
        path: &["container", "commit"],
        also: &[&["commit"]],
        about: "Create a new image from a container's changes",
        args: |c| {
            c.arg(
                one(
                    "author",
                    "string",
                    "Author (e.g., \"John Hannibal Smith <hannibal@a-team.com>\")",
                )
                .short('a'),
            )
            .arg(many("change", "Apply Dockerfile instruction to the created image").short('c'))
            .arg(one("message", "string", "Commit message").short('m'))
            .arg(
                Arg::new("pause")
                    .long("pause")
                    .short('p')
                    .num_args(0..=1)
                    .require_equals(true)
                    .default_value("true")
                    .default_missing_value("true")
                    .help("Pause container during commit"),
            )
            .arg(Arg::new("container").value_name("CONTAINER").required(true))
            .arg(Arg::new("repository").value_name("REPOSITORY[:TAG]"))
        },
        run: |s, m| {
            Box::pin(async move {
                // The name and its tag in one: the daemon takes it apart.
                let mut path = query(
                    "/commit",
                    &[
                        ("container", required(m, "container")?),
                        ("repo", text(m, "repository").unwrap_or_default()),
                        ("comment", text(m, "message").unwrap_or_default()),
                        ("author", text(m, "author").unwrap_or_default()),
                        (
                            "pause",
                            if matches!(text(m, "pause"), Some("false" | "0")) {
                                "0"
                            } else {
                                "1"
                            },
                        ),
                    ],
                );
                for change in list(m, "change") {
                    path.push('&');
                    path.push_str(query("", &[("changes", &change)]).trim_start_matches('?'));
                }
                let made: IdResponse = s.client.json(Method::POST, &path, Body::Empty).await?;
                println!("{}", made.id);
                Ok(0)
            })
        },
    }
}
