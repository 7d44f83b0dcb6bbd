//! Archives from clients, entry by entry.

mod compression;

pub(crate) use compression::decompress;
pub(crate) use shoal_node_core_host::tarball::{Kind, Member, Tar};
