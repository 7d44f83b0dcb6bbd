//! `cp`: between a container and this host, with docker's rules about what a destination means.

mod extract;
mod local;
mod rename;

use crate::app::{Leaf, Session};
use crate::commands::parse::*;
use crate::format;
use anyhow::{Context, Result, anyhow, bail};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use clap::{Arg, ArgMatches};
use futures_util::StreamExt;
use http::{HeaderMap, Method};
use rename::{Side, base, clean, directory, prepare};
use shoal_api_client::{Body, query};
use shoal_api_types::container::PathStat;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe;

/// Bits of Go's `os.FileMode`.
const DIR: u32 = 1 << 31;
const SYMLINK: u32 = 1 << 27;
const DEVICE: u32 = 1 << 26;

pub fn leaf() -> Leaf {
    Leaf {
        path: &["container", "cp"],
        also: &[&["cp"]],
        about: "Copy files/folders between a container and the local filesystem",
        args: |c| {
            c.arg(switch("archive", "Archive mode (copy all uid/gid information)").short('a'))
                .arg(switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'))
                .arg(
                    switch(
                        "quiet",
                        "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
                    )
                    .short('q'),
                )
                .arg(Arg::new("source").value_name("CONTAINER:SRC_PATH|SRC_PATH|-").required(true))
                .arg(Arg::new("target").value_name("DEST_PATH|-|CONTAINER:DEST_PATH").required(true))
        },
        run: |s, m| Box::pin(run(s, m)),
    }
}

async fn run(s: &Session, m: &ArgMatches) -> Result<u8> {
    let (source, target) = (required(m, "source")?, required(m, "target")?);
    match (split(source), split(target)) {
        ((Some(_), _), (Some(_), _)) => bail!("copying between containers is not supported"),
        ((None, _), (None, _)) => bail!("must specify at least one container source"),
        ((Some(container), path), (None, target)) => from(s, m, container, path, target).await?,
        ((None, source), (Some(container), path)) => to(s, m, source, container, path).await?,
    }
    Ok(0)
}

/// `CONTAINER:PATH`, or a path of this host: what begins with a slash or a dot.
fn split(text: &str) -> (Option<&str>, &str) {
    match text.split_once(':') {
        Some((container, path)) if !text.starts_with(['/', '.']) => (Some(container), path),
        _ => (None, text),
    }
}

async fn stat(s: &Session, container: &str, path: &str) -> Result<PathStat> {
    let path = query(&format!("/containers/{container}/archive"), &[("path", path)]);
    let (headers, _) = s
        .client
        .stream(Method::HEAD, &path, Body::Empty, HeaderMap::new())
        .await?;
    decode(&headers)
}

fn decode(headers: &HeaderMap) -> Result<PathStat> {
    let text = headers.get("x-docker-container-path-stat");
    let text = text.ok_or_else(|| anyhow!("the daemon did not say what the path is"))?;
    Ok(serde_json::from_slice(&BASE64_STANDARD.decode(text.as_bytes())?)?)
}

async fn from(s: &Session, m: &ArgMatches, container: &str, path: &str, target: &str) -> Result<()> {
    let target = match target {
        "-" => "-".to_owned(),
        target => absolute(target)?,
    };
    if target != "-" {
        writable(&target)?;
    }
    let (mut path, mut rebased) = (path.to_owned(), None);
    if on(m, "follow-link")
        && let Ok(stat) = stat(s, container, &path).await
        && stat.mode & SYMLINK != 0
    {
        let mut target = stat.link_target;
        if !target.starts_with('/') {
            target = format!("{}/{target}", directory(&path));
        }
        rebased = Some(base(&path));
        path = target;
    }
    let url = query(&format!("/containers/{container}/archive"), &[("path", &path)]);
    let (headers, mut tar) = s
        .client
        .stream(Method::GET, &url, Body::Empty, HeaderMap::new())
        .await?;
    if target == "-" {
        let mut out = tokio::io::stdout();
        while let Some(chunk) = tar.next().await {
            out.write_all(&chunk?).await?;
        }
        return Ok(out.flush().await?);
    }
    let source = Side {
        is_dir: decode(&headers)?.mode & DIR != 0,
        path,
        exists: true,
    };
    let place = local_target(&target)?;
    let mut plan = prepare(&source, &place)?;
    if let Some(name) = rebased {
        // Named after the link, not after what it leads to.
        plan.rename.get_or_insert((base(&source.path), name));
    }
    let (reader, writer) = std::io::pipe()?;
    let mut writer = pipe::Sender::from_owned_fd_unchecked(nonblocking(writer.into())?)?;
    let work = tokio::task::spawn_blocking(move || extract::extract(reader, &plan));
    let mut size = 0;
    while let Some(chunk) = tar.next().await {
        let chunk = chunk?;
        size += chunk.len() as u64;
        if writer.write_all(&chunk).await.is_err() {
            // The other end says why.
            break;
        }
    }
    drop(writer);
    work.await??;
    say(m, size, &target);
    Ok(())
}

async fn to(s: &Session, m: &ArgMatches, source: &str, container: &str, path: &str) -> Result<()> {
    let mut place = Side {
        path: path.to_owned(),
        exists: false,
        is_dir: false,
    };
    let mut found = stat(s, container, path).await;
    if let Ok(link) = &found
        && link.mode & SYMLINK != 0
    {
        place.path = match link.link_target.starts_with('/') {
            true => link.link_target.clone(),
            false => format!("{}/{}", directory(path), link.link_target),
        };
        found = stat(s, container, &place.path).await;
    }
    if let Ok(stat) = &found {
        if stat.mode & DEVICE != 0 {
            bail!("destination \"{container}:{path}\" must be a directory or a regular file: got a device");
        }
        (place.exists, place.is_dir) = (true, stat.mode & DIR != 0);
    }
    let sent = Arc::new(AtomicU64::new(0));
    let (body, into, packing) = if source == "-" {
        if !place.is_dir {
            bail!("destination \"{container}:{path}\" must be a directory");
        }
        (Body::Tar(Box::new(tokio::io::stdin())), place.path.clone(), None)
    } else {
        let source = local::Source::find(&absolute(source)?, on(m, "follow-link"))?;
        let plan = prepare(&source.side, &place)?;
        let (reader, writer) = std::io::pipe()?;
        let reader = pipe::Receiver::from_owned_fd_unchecked(nonblocking(reader.into())?)?;
        let (into, count) = (plan.directory.clone(), sent.clone());
        let work = tokio::task::spawn_blocking(move || local::pack(&source, &plan, writer, &count));
        (Body::Tar(Box::new(reader)), into, Some(work))
    };
    let url = query(
        &format!("/containers/{container}/archive"),
        &[
            ("path", &into),
            ("noOverwriteDirNonDir", "true"),
            ("copyUIDGID", if on(m, "archive") { "true" } else { "" }),
        ],
    );
    let put = s.client.plain(Method::PUT, &url, body).await;
    if let Some(work) = packing {
        // A refusal by the daemon closes the pipe: it is the reason, not what became of the pipe.
        let packed = work.await?;
        put?;
        packed?;
    } else {
        put?;
    }
    say(
        m,
        sent.load(Ordering::Relaxed),
        &format!("{container}:{}", place.path),
    );
    Ok(())
}

fn say(m: &ArgMatches, size: u64, target: &str) {
    if !on(m, "quiet") && std::io::stderr().is_terminal() {
        eprintln!(
            "Successfully copied {} to {target}",
            format::human_size(size as f64)
        );
    }
}

fn nonblocking(fd: std::os::fd::OwnedFd) -> Result<std::os::fd::OwnedFd> {
    let flags = rustix::fs::fcntl_getfl(&fd)?;
    rustix::fs::fcntl_setfl(&fd, flags | rustix::fs::OFlags::NONBLOCK)?;
    Ok(fd)
}

/// Absolute and cleaned, with a `/` or `/.` at its end kept.
fn absolute(path: &str) -> Result<String> {
    let full = match path.starts_with('/') {
        true => path.to_owned(),
        false => format!("{}/{path}", std::env::current_dir()?.display()),
    };
    Ok(clean(&full))
}

/// Docker's checks of a place on this host.
fn writable(path: &str) -> Result<()> {
    let parent = directory(path);
    if std::fs::metadata(&parent).is_err_and(|e| e.kind() == std::io::ErrorKind::NotFound) {
        bail!("invalid output path: directory {parent:?} does not exist");
    }
    match std::fs::metadata(path) {
        Ok(found) if !found.is_dir() && !found.is_file() => {
            bail!("invalid output path: {path:?} must be a directory or a regular file")
        }
        _ => Ok(()),
    }
}

/// Links at the destination are followed, as they are when a file is written.
fn local_target(path: &str) -> Result<Side> {
    let mut path = path.to_owned();
    for _ in 0..40 {
        match std::fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let target = std::fs::read_link(&path)?.to_string_lossy().into_owned();
                path = match target.starts_with('/') {
                    true => clean(&target),
                    false => clean(&format!("{}/{target}", directory(&path))),
                };
            }
            Ok(found) => {
                return Ok(Side {
                    path,
                    exists: true,
                    is_dir: found.is_dir(),
                });
            }
            Err(_) => {
                let parent = directory(&path);
                let above = std::fs::metadata(&parent).with_context(|| format!("stat {parent}"))?;
                if !above.is_dir() {
                    bail!("not a directory: {parent}");
                }
                return Ok(Side {
                    path,
                    exists: false,
                    is_dir: false,
                });
            }
        }
    }
    bail!("too many links: {}", Path::new(&path).display())
}
