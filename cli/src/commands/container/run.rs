//! `run`, `create` and `start`.

use super::options;
use crate::app::{Exit, Leaf, Session};
use crate::commands::parse::*;
use crate::commands::{image, progress};
use crate::terminal::{Raw, is_terminal, join, size};
use anyhow::{Result, bail};
use clap::{ArgMatches, Command};
use futures_util::StreamExt;
use http::{HeaderMap, Method};
use serde_json::Value as Json;
use shoal_api_client::{Body, Client, query};

pub fn create() -> Leaf {
    Leaf {
        path: &["container", "create"],
        also: &[&["create"]],
        about: "Create a new container",
        args: |c| image_and_command(options::args(c)),
        run: |s, m| {
            Box::pin(async move {
                println!("{}", make(s, m, false).await?);
                Ok(0)
            })
        },
    }
}

pub fn run() -> Leaf {
    Leaf {
        path: &["container", "run"],
        also: &[&["run"]],
        about: "Create and run a new container from an image",
        args: |c| {
            image_and_command(
                options::args(c)
                    .arg(switch("detach", "Run container in background and print container ID").short('d'))
                    .arg(switch("sig-proxy", "Proxy received signals to the process").default_value("true"))
                    .arg(one(
                        "detach-keys",
                        "string",
                        "Override the key sequence for detaching a container",
                    )),
            )
        },
        run: |s, m| Box::pin(foreground(s, m)),
    }
}

pub fn start() -> Leaf {
    Leaf {
        path: &["container", "start"],
        also: &[&["start"]],
        about: "Start one or more stopped containers",
        args: |c: Command| {
            names(c, "CONTAINER")
                .arg(switch("attach", "Attach STDOUT/STDERR and forward signals").short('a'))
                .arg(switch("interactive", "Attach container's STDIN").short('i'))
                .arg(one(
                    "detach-keys",
                    "string",
                    "Override the key sequence for detaching a container",
                ))
        },
        run: |s, m| {
            Box::pin(async move {
                let ids = list(m, "names");
                if on(m, "attach") || on(m, "interactive") {
                    let [id] = &ids[..] else {
                        bail!("you cannot start and attach multiple containers at once")
                    };
                    let info: Json = s.client.get(&format!("/containers/{id}/json")).await?;
                    let tty = info["Config"]["Tty"] == true;
                    return attached(&s.client, id, on(m, "interactive"), tty, false).await;
                }
                each(&ids, |id| async move {
                    s.client
                        .plain(Method::POST, &format!("/containers/{id}/start"), Body::Empty)
                        .await
                })
                .await
            })
        },
    }
}

/// Creates, pulling the image where the policy says so. Answers the id.
async fn make(s: &Session, m: &ArgMatches, attach: bool) -> Result<String> {
    let client = &s.client;
    let image = required(m, "image")?;
    let pull = text(m, "pull").unwrap_or("missing");
    if !["always", "missing", "never"].contains(&pull) {
        return Err(Exit(
            125,
            format!("invalid pull option: '{pull}': must be one of \"always\", \"missing\" or \"never\""),
        )
        .into());
    }
    let refused = |e: anyhow::Error| anyhow::Error::from(Exit(125, format!("shoal: {e:#}")));
    let body = options::request(m, attach).map_err(refused)?;
    let platform = text(m, "platform").unwrap_or_default();
    if pull == "always" {
        fetch(client, image, platform, on(m, "quiet"))
            .await
            .map_err(refused)?;
    }
    let path = query(
        "/containers/create",
        &[
            ("name", text(m, "name").unwrap_or_default()),
            ("platform", platform),
        ],
    );
    let first: shoal_api_client::Result<Json> = client.json(Method::POST, &path, Body::json(&body)?).await;
    let created = match first {
        Err(e) if e.status() == Some(404) && pull == "missing" => {
            eprintln!("Unable to find image '{}' locally", image::with_tag(image));
            fetch(client, image, platform, on(m, "quiet"))
                .await
                .map_err(refused)?;
            client
                .json(Method::POST, &path, Body::json(&body)?)
                .await
                .map_err(|e| refused(e.into()))?
        }
        other => other.map_err(|e| refused(e.into()))?,
    };
    for warning in created["Warnings"].as_array().into_iter().flatten() {
        eprintln!("WARNING: {}", warning.as_str().unwrap_or_default());
    }
    let id = created["Id"].as_str().unwrap_or_default().to_owned();
    if let Some(file) = text(m, "cidfile") {
        std::fs::write(file, &id)?;
    }
    Ok(id)
}

