//! What is remembered of a container's life.

use serde::{Deserialize, Serialize};

/// Unix time in nanoseconds; 0 is "never".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    pub const NEVER: Time = Time(0);

    pub fn plus_ms(self, ms: u64) -> Time {
        Time(
            self.0
                .saturating_add(i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000_000)),
        )
    }

    /// Whole milliseconds from `earlier` to `self`.
    pub fn ms_since(self, earlier: Time) -> i64 {
        self.0.saturating_sub(earlier.0) / 1_000_000
    }
}

/// Docker's seven states.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    #[default]
    Created,
    Running,
    Paused,
    Restarting,
    Removing,
    Exited,
    Dead,
}

impl Phase {
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Created => "created",
            Phase::Running => "running",
            Phase::Paused => "paused",
            Phase::Restarting => "restarting",
            Phase::Removing => "removing",
            Phase::Exited => "exited",
            Phase::Dead => "dead",
        }
    }

    /// A process exists.
    pub fn is_live(self) -> bool {
        matches!(self, Phase::Running | Phase::Paused)
    }

    /// Docker's `State.Running`, which is also true between two runs of a restart policy.
    pub fn counts_as_running(self) -> bool {
        self.is_live() || self == Phase::Restarting
    }
}

/// One container's run state. Written by its actor only; survives the daemon.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    pub phase: Phase,
    pub pid: i32,
    pub exit_code: i32,
    pub error: String,
    pub oom_killed: bool,
    pub started_at: Time,
    pub finished_at: Time,
    pub restart_count: u64,
    /// A user stopped or killed it: no policy restarts it until a user starts it.
    pub manually_stopped: bool,
    /// Ends so far, so that a waiter for the next exit sees one even if a restart follows at once.
    pub exits: u64,
    /// Paused for as long as its layer is read (a commit): no user asked for it, so a daemon that comes back undoes it.
    pub paused_to_read: bool,
    /// The last wait before a restart, in ms.
    pub backoff_ms: u64,
    /// Set while a stop waits for the process to end: when to kill it. `Some(NEVER)` waits without limit.
    #[serde(skip)]
    pub(super) stopping: Option<super::step::Stopping>,
    /// Set in `Restarting`.
    #[serde(skip)]
    pub(super) restart_at: Time,
    /// Remove as soon as the process has ended (a forced removal is waiting).
    #[serde(skip)]
    pub(super) remove_on_exit: bool,
}

impl State {
    /// When the machine wants a `Tick`.
    pub fn wake_at(&self) -> Option<Time> {
        let kill_at = self.stopping.as_ref().and_then(|s| s.kill_at);
        let restart_at = (self.phase == Phase::Restarting).then_some(self.restart_at);
        kill_at.into_iter().chain(restart_at).min()
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.is_some()
    }
}
