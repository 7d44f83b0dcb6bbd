//! node/drivers/shim
