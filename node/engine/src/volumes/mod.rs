//! Volumes of this node.

mod foreign;
mod mounted;
mod table;
mod verbs;
mod view;

pub(crate) use foreign::Foreign;
pub use table::{LOCAL, VolumeTable, Wish};
pub use verbs::Volumes;
