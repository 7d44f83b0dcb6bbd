//! The engine's side: start a shim, find one again, talk to it.

mod adopt;
mod connection;
mod descriptors;
mod error;
mod exec;
mod launcher;
mod shim;
mod spawn;

pub use adopt::Found;
pub use descriptors::raise_descriptors;
pub use error::Error;
pub use exec::ExecHandle;
pub use launcher::Launcher;
pub use shim::Shim;
