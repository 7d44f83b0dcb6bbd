//! Where a manager keeps its Raft log, vote, commit mark and snapshots.
//!
//! ```text
//! openraft ── append, vote, committed, truncate, purge ──▶ Log ──▶ writer thread ──▶ RocksDB (sealed, fsynced)
//!          ◀── entries ── tail in memory, older ones from RocksDB      └─ several requests, one fsync, answers in order
//! state machine ── Snapshots::save / load ──▶ the same RocksDB, in sealed chunks
//! ```
//! [`rocks`] is the real one; [`memory`] is its twin for simulations, which can lose whatever was not yet "synced".
//! Both pass openraft's own conformance suite (in `raft/consensus`, which has the state machine that it needs).
//!
//! What is acknowledged is on disk. A write or fsync that failed is never tried again: the log refuses everything
//! from then on, and the manager has to be restarted. Nothing here interprets a proposal. Called by `raft/consensus`
//! and `tests/sim` only; openraft's types go no further than those.

pub mod key;
pub mod memory;
pub mod rocks;
mod seal;
mod snapshots;
mod tail;
pub mod types;

pub use seal::Unsealed;
pub use snapshots::Snapshots;
