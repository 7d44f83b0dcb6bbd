//! `docker logs`.

use super::{Containers, Handle};
use crate::error::{Error, Result, invalid, system};
use futures_util::stream::unfold;
use shoal_api_backend::{BoxStream, Bytes, LogStream, Logs};
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_logs::{Entry, ReadOptions, Stop, Stream, read, rfc3339_nano_fixed};
use tokio::sync::mpsc;

/// Pieces between the reading thread and the client; a slow client holds the reader back.
const PIECES_MAX: usize = 16;
/// A piece is sent when it is this long, or when nothing more is there.
const PIECE_BYTES: usize = 64 * 1024;

impl Containers {
    pub async fn logs(&self, reference: &str, options: Logs) -> Result<LogStream> {
        let handle = self.kit.registry.get(reference)?;
        if !options.stdout && !options.stderr {
            return Err(invalid("Bad parameters: you must choose at least one stream"));
        }
        let view = handle.view();
        if view.record.host.log_config.kind == "none" {
            return Err(system("configured logging driver does not support reading"));
        }
        Ok(LogStream {
            tty: view.record.config.tty,
            frames: stream(&handle, &options)?,
        })
    }
}

/// Ends the reading thread when the client has gone.
struct Guard(Stop);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The log as bytes for a client.
pub(super) fn stream(handle: &Handle, options: &Logs) -> Result<BoxStream<Result<Bytes>>> {
    let view = handle.view();
    let path = view.record.log_path(handle.dir());
    let wanted = ReadOptions {
        since: options.since.and_then(|t| t.system_time()),
        until: options.until.and_then(|t| t.system_time()),
        tail: options.tail,
        follow: options.follow,
    };
    let reader = read(&path, wanted).map_err(|e| system(e.to_string()))?;
    let stop = reader.stopper();
    if options.follow {
        stop_with(handle, stop.clone());
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(PIECES_MAX);
    let shape = Shape {
        options: options.clone(),
        tty: view.record.config.tty,
    };
    let follow = options.follow;
    let work = move || {
        let mut piece = Vec::new();
        for entry in reader {
            match entry {
                Ok(entry) => shape.put(&entry, &mut piece),
                Err(e) => {
                    let _ = sender.blocking_send(Err(system(e.to_string())));
                    return;
                }
            }
            // A follower must not sit on what it has; the receiving side joins what has piled up.
            if (follow && !piece.is_empty()) || piece.len() >= PIECE_BYTES {
                let full = std::mem::take(&mut piece);
                if sender.blocking_send(Ok(full.into())).is_err() {
                    return;
                }
            }
        }
        if !piece.is_empty() {
            let _ = sender.blocking_send(Ok(piece.into()));
        }
    };
    std::thread::Builder::new()
        .name("logs".into())
        .stack_size(256 << 10)
        .spawn(work)
        .map_err(|e| system(format!("start a thread to read the log: {e}")))?;
    let state = (receiver, Guard(stop));
    Ok(Box::pin(unfold(state, |(mut receiver, guard)| async move {
        let first: Result<Bytes, Error> = receiver.recv().await?;
        let Ok(first) = first else {
            return Some((first, (receiver, guard)));
        };
        let mut joined = Vec::new();
        while joined.len() + first.len() < PIECE_BYTES {
            match receiver.try_recv() {
                Ok(Ok(more)) => {
                    if joined.is_empty() {
                        joined.extend_from_slice(&first);
                    }
                    joined.extend_from_slice(&more);
                }
                _ => break,
            }
        }
        let piece = if joined.is_empty() { first } else { joined.into() };
        Some((Ok(piece), (receiver, guard)))
    })))
}

/// A follower reads to the end of the log once the container has stopped for good.
fn stop_with(handle: &Handle, stop: Stop) {
    let mut watch = handle.watch();
    tokio::spawn(async move {
        let over = |phase: Phase| !phase.counts_as_running();
        let _ = watch.wait_for(|view| view.gone || over(view.phase())).await;
        stop.stop();
    });
}

struct Shape {
    options: Logs,
    tty: bool,
}

impl Shape {
    fn put(&self, entry: &Entry, out: &mut Vec<u8>) {
        let (wanted, number) = match entry.stream {
            Stream::Stdout => (self.options.stdout, 1u8),
            Stream::Stderr => (self.options.stderr, 2),
        };
        if !wanted {
            return;
        }
        let start = out.len();
        if !self.tty {
            out.extend_from_slice(&[number, 0, 0, 0, 0, 0, 0, 0]);
        }
        if self.options.timestamps {
            out.extend_from_slice(rfc3339_nano_fixed(entry.time).as_bytes());
            out.push(b' ');
        }
        if self.options.details {
            out.push(b' ');
        }
        out.extend_from_slice(&entry.line);
        if !self.tty {
            let length = u32::try_from(out.len() - start - 8).unwrap_or(u32::MAX);
            out[start + 4..start + 8].copy_from_slice(&length.to_be_bytes());
        }
    }
}
