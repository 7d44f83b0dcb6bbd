//! raft/objects
