//! node/core/host
