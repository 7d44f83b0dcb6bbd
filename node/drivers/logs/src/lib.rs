//! A container's log on disk: Docker's json-file format, one writer and any number of readers.
//!
//! The writer lives in the container's shim, so that lines reach the file while no daemon runs; every
//! batch of output is one `write(2)`. Readers live in the engine: they find the last lines from the end,
//! follow by inotify and keep their place when the writer rotates.
//!
//! It never starts a thread, never uses an async runtime (readers block: call them from a blocking thread)
//! and never repairs or deletes a log other than by the rotation that was asked for.
//!
//! Called by `node/shim` (writer) and `node/engine` (reader).

mod encode;
mod error;
mod follow;
mod options;
mod reader;
mod record;
mod rotation;
mod stamp;
mod tail;
mod writer;

pub use error::{Error, Result};
pub use follow::Stop;
pub use options::{OptionError, Rotation};
pub use reader::{ReadOptions, Reader, read};
pub use record::{Entry, Stream};
pub use stamp::{parse_rfc3339, rfc3339_nano, rfc3339_nano_fixed};
pub use writer::JsonFileWriter;
