//! A client of the Docker Engine API: typed calls over a unix socket, TCP, TLS or ssh, with streams and takeovers.
//!
//! [`Endpoint::resolve`] finds the engine as docker's own client does (`-H`, `DOCKER_HOST`, contexts); [`Client`] has one
//! method per call. It keeps no state but the negotiated version and opens one connection per call. It knows nothing of
//! Shoal's inside and works against any engine. Called by the command line and by tests.

mod call;
mod connect;
mod containers;
mod context;
mod endpoint;
mod error;
mod hijack;
mod images;
mod networks;
mod stream;
mod swarm;
mod system;
mod tls;
mod volumes;

pub use call::{Client, Query};
pub use containers::{AttachOptions, LogOptions};
pub use context::{Context, Contexts};
pub use endpoint::{Choice, Endpoint, TlsMaterial};
pub use error::{Error, Result};
pub use hijack::Hijacked;
pub use images::encode_auth;
pub use stream::{Bytes, Frame, Frames, JsonStream};
