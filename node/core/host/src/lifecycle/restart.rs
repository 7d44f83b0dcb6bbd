//! Restart policies and their back-off, with Docker's numbers.

use serde::{Deserialize, Serialize};

/// When a container that exited by itself is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Policy {
    #[default]
    No,
    Always,
    /// Only after a status other than 0, at most `retries_max` times (0 = no limit).
    OnFailure {
        retries_max: u64,
    },
    UnlessStopped,
}

const BACKOFF_MS_MIN: u64 = 100;
const BACKOFF_MS_MAX: u64 = 60_000;
/// A run this long clears the back-off.
const STEADY_MS: i64 = 10_000;

impl Policy {
    /// Docker's names; an empty name means `no`.
    pub fn parse(name: &str, retries_max: i64) -> Result<Policy, String> {
        match name {
            "" | "no" | "always" | "unless-stopped" if retries_max < 0 => {
                Err("invalid restart policy: maximum retry count can only be used with 'on-failure' and cannot be negative".into())
            }
            "" | "no" | "always" | "unless-stopped" if retries_max != 0 => {
                Err("invalid restart policy: maximum retry count can only be used with 'on-failure'".into())
            }
            "" | "no" => Ok(Policy::No),
            "always" => Ok(Policy::Always),
            "unless-stopped" => Ok(Policy::UnlessStopped),
            "on-failure" => match u64::try_from(retries_max) {
                Ok(retries_max) => Ok(Policy::OnFailure { retries_max }),
                Err(_) => Err("invalid restart policy: maximum retry count cannot be negative".to_string()),
            },
            other => Err(format!(
                "invalid restart policy: unknown policy '{other}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'"
            )),
        }
    }

    /// Whether an exit that nobody asked for is followed by a start.
    pub fn restarts(self, exit_code: i32, restart_count: u64) -> bool {
        match self {
            Policy::No => false,
            Policy::Always | Policy::UnlessStopped => true,
            Policy::OnFailure { retries_max } => {
                exit_code != 0 && (retries_max == 0 || restart_count < retries_max)
            }
        }
    }

    /// Whether a container in this state is started when the daemon starts. `was_running`: the daemon's end (or the
    /// host's) found it running; `manually_stopped`: a user stopped it.
    pub fn starts_at_boot(
        self,
        was_running: bool,
        manually_stopped: bool,
        exit_code: i32,
        started_ever: bool,
    ) -> bool {
        match self {
            Policy::Always => started_ever,
            Policy::UnlessStopped => started_ever && !manually_stopped,
            Policy::OnFailure { .. } => was_running && exit_code != 0,
            Policy::No => false,
        }
    }
}

/// The next wait before a restart, in ms, given the last one and how long the process had run.
pub fn backoff_next(last_ms: u64, ran_ms: i64) -> u64 {
    if last_ms == 0 || ran_ms >= STEADY_MS {
        BACKOFF_MS_MIN
    } else {
        (last_ms * 2).min(BACKOFF_MS_MAX)
    }
}
