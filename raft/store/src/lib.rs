//! raft/store
