//! node/drivers/logs
