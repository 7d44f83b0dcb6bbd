//! Sends a container's log on: a thread that reads what the shim has written and hands it to the driver's sink. How far it
//! has come is noted beside the log, so that a daemon that was away goes on there; what the ring lost meanwhile is counted.

use shoal_node_drivers_logs::delivery::{Sink, sink};
use shoal_node_drivers_logs::{Entry, Format, ReadOptions, Reader, Stop, read};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A number: the last record that the sink has taken.
const SENT: &str = "sent";
/// Noted at most this often: what was sent since is sent again after a daemon was killed.
const NOTE_EVERY: Duration = Duration::from_secs(1);
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After the container's end a sink that does not answer is waited for this long; the rest is sent after the next start.
const LAST_WAIT: Duration = Duration::from_secs(10);

pub(super) struct Delivery {
    pub driver: String,
    pub about: shoal_node_drivers_logs::delivery::About,
    pub options: BTreeMap<String, String>,
    /// The log.
    pub path: PathBuf,
}

/// Ends a delivery once what is written has been sent.
#[derive(Clone)]
pub(super) struct Ending {
    stop: Stop,
    over: Arc<AtomicBool>,
}

impl Ending {
    pub fn end(&self) {
        self.over.store(true, Ordering::Release);
        self.stop.stop();
    }
}

impl Delivery {
    /// Starts it. `lost` hears of records that were overwritten before they could be sent.
    pub fn start(self, lost: impl Fn(u64) + Send + 'static) -> Result<Ending, String> {
        let sink = sink(&self.driver, &self.options, self.about.clone())?;
        let options = ReadOptions {
            follow: true,
            ..ReadOptions::default()
        };
        let reader = read(&self.path, Format::Local, options).map_err(|e| e.to_string())?;
        let ending = Ending {
            stop: reader.stopper(),
            over: Arc::default(),
        };
        let note = self.path.with_file_name(SENT);
        let over = ending.over.clone();
        std::thread::Builder::new()
            .name("log-delivery".into())
            .stack_size(256 << 10)
            .spawn(move || run(&self.driver, sink, reader, &note, &over, lost))
            .map_err(|e| e.to_string())?;
        Ok(ending)
    }
}

fn run(
    driver: &str,
    mut sink: Box<dyn Sink>,
    reader: Reader,
    note: &Path,
    over: &AtomicBool,
    lost: impl Fn(u64),
) {
    let mut sent: u64 = std::fs::read_to_string(note)
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0);
    let mut noted = (sent, Instant::now());
    let keep = |sent: u64| {
        if let Err(error) = std::fs::write(note, sent.to_string()) {
            tracing::warn!(path = %note.display(), %error, "what was sent of a log cannot be noted");
        }
    };
    for entry in reader {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                tracing::warn!(%error, "a log cannot be sent on");
                break;
            }
        };
        if entry.number <= sent {
            continue;
        }
        if entry.number > sent + 1 && sent > 0 {
            lost(entry.number - sent - 1);
        }
        if !deliver(driver, &mut *sink, &entry, over) {
            break;
        }
        sent = entry.number;
        if noted.1.elapsed() >= NOTE_EVERY {
            keep(sent);
            noted = (sent, Instant::now());
        }
    }
    if noted.0 != sent {
        keep(sent);
    }
}

/// Until the sink has taken it; false if that is given up.
fn deliver(driver: &str, sink: &mut dyn Sink, entry: &Entry, over: &AtomicBool) -> bool {
    let mut pause = PAUSE_MIN;
    let mut waited = Duration::ZERO;
    loop {
        let error = match sink.send(entry) {
            Ok(()) => return true,
            Err(error) => error,
        };
        if pause == PAUSE_MIN {
            tracing::warn!(driver, %error, "a log's sink does not take records; tried again");
        }
        if over.load(Ordering::Acquire) {
            waited += pause;
            if waited > LAST_WAIT {
                tracing::warn!(driver, %error, "the end of a log was not sent");
                return false;
            }
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
