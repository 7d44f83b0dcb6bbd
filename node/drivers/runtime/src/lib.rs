//! Container processes made from OCI runtime specifications by plain system calls.
//!
//! [`container::spawn`] makes the first process, [`exec::spawn`] a further one; both are called by the single-threaded
//! shim, and the child that they clone prepares itself and stops at a gate. [`seccomp`] compiles and caches filters;
//! the engine calls it ahead of time. This crate starts no thread, keeps nothing on disk but cached filters, knows
//! nothing of containers' names, restarts or logs, and touches no control group: the caller puts the process there.
//! No path inside a root file system is used other than through [`resolve`].

pub mod apparmor;
mod between;
pub mod bundle;
mod caps;
mod channel;
mod console;
pub mod container;
mod copy_up;
mod devices;
mod error;
pub mod exec;
mod idmap;
mod lookup;
mod mask;
mod mount_options;
mod mounts;
mod namespaces;
mod passwd;
mod process;
pub mod quota;
mod resolve;
mod root;
pub mod seccomp;
pub mod skeleton;
mod sys;
mod sysctl;

pub use container::{Child, INIT};
pub use error::Error;
pub use mounts::GroupDirs;
pub use namespaces::Netns;
pub use process::Stdio;
pub use root::Rootfs;
