//! node/core/cluster
