//! The store as the engine uses it, on a real file system and as root.

mod archives;
mod arriving;
mod bombs;
mod crashes;
mod hostile;
mod hostile_registry;
mod peers;
mod platforms;
mod power;
mod pull;
mod race;
mod registry;
mod settling;
mod snapshots;
mod uptodate;
mod ways;

use std::io;
use std::path::Path;

use bytes::Bytes;
use futures_util::Stream;
use shoal_node_drivers_images::{Error, Images, Progress, Reference, RegistryConfig, Sink};
use tokio::sync::mpsc;

fn open(root: &Path) -> Images {
    Images::open(root, RegistryConfig::default()).expect("open")
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).expect("reference")
}

/// One entry of a tar: type, path, link target, data.
struct Entry<'a>(tar::EntryType, &'a str, &'a str, &'a [u8]);

fn file<'a>(path: &'a str, data: &'a [u8]) -> Entry<'a> {
    Entry(tar::EntryType::Regular, path, "", data)
}

fn directory(path: &str) -> Entry<'_> {
    Entry(tar::EntryType::Directory, path, "", b"")
}

fn symlink<'a>(path: &'a str, target: &'a str) -> Entry<'a> {
    Entry(tar::EntryType::Symlink, path, target, b"")
}

fn hard_link<'a>(path: &'a str, target: &'a str) -> Entry<'a> {
    Entry(tar::EntryType::Link, path, target, b"")
}

/// A header with any bytes as names, however bad.
fn header(entry: &Entry) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(entry.0);
    header.set_size(entry.3.len() as u64);
    header.set_mode(if entry.0 == tar::EntryType::Directory {
        0o755
    } else {
        0o644
    });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_700_000_000);
    let old = header.as_old_mut();
    old.name[..entry.1.len()].copy_from_slice(entry.1.as_bytes());
    old.linkname[..entry.2.len()].copy_from_slice(entry.2.as_bytes());
    header.set_cksum();
    header
}

fn archive(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        append(&mut out, &header(entry), entry.3);
    }
    out.extend_from_slice(&[0; 1024]);
    out
}

fn append(out: &mut Vec<u8>, header: &tar::Header, data: &[u8]) {
    out.extend_from_slice(header.as_bytes());
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

async fn import(images: &Images, tar: Vec<u8>, name: &str) -> String {
    try_import(images, std::io::Cursor::new(tar), Some(&reference(name)))
        .await
        .expect("import")
}

async fn try_import(
    images: &Images,
    tar: impl tokio::io::AsyncRead + Send + Unpin + 'static,
    name: Option<&Reference>,
) -> Result<String, Error> {
    images
        .import(coming(tar), name, |_| Ok(()), "", None, &Sink::none())
        .await
}

/// Bytes as they come from a client.
fn coming(
    from: impl tokio::io::AsyncRead + Send + Unpin + 'static,
) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
    tokio_util::io::ReaderStream::with_capacity(from, 32 << 10)
}

/// Bytes as they go to one.
fn reading(stream: impl Stream<Item = io::Result<Bytes>> + Unpin) -> impl tokio::io::AsyncRead + Unpin {
    tokio_util::io::StreamReader::new(stream)
}

/// Runs something that reports progress and returns its result with what it said.
async fn told<T>(work: impl AsyncFnOnce(Sink) -> T) -> (T, Vec<Progress>) {
    let (send, mut receive) = mpsc::channel(10_000);
    let result = work(Sink::new(send)).await;
    let mut said = Vec::new();
    while let Ok(progress) = receive.try_recv() {
        said.push(progress);
    }
    (result, said)
}
