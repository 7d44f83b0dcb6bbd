//! What a Docker Engine can do, as narrow traits: one per resource, object-safe, no HTTP.
//!
//! `api/http` calls them; the engine implements the node's half, the manager the cluster's half. An operation that an
//! implementation does not have answers [`Class::NotImplemented`] by default, in words. Nothing here acts by itself.

mod containers;
mod error;
mod execs;
mod forwarding;
mod gate;
mod images;
mod listed;
mod networks;
mod stream;
mod swarm;
mod system;
mod volumes;

pub use containers::*;
pub use error::{Class, Error, Result};
pub use execs::*;
pub use forwarding::{Forwarding, LocalOnly, Route};
pub use gate::{Call, CallAnswer, Gatekeeper};
pub use images::*;
pub use listed::Listed;
pub use networks::*;
pub use stream::{Attached, BoxStream, Duplex, Upload};
pub use swarm::*;
pub use system::*;
pub use volumes::*;

pub use bytes::Bytes;

/// The version of the API that a caller speaks; implementations need it only where behaviour differs, not fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion {
    pub major: u16,
    pub minor: u16,
}

impl ApiVersion {
    pub const MIN: Self = Self::new(1, 24);
    pub const MAX: Self = Self::new(1, 55);
    pub const fn new(major: u16, minor: u16) -> Self {
        Self { major, minor }
    }
    /// Whether the caller speaks at least `1.minor`.
    pub const fn at_least(self, minor: u16) -> bool {
        self.major > 1 || (self.major == 1 && self.minor >= minor)
    }
}

impl Default for ApiVersion {
    fn default() -> Self {
        Self::MAX
    }
}

impl std::fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl std::str::FromStr for ApiVersion {
    type Err = ();
    fn from_str(text: &str) -> std::result::Result<Self, ()> {
        let (major, minor) = text.split_once('.').ok_or(())?;
        Ok(Self {
            major: major.parse().map_err(drop)?,
            minor: minor.parse().map_err(drop)?,
        })
    }
}
