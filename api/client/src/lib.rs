//! A typed client of the Docker Engine API, for `shoal` and for tools.
//!
//! [`Target`] says where a daemon is (unix socket, TCP, TCP with TLS, ssh) as DOCKER_HOST and contexts name it; a
//! [`Client`] speaks to it: JSON calls, streams and taken-over connections. It knows the wire, not the commands, and it
//! never retries: a caller decides what a failure means.

mod connect;
mod context;
mod error;
mod request;
mod target;

pub use connect::Duplex;
pub use context::resolve;
pub use error::{Error, Result};
pub use request::{Body, Client, query};
pub use target::{Target, TlsFiles};
