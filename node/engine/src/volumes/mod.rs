//! Volumes of this node.

mod table;
mod verbs;
mod view;

pub use table::VolumeTable;
pub use verbs::Volumes;
