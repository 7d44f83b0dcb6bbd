//! One node's Docker: containers, execs, images, networks, volumes, events and the system, as small services that each
//! hold only what they use. `api/http` calls them through the traits of `api/backend`; the cluster's agent and tests
//! call them directly.
//!
//! Each container has one actor (`containers/actor`), which asks `core/host::lifecycle` what to do and has the drivers
//! do it. What survives is in each container's own directory; what runs is read back from the kernel and its shims at
//! every start. The engine never decides policy, never talks HTTP, and knows nothing of a cluster.
//!
//! ```text
//!   containers/  one verb per file, actor/, record (on disk), registry (who is there)
//!   launch/      one start: identity, mounts, files, seccomp, specification, the order of things
//!   rootfs/      a container's files as clients see them: cp, export, diff, commit
//!   execs/ images/ networks/ volumes/ system/   events   home (the data root)   layers (looking into images)
//! ```

mod clock;
mod config;
mod containers;
mod engine;
mod error;
mod events;
mod execs;
mod figures;
mod files;
mod flight;
mod home;
mod host;
mod ids;
mod images;
mod launch;
mod layers;
mod logging;
#[cfg(test)]
mod mutated;
mod networks;
mod patterns;
mod rootfs;
mod subids;
mod system;
mod units;
mod volumes;

pub use config::{Bridge, Config, Defaults, ImageKeep, Live, OWN_RUNTIMES, Proxies, Runtime, SeccompDefault};
pub use containers::{Containers, Handle, View};
pub use engine::Engine;
pub use events::Events;
pub use execs::Execs;
pub use figures::{ACTIONS, BOUNDS, Figures, Histogram, Reading};
pub use home::{Error as HomeError, Home};
pub use images::{Exchange, ImagesService};
pub use networks::{
    Attached, Cluster, ClusterNetworks, Found, GATEWAY_BRIDGE, Laid, Networks, OverlayNetworks, Placed, Wish,
};
pub use system::{SERVER_VERSION, System};
pub use volumes::Volumes;
