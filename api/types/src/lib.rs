//! The Docker Engine API as Rust values: one file per resource, exactly as Docker encodes it.
//!
//! Null, empty and absent are three different things to Docker's clients, so they are three different things here: see
//! [`go`]. Requests tolerate unknown members and nulls when they are read with [`decode`]. Nothing here does input or
//! output, knows HTTP, or looks at a clock. Called by everybody: `api/backend`, `api/http`, `api/client`, the engine, the
//! manager and the command line.

pub mod auth;
pub mod container;
pub mod event;
pub mod exec;
pub mod filters;
pub mod go;
pub mod image;
pub mod message;
pub mod mount;
pub mod network;
pub mod swarm;
pub mod system;
pub mod time;
pub mod volume;

pub use filters::Filters;
pub use go::{Dict, Empty, Slice, decode};
pub use time::Timestamp;

/// The newest Engine API version that this contract describes.
pub const API_VERSION: &str = "1.55";
/// The oldest Engine API version that is answered.
pub const MIN_API_VERSION: &str = "1.24";
