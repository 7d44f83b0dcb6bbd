//! A container's log: on disk in Docker's json-file format or a compact one of our own, one writer and any number of readers.
//!
//! The writer lives in the container's shim, so that lines reach the file while no daemon runs; every
//! batch of output is one `write(2)`. Readers live in the engine: they find the last lines from the end,
//! follow by inotify and keep their place when the writer rotates or the daemon compresses.
//!
//! It never starts a thread, never uses an async runtime (readers block: call them from a blocking thread)
//! and never repairs or deletes a log other than by the rotation that was asked for.
//!
//! Where a log goes elsewhere, [`delivery`] has a sink for each driver; only those wait for a network.
//!
//! Called by `node/shim` (writer) and `node/engine` (reader, options, compression).
//!
//! ```text
//!   cutter → writer → json | local → rotation            file → window → json | local → reader
//! ```

mod compress;
mod cutter;
pub mod delivery;
mod error;
mod follow;
mod json;
mod local;
mod options;
mod reader;
mod record;
mod rotation;
mod stamp;
mod tail;
mod window;
mod writer;

pub use compress::compress;
pub use error::{Error, Result};
pub use follow::Stop;
pub use json::attributes;
pub use options::{Format, OptionError, Rotation};
pub use reader::{ReadOptions, Reader, read};
pub use record::{Entry, Line, Partial, Stream, Time};
pub use stamp::{parse_rfc3339, rfc3339_nano, rfc3339_nano_fixed};
pub use writer::{Lost, Writer};
