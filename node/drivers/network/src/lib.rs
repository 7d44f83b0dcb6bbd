//! node/drivers/network
