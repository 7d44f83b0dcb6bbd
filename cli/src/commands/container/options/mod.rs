//! The options of `run` and `create`, and the request that they make.

mod args;
mod devices;
mod health;
mod host;
mod networks;
mod ports;
mod request;

pub use args::args;
pub use host::restart;
pub use request::{request, streams, with_files};
