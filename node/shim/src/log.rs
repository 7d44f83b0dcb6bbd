//! The container's log as the shim keeps it: written, never waited for, and what was lost of it counted.

use std::time::{Duration, Instant, SystemTime};

use shoal_node_drivers_logs::{Stream, Writer};
use shoal_node_drivers_shim::LogState;

/// News of the log are told at most this often.
const NEWS_EVERY: Duration = Duration::from_secs(1);

pub struct Log {
    writer: Option<Writer>,
    pub state: LogState,
    /// What somebody was told of it.
    pub told: LogState,
    last_news: Option<Instant>,
    /// Given out by `news`, told or not.
    given: LogState,
    failed: bool,
}

impl Log {
    pub fn new(writer: Option<Writer>) -> Self {
        Self {
            writer,
            state: LogState::default(),
            told: LogState::default(),
            last_news: None,
            given: LogState::default(),
            failed: false,
        }
    }

    pub fn write(&mut self, stream: u8, bytes: &[u8]) {
        let Some(writer) = &mut self.writer else { return };
        let stream = if stream == 0 {
            Stream::Stdout
        } else {
            Stream::Stderr
        };
        let done = writer.write(stream, bytes, SystemTime::now());
        self.after(done);
    }

    /// The end of both streams.
    pub fn finish(&mut self, at: SystemTime) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            let Some(writer) = &mut self.writer else { return };
            let done = writer.finish(stream, at);
            self.after(done);
        }
    }

    fn after(&mut self, done: Result<(), shoal_node_drivers_logs::Error>) {
        let Some(writer) = &mut self.writer else { return };
        self.state.rotated += u64::from(writer.take_rotated());
        match done {
            Ok(()) => self.failed = false,
            Err(error) => {
                let lost = writer.take_lost();
                self.state.lost_records += lost.records;
                self.state.lost_bytes += lost.bytes;
                // A full disk must not stop the container; said once until it works again.
                if !std::mem::replace(&mut self.failed, true) {
                    eprintln!("shoal-shim: {error}");
                }
            }
        }
    }

    /// Gives back the memory that only a busy container needs.
    pub fn relax(&mut self) {
        if let Some(writer) = &mut self.writer {
            writer.relax();
        }
    }

    /// What is to be told now, if there is anything new; `last` does not wait.
    pub fn news(&mut self, last: bool) -> Option<LogState> {
        let due = self.due()?;
        (last || due.is_zero()).then(|| {
            self.last_news = Some(Instant::now());
            self.given = self.state;
            self.state
        })
    }

    /// When news are to be told; `None` if there are none.
    pub fn due(&self) -> Option<Duration> {
        if self.state == self.given {
            return None;
        }
        let passed = self.last_news.map(|last| last.elapsed());
        Some(passed.map_or(Duration::ZERO, |passed| NEWS_EVERY.saturating_sub(passed)))
    }
}
