//! A container's file system as clients see it: a private view of its root with its volumes, tar streams out of and into
//! it, what a path is, and what the container changed.
//!
//! Every path is resolved by descriptor inside the view, so nothing that a container or an archive puts there leads
//! outside, also while it changes. Memory is bounded whatever the tree or the archive is like. The mounts of a view are
//! in a mount namespace of its own that no process is in: the host's table never shows them, and they are gone with the
//! last descriptor, however the daemon ends. Everything blocks. It never decides who may read or write what.
//!
//! Called by `node/engine`.

mod changes;
mod error;
mod inside;
mod layer;
mod overlay;
mod pack;
mod path;
mod read;
mod shift;
mod stat;
mod times;
mod unpack;
mod view;
mod walk;
mod write;
mod xattrs;

pub use changes::{Change, Kind, changes};
pub use error::{Error, Result};

pub use layer::layer;
pub use overlay::lower;
pub use pack::{export, pack};
pub use path::{ClientPath, within};
pub use shift::Shift;
pub use stat::{Stat, stat};
pub use unpack::{Options, directory, unpack};
pub use view::{Base, Tree, View};
