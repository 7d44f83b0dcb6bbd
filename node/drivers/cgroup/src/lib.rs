//! node/drivers/cgroup
