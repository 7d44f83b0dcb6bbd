//! What the cluster gives out: published ports, networks' identifiers and subnets, addresses on networks.
//!
//! Ports and networks are chosen when a user asks for them, so that the answer is part of the same proposal; `apply`
//! refuses a network that overlaps with another. Addresses are given by the leader's step, before a task gets its node.
//! An address that was given back is not given again before every node has said that it knows nothing more of it.

mod addresses;
mod drain;
pub mod networks;
mod ports;
mod services;
mod six;
mod tasks;

pub use addresses::Quarantine;
pub use networks::{INGRESS, Wish};
pub use ports::{DYNAMIC, Error, endpoint, ports_of};

pub(crate) use addresses::Pools;
pub(crate) use drain::{drain, is_draining};
pub(crate) use services::{allocate, nodes};
pub(crate) use tasks::{attach, needs_places};
