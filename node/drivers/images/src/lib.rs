//! Images on one host: a content-addressed store that survives power cuts, layers unpacked by descriptor,
//! registries, archives, and the root file systems of containers.
//!
//! ```text
//! registry ─┐                    ┌─ blobs (as they came), indexes among them
//! nodes ────┤                    │
//! archive ──┼─> lease ─> store ──┼─ layers (unpacked, one per chain id) ──> snapshots (upper, work)
//! tar ──────┘                    └─ records ── names
//! ```
//!
//! What is listed is whole: blobs are on disk before an image's record, the record before its name; layers come there
//! later, and are unpacked again from their blobs if the power goes before. Starting is recovering. It never mounts anything, never decides what to pull or when to remove, and never resolves a path
//! inside a layer other than by descriptor. Blocking work runs off the async threads.
//!
//! Called by `node/engine`.

mod archive;
mod bridge;
mod commit;
mod config;
mod digest;
mod distribution;
mod error;
mod flights;
mod history;
mod image;
mod images;
mod import;
mod install;
mod keep;
mod load;
mod login;
mod lookup;
mod manifest;
mod manifests;
#[cfg(test)]
mod mutated;
mod peers;
mod platform;
mod progress;
mod pull;
mod push;
mod reference;
mod registry;
mod remove;
mod save;
mod search;
mod snapshot;
mod store;
mod tag;
mod unpack;

pub use commit::Child;
pub use config::{ConfigFile, History, RootFs};
pub use digest::{Digest, chain_ids};
pub use distribution::Distribution;
pub use error::{Error, Result};
pub use history::Step;
pub use image::{Deleted, Image, InUse, Rootfs};
pub use images::Images;
pub use keep::{Holding, Room};
pub use manifest::{Descriptor, Index, Manifest};
pub use manifests::{Listed, Statement, What};
pub use peers::{Ask, Brought, Exchange, Meeting, Offer, Piece, Pieces, Transport};
pub use platform::Platform;
pub use progress::{Progress, Sink};
pub use reference::Reference;
pub use registry::{Hit, Proxies, RegistryConfig, Remote};
pub use shoal_api_types::auth::AuthConfig;
pub use shoal_api_types::image::ImageConfig;
pub use store::FaultHook;
