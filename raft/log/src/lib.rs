//! raft/log
