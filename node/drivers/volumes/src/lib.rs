//! node/drivers/volumes
