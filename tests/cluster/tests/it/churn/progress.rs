//! What the case says while it goes on: a line at each step, and one every few seconds in between.

use shoal_tests_harness::Host;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// The longest silence.
const EVERY: Duration = Duration::from_secs(5);
/// Linux counts a process's time in hundredths of a second.
const TICKS_A_SECOND: f64 = 100.0;

static BEGAN: OnceLock<Instant> = OnceLock::new();

/// One line with the time since the first one.
pub fn say(line: &str) {
    let at = BEGAN.get_or_init(Instant::now).elapsed().as_secs_f64();
    println!("{at:7.1} s  {line}");
}

pub struct Progress {
    every: Duration,
    last: Instant,
}

impl Progress {
    pub fn new() -> Progress {
        Progress {
            every: EVERY,
            last: Instant::now(),
        }
    }

    pub fn each(every: Duration) -> Progress {
        Progress {
            every,
            ..Progress::new()
        }
    }

    /// Says it if there was silence for long enough.
    pub fn now_and_then(&mut self, line: impl FnOnce() -> String) {
        if self.last.elapsed() >= self.every {
            self.last = Instant::now();
            say(&line());
        }
    }
}

/// What each host's daemon has used and holds: seconds of processor time, MiB of memory.
pub fn daemons(hosts: &[Host]) -> String {
    let one = |host: &Host| {
        let pid = host.daemon_pid()?;
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // After the name in parentheses comes the state, field 3; fields 14 and 15 are user's and system's time.
        let fields: Vec<f64> = stat
            .rsplit(") ")
            .next()?
            .split(' ')
            .map(|f| f.parse().unwrap_or(0.0))
            .collect();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"))?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(((fields.get(11)? + fields.get(12)?) / TICKS_A_SECOND, kib / 1024.0))
    };
    let shown = hosts.iter().map(|host| match one(host) {
        Some((seconds, mib)) => format!("{seconds:.1} s {mib:.0} MiB"),
        None => "down".to_owned(),
    });
    shown.collect::<Vec<_>>().join(", ")
}
