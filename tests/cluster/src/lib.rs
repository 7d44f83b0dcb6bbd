//! Clusters of real daemons on namespaces as hosts; see tests/it.
