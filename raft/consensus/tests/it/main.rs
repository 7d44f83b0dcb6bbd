//! The consensus as its callers use it.

mod cluster;
mod single;
mod suite;
mod world;
