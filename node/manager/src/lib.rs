//! node/manager
