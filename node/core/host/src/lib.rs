//! What one host decides: how a container lives (`lifecycle`, `health`), what its first process gets (`ocispec`,
//! `caps`, `seccomp`, `users`, `subids`, `env`), how Docker's little languages read (`binds`, `ports`, `devices`, `cpuset`, `cdi`, `sizes`), how it is
//! named and described (`names`, `status`, `ps`), how it is reached (`ipam`, `netplan`, `bridgeopts`, `dns`, `resolvconf`, `links`), what a cluster's task
//! needs next (`taskstep`), where its image is taken from (`imagesource`), which images may go (`imagekeep`), what an archive
//! holds (`tarball`).
//!
//! Every function here is pure: time, chance and the contents of files are arguments. Nothing here sees a clock, a
//! file, a socket, a thread or a random number. `node/engine`, `node/agent` and the drivers' callers use it; it knows
//! the words of `api/types` and `raft/objects` and nothing else of ours.

pub mod binds;
pub mod bridgeopts;
pub mod calendar;
pub mod caps;
pub mod cdi;
pub mod cpuset;
pub mod devices;
pub mod dns;
pub mod env;
pub mod health;
pub mod imagekeep;
pub mod imagesource;
pub mod ipam;
pub mod lifecycle;
pub mod links;
#[cfg(test)]
mod mutated;
pub mod names;
pub mod netplan;
pub mod ocispec;
pub mod overlay;
pub mod ports;
pub mod ps;
pub mod resolvconf;
pub mod seccomp;
pub mod sizes;
pub mod status;
pub mod subids;
pub mod tarball;
pub mod taskstep;
pub mod users;
