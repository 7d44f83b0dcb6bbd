//! Everything that a shim must know to make its container.

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

/// The description of one container start, handed to the shim over an inherited descriptor.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Launch {
    /// The container's full id, for messages only.
    pub id: String,
    /// The OCI runtime specification. `root.path`, `hooks` and `linux.cgroupsPath` are not looked at: the fields
    /// below say the same more exactly.
    pub spec: Spec,
    /// What becomes `/`.
    pub rootfs: Rootfs,
    /// Which network namespace the container gets.
    pub netns: Netns,
    /// The control group to make; limits are `spec.linux.resources`.
    pub cgroup: CgroupName,
    /// Where output goes besides the attached streams.
    pub log: LogTarget,
    /// Give the process a terminal (then stdout and stderr are one stream).
    pub tty: bool,
    /// Keep stdin open for attachers; without it stdin is `/dev/null`.
    pub open_stdin: bool,
    /// Close stdin once the first attacher that had stdin goes away.
    pub stdin_once: bool,
    /// A statically linked init to bind read-only at `/sbin/docker-init` and to run as process 1 before the
    /// command (`--init`). `shoal-shim` itself serves as one when it is called by that name.
    pub init: Option<PathBuf>,
    /// Private directory (0700) of this container run: socket and state file live here.
    pub run_dir: PathBuf,
    /// Where the exit is recorded durably; its directory must exist.
    pub exit_file: PathBuf,
    /// A compiled seccomp program (`runtime::seccomp::Program::save`); `None` is unconfined.
    pub seccomp: Option<PathBuf>,
    /// Hold the process just before its exec until `Shim::start`.
    pub gate: bool,
    /// Another OCI runtime that makes the container instead of ours. It finds the seccomp filter and an init in `spec`,
    /// and is always held at its gate.
    #[serde(default)]
    pub runtime: Option<Runtime>,
}

/// An OCI runtime's program, with arguments that go before its verb.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runtime {
    pub path: PathBuf,
    pub args: Vec<String>,
}

/// The root filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rootfs {
    /// An overlay. `lower` is ordered top first; `upper` and `work` lie on one filesystem.
    Overlay {
        lower: Vec<PathBuf>,
        upper: PathBuf,
        work: PathBuf,
    },
    /// A plain directory, bind-mounted.
    Directory(PathBuf),
}

/// The network namespace of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Netns {
    /// The daemon's own.
    Host,
    /// A fresh one with only a downed `lo`; with `gate` it can be plugged by pid before the start.
    New,
    /// The namespace whose descriptor is passed to `Launcher::launch`.
    Given,
}

/// The name of a control group: `parent` as `cgroup::Plan::parent` understands it, `name` below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupName {
    pub parent: String,
    pub name: String,
}

/// Where the shim writes what the container prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    /// A file, in Docker's json-file format or the `local` driver's.
    File {
        path: PathBuf,
        local: bool,
        /// In bytes, 0 is unlimited.
        max_size: u64,
        /// Counts the live file too.
        max_file: u32,
        /// A JSON object that goes into every record of a json-file; empty for none.
        attrs: String,
    },
    /// Nothing is kept.
    None,
}
