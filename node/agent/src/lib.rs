//! node/agent
