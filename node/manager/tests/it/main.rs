//! Whole clusters in one process: real certificates, sockets, Raft logs and agents on loopback; only containers are
//! pretended.

mod failover;
mod fake;
mod forwarding;
mod harness;
mod images;
mod membership;
mod networks;
mod refusals;
mod removal;
mod services;
