//! node/drivers/images
