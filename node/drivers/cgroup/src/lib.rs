//! Control groups of containers, for both kernels' interfaces: version 1 (one directory per controller, also the hybrid
//! layout with an almost empty version 2 tree beside it) and version 2.
//!
//! A [`Plan`] says where a group lives and what its limits are (in OCI terms); [`Cgroup::create`] makes it so. One file
//! per controller, each with its version 1 and version 2 form side by side. The rest of the crate is what happens to a
//! whole group: joining, freezing, killing, counting, out-of-memory notices, removal.
//!
//! Called by the shim (which makes and removes the group of its container) and by the engine (update, pause, stats).
//! It starts no thread, knows no container, and decides no limit: an absent value is left as the kernel has it.

mod cgroup;
mod cpu;
mod cpuset;
mod devices;
mod devices_bpf;
mod dir;
mod error;
mod freezer;
mod hierarchy;
mod hugetlb;
mod io;
mod kill;
mod memory;
mod oom;
mod pids;
mod remove;
mod stats;

pub use cgroup::{Cgroup, Plan};
pub use error::{Error, Result};
pub use hierarchy::{Controller, Hierarchy, Version};
pub use oom::OomWatch;
pub use stats::{BlockIo, BlockIoEntry, Cpu, Memory, Pids, Stats, online_cpus, system_cpu_ns};
