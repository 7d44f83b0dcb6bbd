//! Programs of others that serve Docker's plugin protocol on a socket: found by name, asked once what they implement
//! (`Plugin.Activate`), then called by method, JSON in and JSON out.
//!
//! It knows no interface: what `VolumeDriver.Mount` or `AuthZPlugin.AuthZReq` mean is the caller's business. It starts
//! no plugin, keeps no connection open between calls, and never waits without a limit or reads an answer without a
//! bound.
//!
//! Called by `node/engine` (volume drivers) and `node/daemon` (authorization).

mod address;
mod connect;
mod discovery;
mod error;
mod plugin;
mod registry;
mod tls;

pub use address::{Address, Tls};
pub use discovery::Places;
pub use error::{Error, Result};
pub use plugin::{Call, Plugin};
pub use registry::Plugins;
