//! raft/consensus
