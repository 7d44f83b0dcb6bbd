//! The conversation between the engine and the one small process kept per container (`shoal-shim`).
//!
//! This crate is the protocol: what is launched ([`Launch`]), what may be asked of a running shim ([`Request`],
//! [`Reply`], [`Notice`]), how it is framed ([`frame`]), and how an exit is recorded so that it outlives both
//! processes ([`Exit`]). With the feature `client` it also holds the tokio client that the engine calls
//! ([`Launcher`], [`Shim`]). It never decides when a container starts, stops or restarts, and it never imports
//! another driver. Callers: `node/engine` (client) and `node/shim` (the protocol only, without tokio).
//!
//! ```text
//! engine ── posix_spawn, socketpair ──▶ shim ── clone3 ──▶ container
//!        ── run_dir/shim.sock ───────▶   (control, attach and exec connections, any number)
//!        ◀── exit_file ──────────────    (fsynced before anybody is told)
//! ```

#[cfg(feature = "client")]
mod client;
mod exit;
pub mod frame;
mod launch;
mod message;
#[cfg(test)]
mod mutated;

#[cfg(feature = "client")]
pub use client::{Error, ExecHandle, Found, Launcher, Shim, raise_descriptors};
pub use exit::{Exit, read_exit, write_exit};
pub use launch::{CgroupName, Launch, LogTarget, Netns, Rootfs, Runtime};
pub use message::{
    Attach, Exec, LogState, Message, Notice, Reply, Request, Running, SOCKET_NAME, STATE_NAME, StartError,
    Status, Target, start_ticks,
};
