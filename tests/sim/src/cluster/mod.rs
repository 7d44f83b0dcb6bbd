//! The same control plane with its Raft: managers that crash, a network that cuts, hosts that vanish.
//!
//! ```text
//! users ─▶ leader's loop (core's step over store's State) ─▶ consensus × 3–5 (openraft, in-memory log) ─▶ state
//! agents ◀─ assignments from any manager ── heartbeats, reports ─▶ leader          network: delay, loss, cuts
//! nemesis: crashes that lose what was not synced, partitions, lost and frozen hosts, managers that come and go
//! oracle: every committed entry applied once more, apart from everybody; all invariants look at it
//! ```
//! Everything but disk, network, hosts and clock is the real code. One thread, virtual time ([`runtime`]): the same
//! seed gives the same trace of committed entries and decisions. [`story::run`] is the way in; a failure names its
//! seed and step.

pub mod agent;
pub mod control;
pub mod invariants;
pub mod nemesis;
pub mod network;
pub mod oracle;
pub mod runtime;
pub mod story;
pub mod trace;
pub mod user;
pub mod world;
