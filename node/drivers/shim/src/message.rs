//! The messages on a shim's control connection. One request gets one reply, in order; notices come at any time.

use std::time::SystemTime;

use oci_spec::runtime::Process;
use serde::{Deserialize, Serialize};

use crate::Exit;

/// The unix socket (0600) in a container's run directory.
pub const SOCKET_NAME: &str = "shim.sock";
/// The state file in a container's run directory: a [`Running`] as JSON, for when the shim itself was killed.
pub const STATE_NAME: &str = "state.json";

/// What is asked of a shim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Request {
    /// Who runs here? Also subscribes this connection to [`Notice`]s.
    Status,
    /// Open the gate; answered when the exec has happened or failed.
    Start,
    /// Send a signal to the first process or to an exec's.
    Signal { target: Target, signal: i32 },
    /// Change the size of a terminal, in characters.
    Resize { target: Target, width: u16, height: u16 },
    /// After the reply `Done` this connection is the stream (see [`Attach`]).
    Attach(Attach),
    /// Run another process. After the reply `Started` this connection is its stream if one was asked for.
    Exec(Box<Exec>),
}

/// Which process of the container a request means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    Container,
    Exec(String),
}

/// Which streams to connect. With a terminal the stream is raw bytes; otherwise every piece of output is preceded
/// by Docker's 8-byte header. Writing is stdin, `shutdown(Write)` closes it.
///
/// A reader that is slow holds the container's output back (as with Docker: nothing is dropped and nothing grows);
/// one that is gone, or that took nothing at all for five minutes, is cut off and stalls nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub stdin: bool,
    pub stdout: bool,
    pub stderr: bool,
}

impl Attach {
    /// Is any stream wanted?
    pub fn any(&self) -> bool {
        self.stdin || self.stdout || self.stderr
    }
}

/// A further process in a running container.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exec {
    /// Chosen by the caller, unique in this container.
    pub id: String,
    /// User, environment, directory, capabilities, `noNewPrivileges` and rlimits are taken from here as they are.
    pub process: Process,
    pub tty: bool,
    /// Width and height in characters of a new terminal.
    pub size: Option<(u16, u16)>,
    /// Streams to connect to this connection; with none of them the exec is detached.
    pub attach: Attach,
    /// Run without the container's seccomp program (`exec --privileged`).
    pub unconfined: bool,
}

/// A container whose first process exists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    /// In the host's pid namespace.
    pub pid: u32,
    /// Field 22 of `/proc/<pid>/stat`: tells the process from a later one with the same pid.
    pub start_ticks: u64,
    #[serde(with = "crate::exit::nanos")]
    pub started_at: SystemTime,
}

/// Why a process could not be started, in Docker's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct StartError {
    /// What Docker reports as exit code: 126 not executable, 127 not found, 128 anything else.
    pub code: i32,
    /// For example `exec: "foo": executable file not found in $PATH`.
    pub message: String,
}

/// What a shim knows about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub running: Running,
    /// Still held before its exec.
    pub gated: bool,
    /// Execs that run, with their pids.
    pub execs: Vec<(String, u32)>,
    /// The last execs that ended (bounded), oldest first.
    pub ended: Vec<(String, Exit)>,
    /// How the log stands, and what of it was told to somebody before.
    #[serde(default)]
    pub log: LogState,
    #[serde(default)]
    pub log_told: LogState,
}

/// What has become of a container's output, counted since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogState {
    /// How often the log was rotated.
    pub rotated: u64,
    /// Records (and the bytes in them) that could not be written.
    pub lost_records: u64,
    pub lost_bytes: u64,
}

/// The answer to one [`Request`].
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Reply {
    Done,
    Status(Box<Status>),
    /// The container (to the launch itself) or the exec has its process.
    Started(Running),
    /// The process could not be started.
    NotStarted(StartError),
    /// The request makes no sense now; the text says why.
    Refused(String),
}

/// What a shim tells every subscribed connection of its own accord.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Notice {
    /// The first process has ended and the exit file is on disk. The connection closes after this.
    Exited(Exit),
    /// The kernel killed something in the container for memory.
    OutOfMemory,
    ExecExited {
        id: String,
        exit: Exit,
    },
    /// The log was rotated or could not be written. At most once a second, and once before the end.
    Log(LogState),
}

/// What travels from a shim to its client.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    Reply(Reply),
    Notice(Notice),
}

/// When the process `pid` started, in clock ticks since boot (field 22 of its `stat`); `None` if it is gone.
pub fn start_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command name may hold spaces and parentheses: count from the last one.
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(19)?.parse().ok()
}
