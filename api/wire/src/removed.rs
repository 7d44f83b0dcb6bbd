//! The one refusal that ends a node's membership: the managers, asked for what is true now, do not know it any more.
//!
//! Told apart from every other refusal by metadata, because much hangs on it: a node that hears it stops its tasks.

use tonic::Status;
use tonic::metadata::MetadataValue;

const KEY: &str = "shoal-removed";

/// Only for a manager that has made sure of it with a majority.
pub fn status(node: &str) -> Status {
    // SwarmKit's words.
    let mut status =
        Status::permission_denied(format!("Permission denied: node {node} was removed from swarm"));
    status
        .metadata_mut()
        .insert(KEY, MetadataValue::from_static("true"));
    status
}

pub fn is(status: &Status) -> bool {
    status.metadata().contains_key(KEY)
}
