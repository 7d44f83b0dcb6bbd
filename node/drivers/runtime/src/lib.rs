//! Container processes made from OCI runtime specifications by plain system calls.
//!
//! [`seccomp`] compiles and caches filters (called by the engine ahead of time). The rest is called by the
//! single-threaded shim. This crate starts no thread, keeps no state on disk but cached filters, knows nothing of
//! containers' names, restarts or logs, and touches no control group: it says when the caller has to.

pub mod seccomp;
