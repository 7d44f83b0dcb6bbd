//! Archives from clients, entry by entry.

mod compression;
mod pax;
mod sparse;
mod tar;

pub(crate) use compression::decompress;
pub(crate) use tar::{Kind, Member, Tar};
