//! `docker logs`.

use super::{Containers, Handle};
use crate::error::{Error, Result, invalid, not_implemented, system};
use futures_util::stream::unfold;
use shoal_api_backend::{BoxStream, Bytes, LogStream, Logs};
use shoal_node_core_host::lifecycle::Phase;
use shoal_node_drivers_logs::{Line, ReadOptions, Stop, Stream, read};
use std::collections::BTreeMap;
use tokio::sync::mpsc;

/// Pieces between the reading thread and the client; a slow client holds the reader back.
const PIECES_MAX: usize = 4;
/// Pieces are joined up to this length while they wait.
const PIECE_BYTES: usize = 64 * 1024;
/// Lines that share a frame do so up to this length, the size of Docker's own frames of an attach.
const FRAME_BYTES: usize = 32 * 1024;

impl Containers {
    pub async fn logs(&self, reference: &str, options: Logs) -> Result<LogStream> {
        let handle = self.kit.registry.get(reference)?;
        if !options.stdout && !options.stderr {
            return Err(invalid("Bad parameters: you must choose at least one stream"));
        }
        let view = handle.view();
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
    let (path, format) = view
        .record
        .readable_log(handle.dir())
        .ok_or_else(|| not_implemented("configured logging driver does not support reading"))?;
    let wanted = ReadOptions {
        since: options.since.and_then(|t| t.system_time()),
        until: options.until.and_then(|t| t.system_time()),
        tail: options.tail,
        follow: options.follow,
    };
    let mut reader = read(&path, format, wanted).map_err(|e| system(e.to_string()))?;
    let stop = reader.stopper();
    if options.follow {
        stop_with(handle, stop.clone());
    }
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(PIECES_MAX);
    let mut shape = Shape {
        options: options.clone(),
        tty: view.record.config.tty,
        open: None,
    };
    let work = move || {
        loop {
            let mut piece = Vec::new();
            shape.open = None;
            let more = match reader.step(|line| shape.put(line, &mut piece)) {
                Ok(more) => more,
                Err(e) => {
                    let _ = sender.blocking_send(Err(system(e.to_string())));
                    return;
                }
            };
            if !piece.is_empty() && sender.blocking_send(Ok(piece.into())).is_err() || !more {
                return;
            }
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
    /// The frame that may go on: its stream, and where it begins.
    open: Option<(u8, usize)>,
}

impl Shape {
    /// A frame for each record, as Docker has it, however many of them go out in one piece; fewer for those who do not see
    /// them.
    fn put(&mut self, line: &Line<'_>, out: &mut Vec<u8>) {
        let (wanted, number) = match line.stream {
            Stream::Stdout => (self.options.stdout, 1u8),
            Stream::Stderr => (self.options.stderr, 2),
        };
        if !wanted {
            return;
        }
        let joins = |begin: usize| self.options.joined && out.len() - begin + line.text.len() < FRAME_BYTES;
        let begin = match self.open {
            Some((stream, begin)) if stream == number && joins(begin) => begin,
            _ => {
                let begin = out.len();
                if !self.tty {
                    out.extend_from_slice(&[number, 0, 0, 0, 0, 0, 0, 0]);
                }
                begin
            }
        };
        self.open = Some((number, begin));
        if self.options.timestamps {
            line.time.push_fixed(out);
            out.push(b' ');
        }
        if self.options.details {
            details(line.attrs, out);
            out.push(b' ');
        }
        out.extend_from_slice(line.text);
        if !self.tty {
            let length = u32::try_from(out.len() - begin - 8).unwrap_or(u32::MAX);
            out[begin + 4..begin + 8].copy_from_slice(&length.to_be_bytes());
        }
    }
}

/// `key=value,key=value`, by key, each escaped as in a query.
fn details(attrs: &[u8], out: &mut Vec<u8>) {
    if attrs.is_empty() {
        return;
    }
    let attrs: BTreeMap<String, String> = serde_json::from_slice(attrs).unwrap_or_default();
    for (n, (key, value)) in attrs.iter().enumerate() {
        if n > 0 {
            out.push(b',');
        }
        query_escape(key, out);
        out.push(b'=');
        query_escape(value, out);
    }
}

fn query_escape(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Logs, Shape};
    use shoal_node_drivers_logs::{Line, Stream, Time};

    fn shaped(joined: bool) -> Vec<(u8, String)> {
        let options = Logs {
            stdout: true,
            stderr: true,
            joined,
            ..Logs::default()
        };
        let mut shape = Shape {
            options,
            tty: false,
            open: None,
        };
        let mut out = Vec::new();
        for (stream, text) in [
            (Stream::Stdout, "a\n"),
            (Stream::Stdout, "b\n"),
            (Stream::Stderr, "c\n"),
            (Stream::Stdout, "d\n"),
        ] {
            let line = Line {
                stream,
                time: Time::Nanos(0),
                text: text.as_bytes(),
                attrs: &[],
                piece: None,
                number: 0,
            };
            shape.put(&line, &mut out);
        }
        let mut frames = Vec::new();
        let mut rest = &out[..];
        while let Some((head, tail)) = rest.split_first_chunk::<8>() {
            let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
            frames.push((head[0], String::from_utf8_lossy(&tail[..length]).into_owned()));
            rest = &tail[length..];
        }
        frames
    }

    #[test]
    fn a_line_is_a_frame_unless_nobody_looks_at_frames() {
        let frame = |stream, text: &str| (stream, text.to_owned());
        let each = [frame(1, "a\n"), frame(1, "b\n"), frame(2, "c\n"), frame(1, "d\n")];
        assert_eq!(shaped(false), each);
        assert_eq!(
            shaped(true),
            [frame(1, "a\nb\n"), frame(2, "c\n"), frame(1, "d\n")]
        );
    }
}
