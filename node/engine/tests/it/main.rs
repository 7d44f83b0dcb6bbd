//! The engine against the real kernel: as root, on a data root of its own, with a busybox image made here. Everything
//! carries a name of its own, and nothing is left behind.

mod images;
mod inside;
mod life;
mod recovery;
mod setup;
