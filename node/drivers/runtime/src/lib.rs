//! node/drivers/runtime
