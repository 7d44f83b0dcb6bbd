//! Cluster cases.
