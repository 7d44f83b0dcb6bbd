//! This node's images for the other nodes of its cluster, and theirs for this one: the engine's exchange on one side, the
//! cluster's connections on the other.

mod ask;
mod offer;
mod wire;

pub use ask::Neighbours;
pub use offer::OfferedImages;
