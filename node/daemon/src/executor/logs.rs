//! A container's log as lines with their times, out of the stream that the API gives.

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use shoal_api_backend::{Containers, Logs};
use shoal_api_types::Timestamp;
use shoal_node_agent::{LogLine, LogOptions, LogStream, TaskError};
use shoal_raft_objects::Time;
use tokio::sync::mpsc;

/// Lines held while the reader is slow.
const LINES_AHEAD: usize = 64;

pub async fn read(
    containers: &dyn Containers,
    name: &str,
    options: LogOptions,
) -> Result<mpsc::Receiver<LogLine>, TaskError> {
    let since =
        (options.since != Time::ZERO).then(|| Timestamp::from_unix_nanos(i128::from(options.since.0)));
    let request = Logs {
        stdout: options.stdout,
        stderr: options.stderr,
        follow: options.follow,
        timestamps: true,
        details: false,
        tail: options.tail,
        since,
        until: None,
        joined: false,
    };
    let mut log = containers
        .logs(name, request)
        .await
        .map_err(|e| TaskError::Fatal(e.to_string()))?;
    let (send, receive) = mpsc::channel(LINES_AHEAD);
    tokio::spawn(async move {
        let mut splitter = Splitter::new(log.tty);
        while let Some(Ok(chunk)) = log.frames.next().await {
            for line in splitter.push(&chunk) {
                if send.send(line).await.is_err() {
                    return;
                }
            }
        }
    });
    Ok(receive)
}

/// Cuts a stream into lines: raw with a terminal, Docker's frames without. Each line begins with its time.
struct Splitter {
    tty: bool,
    held: BytesMut,
}

impl Splitter {
    fn new(tty: bool) -> Splitter {
        Splitter {
            tty,
            held: BytesMut::new(),
        }
    }

    fn push(&mut self, chunk: &[u8]) -> Vec<LogLine> {
        self.held.extend_from_slice(chunk);
        let mut lines = Vec::new();
        if self.tty {
            while let Some(end) = self.held.iter().position(|b| *b == b'\n') {
                let line = self.held.split_to(end + 1).freeze();
                lines.extend(stamped(LogStream::Stdout, line));
            }
            return lines;
        }
        while self.held.len() >= 8 {
            let length =
                u32::from_be_bytes([self.held[4], self.held[5], self.held[6], self.held[7]]) as usize;
            if self.held.len() < 8 + length {
                break;
            }
            let stream = if self.held[0] == 2 {
                LogStream::Stderr
            } else {
                LogStream::Stdout
            };
            self.held.advance(8);
            lines.extend(stamped(stream, self.held.split_to(length).freeze()));
        }
        lines
    }
}

/// `2024-01-01T00:00:00.5Z text` → the time and the text. What has no time is passed on without one.
fn stamped(stream: LogStream, line: Bytes) -> Option<LogLine> {
    if line.is_empty() {
        return None;
    }
    let space = line.iter().position(|b| *b == b' ');
    let time = space
        .and_then(|at| std::str::from_utf8(&line[..at]).ok())
        .and_then(|t| time::OffsetDateTime::parse(t, &time::format_description::well_known::Rfc3339).ok());
    Some(match (time, space) {
        (Some(time), Some(at)) => LogLine {
            stream,
            timestamp: Time(i64::try_from(time.unix_timestamp_nanos()).unwrap_or(0)),
            data: line.slice(at + 1..),
        },
        _ => LogLine {
            stream,
            timestamp: Time::ZERO,
            data: line,
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_cut_anywhere_become_lines() {
        let mut frame = vec![2, 0, 0, 0, 0, 0, 0, 24];
        frame.extend_from_slice(b"1970-01-01T00:00:01Z ab\n");
        for cut in 0..frame.len() {
            let mut splitter = Splitter::new(false);
            let mut lines = splitter.push(&frame[..cut]);
            lines.extend(splitter.push(&frame[cut..]));
            let expected = LogLine {
                stream: LogStream::Stderr,
                timestamp: Time(1_000_000_000),
                data: Bytes::from_static(b"ab\n"),
            };
            assert_eq!(lines, [expected], "cut at {cut}");
        }
        let mut tty = Splitter::new(true);
        assert_eq!(tty.push(b"no time\n")[0].data, Bytes::from_static(b"no time\n"));
    }
}