async fn fetch(client: &Client, image: &str, platform: &str, quiet: bool) -> Result<()> {
    let path = query(
        "/images/create",
        &[("fromImage", &image::with_tag(image)), ("platform", platform)],
    );
    let lines = client
        .lines::<Json>(Method::POST, &path, Body::Empty, image::auth(image))
        .await?;
    progress::show(lines, quiet).await?;
    Ok(())
}

async fn foreground(s: &Session, m: &ArgMatches) -> Result<u8> {
    let detach = on(m, "detach");
    let id = make(s, m, !detach).await?;
    if detach {
        s.client
            .plain(Method::POST, &format!("/containers/{id}/start"), Body::Empty)
            .await
            .map_err(|e| Exit(start_code(&e.to_string()), format!("shoal: {e}")))?;
        println!("{id}");
        return Ok(0);
    }
    let (stdin, tty) = (on(m, "interactive"), on(m, "tty"));
    if tty && stdin && !is_terminal() {
        bail!("the input device is not a TTY");
    }
    let wanted = options::streams(m, true)?;
    let stdin = stdin && wanted.stdin;
    attached(&s.client, &id, stdin, tty, on(m, "rm")).await
}

/// Attach first, wait second, start third: nothing that it prints and no exit is missed.
async fn attached(client: &Client, id: &str, stdin: bool, tty: bool, removed: bool) -> Result<u8> {
    let stdin_flag = if stdin { "1" } else { "" };
    let path = query(
        &format!("/containers/{id}/attach"),
        &[
            ("stream", "1"),
            ("stdin", stdin_flag),
            ("stdout", "1"),
            ("stderr", "1"),
        ],
    );
    let (_, stream) = client.hijack(&path, Body::Empty).await?;
    let condition = if removed { "removed" } else { "next-exit" };
    let wait = query(&format!("/containers/{id}/wait"), &[("condition", condition)]);
    let (_, mut end) = client
        .stream(Method::POST, &wait, Body::Empty, HeaderMap::new())
        .await?;
    let started = client
        .plain(Method::POST, &format!("/containers/{id}/start"), Body::Empty)
        .await;
    if let Err(e) = started {
        let text = e.to_string();
        return Err(Exit(start_code(&text), format!("shoal: {text}")).into());
    }
    let raw = if tty { Raw::enter() } else { None };
    let signals = tokio::spawn(forward_signals(client.clone(), id.to_owned(), tty));
    let result = join(stream, stdin, tty).await;
    let mut body = Vec::new();
    while let Some(chunk) = end.next().await {
        body.extend_from_slice(&chunk?);
    }
    signals.abort();
    drop(raw);
    result?;
    let answer: Json = serde_json::from_slice(&body)?;
    if let Some(message) = answer["Error"]["Message"].as_str().filter(|e| !e.is_empty()) {
        return Err(Exit(125, format!("shoal: {message}")).into());
    }
    Ok(u8::try_from(answer["StatusCode"].as_i64().unwrap_or(1) & 0xff).unwrap_or(1))
}

/// Docker's rule: not found is 127, not executable 126, anything else 125.
fn start_code(message: &str) -> u8 {
    if message.contains("executable file not found") || message.contains("no such file or directory") {
        127
    } else if message.contains("permission denied") || message.contains("is a directory") {
        126
    } else {
        125
    }
}

/// Our signals become the container's; with a terminal, its size follows ours.
async fn forward_signals(client: Client, id: String, tty: bool) {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut winch) = signal(SignalKind::window_change()) else {
        return;
    };
    let Ok(mut int) = signal(SignalKind::interrupt()) else {
        return;
    };
    let Ok(mut term) = signal(SignalKind::terminate()) else {
        return;
    };
    let Ok(mut hup) = signal(SignalKind::hangup()) else {
        return;
    };
    loop {
        if tty && let Some((rows, columns)) = size() {
            let (h, w) = (rows.to_string(), columns.to_string());
            let path = query(&format!("/containers/{id}/resize"), &[("h", &h), ("w", &w)]);
            let _ = client.plain(Method::POST, &path, Body::Empty).await;
        }
        let name = tokio::select! {
            _ = winch.recv() => continue,
            _ = int.recv() => "INT",
            _ = term.recv() => "TERM",
            _ = hup.recv() => "HUP",
        };
        let path = query(&format!("/containers/{id}/kill"), &[("signal", name)]);
        let _ = client.plain(Method::POST, &path, Body::Empty).await;
    }
}
