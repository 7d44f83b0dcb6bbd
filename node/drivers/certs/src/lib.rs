//! node/drivers/certs
